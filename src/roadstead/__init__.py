"""Roadstead: an open, self-hosted IoT platform that outlives its vendors."""

__version__ = "0.1.0"
