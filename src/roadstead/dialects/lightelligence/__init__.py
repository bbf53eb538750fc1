"""The Lightelligence dialect: REST, its identity provider, MQTT and WebSocket streams (contract lightelligence)."""

from roadstead.dialects.lightelligence.app import create_app

__all__ = ["create_app"]
