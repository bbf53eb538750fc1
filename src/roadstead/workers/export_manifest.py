"""What an export says about itself: `manifest.json`."""

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.core.exports import Job
from roadstead.workers.export_tables import Described


class _Scope(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    id: UUID
    name: str


class _Shape(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The manifest as it is read."""

    export_id: UUID
    organization_id: UUID
    scope: _Scope
    start: datetime = msgspec.field(name="from")
    end: datetime = msgspec.field(name="to")
    until: datetime
    """What was measured before this is in it: `to`, or when a worker began with it."""
    format: str
    created_at: datetime
    reading_count: int
    annotation_count: int
    files: dict[str, Described]


class Manifest(msgspec.Struct, frozen=True):
    """All that is known before the tables are written, and whom to ask for the rest afterwards."""

    job: Job
    tables: Mapping[str, Callable[[], Described]]
    """By the name of the file."""
    count_readings: Callable[[], int]

    def spell(self) -> bytes:
        """JSON, once the tables are written."""
        export = self.job.export
        shape = _Shape(
            export_id=export.id,
            organization_id=self.job.organization_id,
            scope=_Scope(export.scope_type, export.scope_id, self.job.plan.scope_name),
            start=export.from_at,
            end=export.to_at,
            until=self.job.plan.until,
            format=export.format,
            created_at=export.created_at,
            reading_count=self.count_readings(),
            annotation_count=0,
            files={name: describe() for name, describe in self.tables.items()},
        )
        return msgspec.json.format(msgspec.json.encode(shape))
