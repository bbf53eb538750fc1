"""The Leverege dialect: interface paths, search, blueprints, relations, history, timers (contract leverege)."""

from roadstead.dialects.leverege.app import create_app
from roadstead.dialects.leverege.wire import LeveregeCodec

__all__ = ["LeveregeCodec", "create_app"]
