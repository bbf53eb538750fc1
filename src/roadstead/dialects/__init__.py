"""Where programs knock: one package for each API we speak."""
