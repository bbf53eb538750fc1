"""What was accepted, decoded once for all who read it in this process."""

from collections import OrderedDict

import msgspec
import structlog

from roadstead.bus import Pack
from roadstead.core.messages import Logged, decode_accepted

log = structlog.get_logger()

_MOST_BYTES = 4_194_304
"""Of packs whose messages are kept for the next reader; readers of one process are about as far as each other."""


class AcceptedPacks:
    """The messages of packs of the ACCEPTED stream; nobody changes them."""

    def __init__(self, *, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[int, tuple[bytes, list[Logged]]] = OrderedDict()
        self._size_bytes = 0

    def messages_of(self, pack: Pack) -> list[Logged]:
        """In order; none when the pack cannot be read, which only a fault of our own brings about."""
        known = self._kept.get(pack.sequence)
        # The log may be another one by now, with packs of its own under the same sequences.
        if known is not None and known[0] == pack.payload:
            return known[1]
        try:
            messages = decode_accepted(pack.payload)
        except msgspec.DecodeError as error:
            log.error("pack cannot be read", sequence=pack.sequence, reason=str(error))
            messages = []
        self._keep(pack, messages)
        return messages

    def _keep(self, pack: Pack, messages: list[Logged]) -> None:
        if known := self._kept.pop(pack.sequence, None):
            self._size_bytes -= len(known[0])
        self._kept[pack.sequence] = pack.payload, messages
        self._size_bytes += len(pack.payload)
        while self._size_bytes > self._most_bytes:
            _, (payload, _) = self._kept.popitem(last=False)
            self._size_bytes -= len(payload)
