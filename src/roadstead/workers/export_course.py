"""The way of an export through the telemetry store: what it answers, and what is left to ask."""

import io
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import msgspec
from arro3.io import read_ipc_stream

from roadstead.core.exports import Job, Strand, iterate_strands
from roadstead.core.ports import Span, TelemetryStore
from roadstead.db import Database
from roadstead.kernel.ids import DeviceId, to_bytes

_NEXT = timedelta(milliseconds=1)
"""From one row of a device to where another may be."""


class Answer(msgspec.Struct, frozen=True):
    """Rows of a strand, as the store has answered them."""

    strand: Strand
    rows: bytes
    """Arrow IPC, see `TelemetryStore.rows`."""


class Stretch(msgspec.Struct, frozen=True):
    """A strand, or what is left of one."""

    strand: Strand
    since: datetime


class Rest(msgspec.Struct, frozen=True):
    """What is left of a scope: these stretches, as they were when they were found, and all devices beyond one."""

    stretches: list[Stretch] = []
    after: DeviceId | None = None
    """None: nothing was asked yet."""


class Course:
    """Asks the store for all that is left of an export."""

    def __init__(self, database: Database, telemetry: TelemetryStore, job: Job, rest: Rest) -> None:
        self._database = database
        self._telemetry = telemetry
        self._job = job
        self._after = rest.after
        self._stretches = deque(rest.stretches)
        self._last: tuple[bytes, datetime] | None = None
        self._wanted = {(field.key, field.value_type) for field in job.plan.fields}
        self.readings = 0
        """In what was answered so far."""

    @property
    def rest(self) -> Rest:
        """What is left after the last step."""
        if self._last is None:
            return Rest(list(self._stretches), self._after)
        device, at = self._last
        begun, *others = self._stretches
        # Rows come in this order, so devices before the last one are done with, and that one is up to its last row.
        parts = [
            Stretch(_part(begun.strand, lambda own: own == device), at + _NEXT),
            Stretch(_part(begun.strand, lambda own: own > device), begun.since),
        ]
        return Rest([*(part for part in parts if part.strand.devices), *others], self._after)

    async def steps(self) -> AsyncIterator[Answer | None]:
        """Each answer with rows; None when a strand is done with, so that there are steps where nobody reports."""
        pages = iterate_strands(self._database, self._job, self._after)
        while True:
            while self._stretches:
                async for answer in self._ask(self._stretches[0]):
                    yield answer
                self._stretches.popleft()
                self._last = None
                yield None
            page = await anext(pages, None)
            if page is None:
                return
            self._after = page.last
            self._stretches.extend(Stretch(strand, self._job.export.from_at) for strand in page.strands)

    async def _ask(self, stretch: Stretch) -> AsyncIterator[Answer]:
        strand, span = stretch.strand, Span(stretch.since, self._job.plan.until)
        async for rows in self._telemetry.rows(self._job.tenant_id, list(strand.devices), strand.columns, span):
            if self._look(strand, rows):
                yield Answer(strand, rows)

    def _look(self, strand: Strand, rows: bytes) -> bool:
        """Note how far it goes; says whether there is a row."""
        seen = False
        for batch in read_ipc_stream(io.BytesIO(rows)):
            if not batch.num_rows:
                continue
            seen, end = True, batch.num_rows - 1
            self._last = bytes.fromhex(batch["digits"][end].as_py()), batch["at"][end].as_py()
            for position, column in enumerate(strand.columns):
                if (column.name, column.value_type) in self._wanted:
                    self.readings += batch.num_rows - batch[str(position)].null_count
        return seen


def _part(strand: Strand, is_wanted: Callable[[bytes], bool]) -> Strand:
    devices = {id_: name for id_, name in strand.devices.items() if is_wanted(to_bytes(id_))}
    return msgspec.structs.replace(strand, devices=devices)
