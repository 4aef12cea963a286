"""Diffusion models, which compute whole canvases: loading them, tiling their denoisers, seamless VAEs, memory."""
