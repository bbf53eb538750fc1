"""The newest value of every path of every device: coalesced in memory, merged into one row a device. Pure."""

from collections.abc import Iterator, Sequence

import msgspec

from roadstead.core.messages import Reading
from roadstead.kernel import ids
from roadstead.kernel.ids import TenantId

FIRMWARE_PATH = "$health/firmwareVersion"


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


class Patches:
    """What is new about many devices, by the 12 bytes of their ids."""

    def __init__(self) -> None:
        self._patches: dict[bytes, Patch] = {}

    def __len__(self) -> int:
        return len(self._patches)

    def items(self) -> Iterator[tuple[bytes, Patch]]:
        """Device and patch, in order of the devices: whoever locks their rows does it in one order."""
        return iter(sorted(self._patches.items()))

    def add(self, tenant: TenantId, device: bytes, received: int, readings: Sequence[Reading]) -> None:
        """Take in a message. The newest time wins, at equal times the later message."""
        patch = self._patches.get(device)
        if patch is None:
            patch = self._patches[device] = Patch(tenant, received, _NEVER, 0, {})
        elif received > patch.received:
            patch.received = received
        body = patch.body
        for reading in readings:
            at = reading.at
            if at >= patch.newest_at:
                patch.newest_at = at
            else:
                known = body.get(reading.path)
                if known is not None and known[1] > at:  # type: ignore[operator]
                    continue
            patch.first_at = min(patch.first_at, at)
            value = (reading.value, at, received)
            body[reading.path] = (*value, reading.meta) if reading.meta else value


_NEVER = 1 << 62


def copy_line(device: bytes, patch: Patch, *, seen: bool) -> bytes:
    """One line of PostgreSQL's COPY text format: tenant, device, seen, received, first, newest, body."""
    body = msgspec.json.encode(patch.body).replace(b"\\", b"\\\\")
    first_at = min(patch.first_at, patch.newest_at)
    mark = "t" if seen else "f"
    head = f"{patch.tenant}\t{ids.from_bytes(device)}\t{mark}\t{patch.received}\t{first_at}\t{patch.newest_at}\t"
    return head.encode() + body + b"\n"
