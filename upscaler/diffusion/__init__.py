"""Diffusion models: loading, placing and running pipelines of diffusers, in windows, with VAEs that leave no seams."""
