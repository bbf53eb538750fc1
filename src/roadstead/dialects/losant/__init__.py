"""The Losant dialect: applications, devices, state, data, commands, events, keys, tokens (contract losant)."""

from roadstead.dialects.losant.app import create_app

__all__ = ["create_app"]
