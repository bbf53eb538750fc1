"""The native API: organization-scoped REST under /api (contracts/platform.yaml)."""

from roadstead.dialects.native.app import create_app
from roadstead.dialects.native.downlinks import NativeAnswers, NativeSpeller
from roadstead.dialects.native.wire import NativeCodec

__all__ = ["NativeAnswers", "NativeCodec", "NativeSpeller", "create_app"]
