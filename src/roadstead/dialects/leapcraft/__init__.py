"""The Leapcraft dialect: air quality telemetry of devices and topologies (contracts/leapcraft.yaml). It only reads."""

from roadstead.dialects.leapcraft.app import create_app
from roadstead.dialects.leapcraft.terms import Terms

__all__ = ["Terms", "create_app"]
