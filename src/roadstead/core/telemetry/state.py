"""The newest value of every path of every device: coalesced in memory, merged into one row a device. Pure."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from roadstead.core.messages import Accepted, Logged, Removal
from roadstead.kernel import ids
from roadstead.kernel.ids import TenantId

FIRMWARE_PATH = "$health/firmwareVersion"
CONFIGURATION_PATHS = "configuration/"
"""How the paths begin of what devices say they are set to."""
Message = Accepted | Logged


class Patch(msgspec.Struct):
    """What is new about one device."""

    tenant: TenantId
    received: int
    """When its newest message was received, ms since 1970."""
    first_at: int
    """The oldest time in `body`: when the row has nothing newer, the body needs no comparing."""
    newest_at: int
    body: dict[str, tuple[object, ...]]
    """{path: (value, measured at, received at, metadata if any)}."""
    removed: dict[str, int]
    """{path: when its value was taken away}."""

    @property
    def is_about_configuration(self) -> bool:
        """Whether the device says what it is set to."""
        return any(path.startswith(CONFIGURATION_PATHS) for path in self.body)


class Patches:
    """What is new about many devices, by the 12 bytes of their ids.

    Of messages that are alike only the newest of each device is kept, and nobody looks into it before it is wanted.
    """

    def __init__(self) -> None:
        self._kept: dict[bytes, dict[object, Message]] = {}
        """The messages of each device that tell something, in the order in which they came."""
        self._removals: dict[bytes, dict[int, Removal]] = {}
        """By device and identity of the message, which is one of `_kept`."""
        self._received: dict[bytes, int] = {}
        """The newest time of receipt among those that were left out, where it may be newer than that of the others."""

    def __len__(self) -> int:
        return len(self._kept)

    def items(self) -> Iterator[tuple[bytes, Patch]]:
        """Device and patch, in order of the devices: whoever locks their rows does it in one order."""
        for device in sorted(self._kept):
            patch = _merge(self._kept[device].values(), self._removals.get(device, {}))
            patch.received = max(patch.received, self._received.get(device, 0))
            yield device, patch

    def remove(self, message: Message, removal: Removal) -> None:
        """Take in a message that takes values away. What was measured since then stays."""
        self._kept.setdefault(message.device, {})[object()] = message
        self._removals.setdefault(message.device, {})[id(message)] = removal

    def add(self, message: Message) -> None:
        """Take in a message. The newest time wins, at equal times the later message."""
        device = message.device
        kept = self._kept.get(device)
        if kept is None:
            kept = self._kept[device] = {}
        at = message.at
        if type(at) is not int:
            kept[object()] = message
            return
        paths = message.paths
        known = kept.get(paths)
        if known is not None:
            loser = known if at >= known.at else message  # type: ignore[operator]
            if loser.received > self._received.get(device, 0):
                self._received[device] = loser.received
            if loser is message:
                return
            del kept[paths]
        kept[paths] = message


def _merge(messages: Iterable[Message], removals: Mapping[int, Removal]) -> Patch:
    """The newest value of each path, and what was taken away and has not come back."""
    body: dict[str, tuple[object, ...]] = {}
    removed: dict[str, int] = {}
    tenant, received, first_at, newest_at = TenantId(0), 0, _NEVER, 0
    for message in messages:
        tenant, received = message.tenant, max(received, message.received)
        removal = removals.get(id(message)) if removals else None
        if removal is not None:
            newest_at = max(newest_at, removal.at)
            for path in removal.paths:
                if path in body and body[path][1] <= removal.at:  # type: ignore[operator]
                    del body[path]
                removed[path] = max(removal.at, removed.get(path, 0))
        for reading in message.readings:
            at = reading.at
            if at >= newest_at:
                newest_at = at
            else:
                known = body.get(reading.path)
                if known is not None and known[1] > at:  # type: ignore[operator]
                    continue
            if removed and removed.get(reading.path, at) > at:
                continue
            first_at = min(first_at, at)
            removed.pop(reading.path, None)
            value = (reading.value, at, message.received)
            body[reading.path] = (*value, reading.meta) if reading.meta else value
    return Patch(tenant, received, first_at, newest_at, body, removed)


_NEVER = 1 << 62


def copy_line(device: bytes, patch: Patch, *, seen: bool) -> bytes:
    """One line of PostgreSQL's COPY text format: tenant, device, seen, received, first, newest, body."""
    body = msgspec.json.encode(patch.body).replace(b"\\", b"\\\\")
    first_at = min(patch.first_at, patch.newest_at)
    mark = "t" if seen else "f"
    head = f"{patch.tenant}\t{ids.from_bytes(device)}\t{mark}\t{patch.received}\t{first_at}\t{patch.newest_at}\t"
    return head.encode() + body + b"\n"
