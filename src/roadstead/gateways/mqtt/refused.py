"""What becomes of messages that are refused at the door: their owner reads of them in quarantine."""

import asyncio
from collections.abc import Callable

import msgspec

from roadstead.core.messages import RefusalNotice
from roadstead.core.ports import RefusalReason
from roadstead.gateways.mqtt.packets import Publish
from roadstead.gateways.mqtt.reader import read_packet
from roadstead.gateways.mqtt.reasons import MalformedPacket, Reason

_MOST_EACH = 10
_EVERY_S = 60.0
_MOST_TOPIC = 256
_HEAD_BYTES = 1_024

_REASONS = {
    Reason.NOT_AUTHORIZED: RefusalReason.FORBIDDEN_TOPIC,
    Reason.PACKET_TOO_LARGE: RefusalReason.TOO_LARGE,
}


def make_notice(reason: Reason, detail: str, topic: bytes, payload: bytes, *, size_bytes: int) -> RefusalNotice:
    """What to tell about a message; `payload` may be its first bytes only."""
    return RefusalNotice(
        reason=_REASONS.get(reason, RefusalReason.MALFORMED),
        detail=detail,
        topic=topic.decode(errors="replace")[:_MOST_TOPIC],
        size_bytes=size_bytes,
        head=payload[:_HEAD_BYTES],
    )


def read_roughly(first: int, body: bytes, version: int) -> tuple[bytes, bytes]:
    """Topic and payload of a PUBLISH of which something is wrong, as far as they can be read; it may be cut off."""
    try:
        packet = read_packet(first, body, version)
    except MalformedPacket:
        length = int.from_bytes(body[:2], "big")
        return body[2 : 2 + length], b""
    return (packet.topic, packet.payload) if isinstance(packet, Publish) else (b"", b"")


class RefusedMessages:
    """Of one session: tells the first ten each, then one a minute with a count, so that a flood fills nothing."""

    def __init__(self, tell: Callable[[RefusalNotice], None]) -> None:
        self._tell = tell
        self._left = _MOST_EACH
        self._last: RefusalNotice | None = None
        self._untold = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, notice: RefusalNotice) -> None:
        """One was refused."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_EVERY_S, self._minute)
        if self._left:
            self._left -= 1
            self._tell(notice)
        else:
            self._last = notice
            self._untold += 1

    def close(self) -> None:
        """The session ends: what was not told is told now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell_rest()

    def _minute(self) -> None:
        self._timer = None
        if self._tell_rest():
            self._timer = asyncio.get_running_loop().call_later(_EVERY_S, self._minute)
        else:
            self._left = _MOST_EACH

    def _tell_rest(self) -> bool:
        last, untold = self._last, self._untold
        self._last, self._untold = None, 0
        if last is not None:
            self._tell(msgspec.structs.replace(last, others=untold - 1))
        return last is not None
