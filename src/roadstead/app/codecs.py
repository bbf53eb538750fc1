"""How the devices of each dialect spell their messages."""

from collections.abc import Mapping

from roadstead.core.ports import Codec
from roadstead.dialects.native import NativeCodec

CODECS: Mapping[str, Codec] = {"native": NativeCodec()}
