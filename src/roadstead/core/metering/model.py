"""What is counted, and under which words."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from roadstead.core.messages import CONNECTED, DISCONNECTED, SESSION, Logged, Paths
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


_MOST_ALIKE = 100_000
_HOUR_MS = 3_600_000


class Counts:
    """Messages and bytes by key and hour, in the making."""

    def __init__(self) -> None:
        self._cells: dict[Key, tuple[list[int], list[int]]] = {}
        self._alike: dict[int, Counter[tuple[Any, ...]]] = {}
        """By hour since 1970: messages of which nothing but how many there are is looked at before it is wanted. Each
        message of every device comes by here."""

    def __len__(self) -> int:
        return len(self._cells) + sum(map(len, self._alike.values()))

    def add(
        self,
        tenant: TenantId,
        device: UUID | None,
        at: datetime,
        kind: Payload,
        source: str,
        *,
        messages: int = 1,
        size_bytes: int = 0,
    ) -> None:
        """Count some; `size_bytes`: of all of them."""
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        key = Key(tenant, NOBODY if device is None else device, day, kind, source)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = [0] * 24, [0] * 24
        cell[0][at.hour] += messages
        cell[1][at.hour] += size_bytes

    def add_messages(self, messages: Iterable[Logged]) -> None:
        """Count what was accepted. What was read anew out of quarantine was counted when it came."""
        for hour, group in groupby(messages, key=lambda message: message.received // _HOUR_MS):
            alike = self._alike.setdefault(hour, Counter())
            alike.update(map(_what_counts, group))
        if len(self) > _MOST_ALIKE:
            self._settle()

    def items(self) -> list[tuple[Key, list[int], list[int]]]:
        """By key: the messages and bytes of each hour."""
        self._settle()
        return [(key, *cell) for key, cell in sorted(self._cells.items())]

    def _settle(self) -> None:
        for hour, alike in self._alike.items():
            at = from_millis(hour * _HOUR_MS).astimezone(UTC)
            for (tenant, device, dialect, channel, paths, source, size_bytes, replayed), number in alike.items():
                kind = _kind_of(dialect, channel, paths, source)
                if kind is not None and not replayed:
                    way = "device.mqtt" if dialect == SESSION or not source else "device.rest"
                    self.add(tenant, from_bytes(device), at, kind, way, messages=number, size_bytes=number * size_bytes)
        self._alike.clear()


_what_counts = attrgetter("tenant", "device", "dialect", "channel", "paths", "source", "size_bytes", "replayed")
_SESSIONS = {CONNECTED: Payload.DEVICE_CONNECT, DISCONNECTED: Payload.DEVICE_DISCONNECT}


def _kind_of(dialect: str, channel: str, paths: Paths, source: str) -> Payload | None:
    if dialect == SESSION:
        return _SESSIONS.get(channel)
    if paths.names:
        return Payload.DEVICE_STATE
    return Payload.MQTT_IN if not source else None
