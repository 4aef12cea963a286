"""How the embedded networks were made; nothing of `upscaler` imports it. See README.md beside this file."""
