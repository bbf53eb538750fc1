"""What is counted, and under which words."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from roadstead.core.messages import CONNECTED, DISCONNECTED, SESSION, Logged
from roadstead.kernel.actor import NOBODY
from roadstead.kernel.ids import TenantId, from_bytes
from roadstead.kernel.time import from_millis


class Payload(StrEnum):
    """Kinds of messages."""

    DEVICE_STATE = "deviceState"
    """A device has said what it measures, or somebody in its name."""
    DEVICE_COMMAND = "deviceCommand"
    """A device was given a command."""
    DEVICE_CONNECT = "deviceConnect"
    DEVICE_DISCONNECT = "deviceDisconnect"
    EVENT = "event"
    MQTT_IN = "mqttIn"
    """Whatever else a device has said through MQTT: answers, reports, messages of its own."""


class Key(NamedTuple):
    """What is counted together, apart from the hour."""

    tenant: TenantId
    device: UUID
    """Zeros: it is about no device."""
    day: datetime
    kind: Payload
    source: str


class Counts:
    """Messages and bytes by key and hour, in the making."""

    def __init__(self) -> None:
        self._cells: dict[Key, tuple[list[int], list[int]]] = {}

    def __len__(self) -> int:
        return len(self._cells)

    def add(
        self, tenant: TenantId, device: UUID | None, at: datetime, kind: Payload, source: str, *, size_bytes: int = 0
    ) -> None:
        """Count one."""
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        key = Key(tenant, NOBODY if device is None else device, day, kind, source)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = [0] * 24, [0] * 24
        cell[0][at.hour] += 1
        cell[1][at.hour] += size_bytes

    def add_messages(self, messages: Iterable[Logged]) -> None:
        """Count what was accepted. What was read anew out of quarantine was counted when it came."""
        for message in messages:
            kind = _kind_of(message)
            if kind is None or message.replayed:
                continue
            way = "device.mqtt" if message.dialect == SESSION or not message.source else "device.rest"
            at = from_millis(message.received).astimezone(UTC)
            self.add(message.tenant, from_bytes(message.device), at, kind, way, size_bytes=message.size_bytes)

    def items(self) -> list[tuple[Key, list[int], list[int]]]:
        """By key: the messages and bytes of each hour."""
        return [(key, *cell) for key, cell in sorted(self._cells.items())]


_SESSIONS = {CONNECTED: Payload.DEVICE_CONNECT, DISCONNECTED: Payload.DEVICE_DISCONNECT}


def _kind_of(message: Logged) -> Payload | None:
    if message.dialect == SESSION:
        return _SESSIONS.get(message.channel)
    if message.paths.names:
        return Payload.DEVICE_STATE
    return Payload.MQTT_IN if not message.source else None
