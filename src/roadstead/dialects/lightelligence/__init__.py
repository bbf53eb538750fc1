"""The Lightelligence dialect: REST, its identity provider, MQTT and WebSocket streams (contract lightelligence)."""

from roadstead.dialects.lightelligence.app import create_app
from roadstead.dialects.lightelligence.downlinks import LightelligenceSpeller
from roadstead.dialects.lightelligence.points import POINTS_SPELLERS
from roadstead.dialects.lightelligence.terms import Terms
from roadstead.dialects.lightelligence.wire import LightelligenceCodec

__all__ = ["POINTS_SPELLERS", "LightelligenceCodec", "LightelligenceSpeller", "Terms", "create_app"]
