"""Keeps the newest values and the connection of every device, from what was accepted."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec
import structlog

from roadstead.bus import ACCEPTED, Bus, Follower, Pack, Start
from roadstead.core import configuration, telemetry
from roadstead.core.configuration import ReportedValues
from roadstead.core.messages import (
    REFUSED,
    REMOVAL,
    SESSION,
    Logged,
    SessionNotice,
    decode_removal,
)
from roadstead.core.telemetry import FIRMWARE_PATH, Patches, Presences
from roadstead.db import Database, Tx
from roadstead.kernel import ids
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.workers.accepted_packs import AcceptedPacks
from roadstead.workers.metrics import StateMetrics
from roadstead.workers.patience import patiently

log = structlog.get_logger()

PROJECTION = "state"
"""Its name in the table of projections: whoever waits for a write waits for its position."""

_CHUNK = 10_000
_SHORTEST_S, _LONGEST_S = 0.05, 5.0
_SHARE = 3
"""Waiting is this many times as long as the last flush took, so writing takes at most a quarter of the time."""
_MOST_DEVICES = 200_000
_MOST_BYTES = 64 << 20
_POLL_S, _IDLE_S = 0.02, 1.0

_Removed = tuple[TenantId, UUID, dict[str, int]]

_notice = msgspec.msgpack.Decoder(SessionNotice).decode


class _Gathered:
    """What has been read and is not written yet."""

    def __init__(self) -> None:
        self.patches = Patches()
        self.presences = Presences()
        self.firmware: dict[bytes, tuple[TenantId, UUID, str]] = {}
        self.position = 0
        self.size_bytes = 0
        """Of the packs: as much may be kept of them until it is written."""
        self.since = 0.0
        """When the first of it was read, by the monotonic clock."""

    @property
    def is_full(self) -> bool:
        """Memory is bounded: this is written before more is read."""
        return len(self.patches) > _MOST_DEVICES or self.size_bytes > _MOST_BYTES


class StateProjection:
    """Projects the ACCEPTED stream into device states and connections.

    The position is written with, or after, what it stands for, so a crash means once more; a repeat does no harm,
    because a value never replaces a newer one and a notice never that of a newer session.
    """

    def __init__(self, bus: Bus, database: Database, packs: AcceptedPacks, *, metrics: StateMetrics) -> None:
        self._bus = bus
        self._database = database
        self._packs = packs
        self._metrics = metrics
        self._flush_s = 0.0
        """How long the last flush took."""
        self._minutes: dict[bytes, int] = {}
        """In which minute a device was last marked as seen: more often is not needed."""

    async def run(self) -> None:
        """Until cancelled. Servers that are away are waited for."""
        position = await patiently("database", self._select_position)
        reader = Follower(self._bus, ACCEPTED, start=Start(sequence=position + 1))
        gathered = _Gathered()
        writing: asyncio.Task[None] | None = None
        try:
            while True:
                if writing is not None and writing.done():
                    writing.result()
                    writing = None
                left_s = self._left_s(gathered)
                if left_s == 0 and writing is None:
                    writing = asyncio.create_task(self._write(gathered), name="state write")
                    gathered = _Gathered()
                    continue
                if writing is not None and gathered.is_full:
                    await writing  # What is behind stays in the log.
                    continue
                pack = await reader.next(max(left_s, _POLL_S))
                if pack is not None:
                    self._gather(gathered, pack)
                    await asyncio.sleep(0)
        finally:
            if writing is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.gather(writing, return_exceptions=True), _LONGEST_S)
            await reader.close()

    def _left_s(self, gathered: _Gathered) -> float:
        """How long to read on before writing."""
        if not gathered.position:
            return _IDLE_S
        if gathered.is_full:
            return 0
        wait_s = min(max(self._flush_s * _SHARE, _SHORTEST_S), _LONGEST_S)
        return max(gathered.since + wait_s - time.monotonic(), 0)

    def _gather(self, gathered: _Gathered, pack: Pack) -> None:
        if pack.gap:
            log.error("messages expired before the states had them", sequence=pack.sequence)
        if not gathered.position:
            gathered.since = time.monotonic()
        gathered.position = pack.sequence
        gathered.size_bytes += len(pack.payload)
        for message in self._packs.messages_of(pack):
            if message.dialect == SESSION:
                if message.channel != REFUSED:
                    self._gather_notice(gathered, message)
                continue
            if message.channel == REMOVAL:
                self._gather_removal(gathered, message)
                continue
            gathered.patches.add(message)
            if message.channel == "health":
                for reading in message.readings:
                    if reading.path == FIRMWARE_PATH:
                        owner = message.tenant, ids.from_bytes(message.device), str(reading.value)
                        gathered.firmware[message.device] = owner

    def _gather_removal(self, gathered: _Gathered, message: Logged) -> None:
        try:
            removal = decode_removal(message.payload)
        except msgspec.DecodeError as error:
            log.error("removal cannot be read", tenant=message.tenant, reason=str(error))
            return
        gathered.patches.remove(message, removal)

    def _gather_notice(self, gathered: _Gathered, message: Logged) -> None:
        try:
            notice = _notice(message.payload)
        except msgspec.DecodeError as error:
            log.error("notice cannot be read", tenant=message.tenant, reason=str(error))
            return
        gathered.presences.add(message.tenant, message.device, message.received, message.channel, notice)

    async def _write(self, gathered: _Gathered) -> None:
        began = time.monotonic()
        await patiently("database", lambda: self._write_once(gathered))
        self._flush_s = time.monotonic() - began
        self._metrics.flush.observe(self._flush_s)
        self._metrics.devices.inc(len(gathered.patches))
        self._metrics.position.set(gathered.position)

    async def _write_once(self, gathered: _Gathered) -> None:
        lines, minutes, configured, removed = self._lines(gathered.patches)
        last = max(len(lines) - 1, 0) // _CHUNK
        for number in range(last + 1):
            async with self._database.tx() as tx:
                # A repeat does no harm, so nothing is lost when the newest of these are: the position is lost as well.
                await tx.run("SET LOCAL synchronous_commit = off")
                chunk = lines[number * _CHUNK : (number + 1) * _CHUNK]
                if chunk:
                    await telemetry.merge_state(tx, chunk)
                gone = [one for place, one in removed if place // _CHUNK == number]
                if gone:
                    await telemetry.remove_values(tx, gone)
                if number == last:
                    await telemetry.update_presence(tx, gathered.presences)
                    if gathered.firmware:
                        await telemetry.update_firmware(tx, list(gathered.firmware.values()))
                    if not configured:
                        await telemetry.update_position(tx, PROJECTION, gathered.position)
        if configured:
            async with self._database.tx() as tx:
                await self._take_configurations(tx, configured)
                await telemetry.update_position(tx, PROJECTION, gathered.position)
        if len(self._minutes) > _MOST_DEVICES:
            self._minutes.clear()
        self._minutes.update(minutes)

    async def _take_configurations(self, tx: Tx, configured: Mapping[tuple[TenantId, DeviceId], int]) -> None:
        """What devices say they are set to is held against what they shall have."""
        said = await telemetry.select_configurations(tx, list(configured))
        reports = [
            ReportedValues(tenant=tenant, device=device, values=values, received=configured[tenant, device])
            for (tenant, device), values in said.items()
        ]
        await configuration.take_values(tx, reports)

    def _lines(
        self, patches: Patches
    ) -> tuple[Sequence[bytes], dict[bytes, int], dict[tuple[TenantId, DeviceId], int], list[tuple[int, _Removed]]]:
        """The patches as PostgreSQL reads them; which devices are marked as seen, in which minute; which of them say
        what they are set to, with when they were heard last; and by place of their patch, what was taken away."""
        lines: list[bytes] = []
        minutes: dict[bytes, int] = {}
        configured: dict[tuple[TenantId, DeviceId], int] = {}
        removed: list[tuple[int, _Removed]] = []
        for device, patch in patches.items():
            minute = patch.received // 60_000
            seen = self._minutes.get(device) != minute
            if seen:
                minutes[device] = minute
            lines.append(telemetry.copy_line(device, patch, seen=seen))
            if patch.is_about_configuration:
                configured[patch.tenant, DeviceId(ids.from_bytes(device))] = patch.received
            if patch.removed:
                removed.append((len(lines) - 1, (patch.tenant, ids.from_bytes(device), patch.removed)))
        return lines, minutes, configured, removed

    async def _select_position(self) -> int:
        async with self._database.tx() as tx:
            return await telemetry.select_position(tx, PROJECTION)
