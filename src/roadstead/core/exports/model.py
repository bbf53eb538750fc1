"""What exports are."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from roadstead.core.files import JobClaim
from roadstead.core.messages import ValueType
from roadstead.kernel.actor import ActorKind
from roadstead.kernel.errors import FieldProblem, Invalid
from roadstead.kernel.ids import DeviceId, ExportId

MOST_RUNNING = 5
"""Exports of an organization that are neither done nor given up."""
MOST_KEPT = 100
"""Files of an organization that have not expired."""
LONGEST_SPAN = timedelta(days=5 * 366)
KEPT = timedelta(hours=24)
"""How long a file is there."""
REMEMBERED = timedelta(days=30)
"""How long a job is known after its end."""
MOST_FIELDS = 2_000
"""Different fields in one export: each is a column."""


class ScopeType(StrEnum):
    """What an export is about."""

    SITE = "SITE"
    """With the sites below it."""
    DEVICE = "DEVICE"
    COMPONENT = "COMPONENT"
    SENSOR = "SENSOR"


class Content(StrEnum):
    """What can be in an export."""

    READINGS = "READINGS"
    ANNOTATIONS = "ANNOTATIONS"


class FileFormat(StrEnum):
    """How the files in an export are spelled."""

    PARQUET = "PARQUET"
    CSV = "CSV"
    NDJSON = "NDJSON"


class ExportStatus(StrEnum):
    """Where an export is in its life."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    READY = "READY"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether no worker will touch it any more, but for sweeping it away."""
        return self not in (ExportStatus.PENDING, ExportStatus.RUNNING)


def file_name(export_id: UUID, lease: UUID | None) -> str:
    """Where the file of one try at an export lies. Each has its own: a worker that comes too late spoils nothing."""
    return f"{export_id}/{lease}/exports/{export_id}.zip"


def piece_name(export_id: UUID, lease: UUID, number: int) -> str:
    """Where a piece lies that was made in one try at an export."""
    return f"{export_id}/{lease}/pieces/{number}"


class ExportDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An export to be made."""

    scope_type: ScopeType
    scope_id: UUID
    start: datetime
    end: datetime
    """May lie in the future: what is there when the export runs is taken."""
    includes: list[Content]
    format: FileFormat = FileFormat.PARQUET

    def check(self) -> None:
        """Raises `Invalid` with what is wrong with it by itself."""
        if self.start >= self.end:
            raise Invalid.field("/to", "must be later than 'from'", code="range")
        if self.end - self.start > LONGEST_SPAN:
            raise Invalid.field("/to", "may be at most 5 years after 'from'", code="range")
        if len(set(self.includes)) != len(self.includes) or not self.includes:
            problem = FieldProblem("/includes", "invalid", "names READINGS, ANNOTATIONS or both, each once")
            raise Invalid(f"includes: {problem.detail}", fields=[problem])


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """A background job that puts readings into a file."""

    id: ExportId
    scope_type: ScopeType
    scope_id: UUID
    from_at: datetime
    to_at: datetime
    includes: list[Content]
    format: FileFormat
    status: ExportStatus
    requested_by: UUID
    requested_as: ActorKind
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    expires_at: datetime | None
    size_bytes: int | None
    reading_count: int
    """While it runs: how many there are so far."""
    annotation_count: int
    error: str | None
    lease: UUID | None
    """Of the worker that made it, or was the last to try."""

    @property
    def file_name(self) -> str:
        """Where its file lies, or would, within the organization."""
        return file_name(self.id, self.lease)


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which exports are meant: all conditions that are given hold."""

    statuses: list[ExportStatus] = []
    scope_type: ScopeType | None = None
    scope_id: UUID | None = None


# --- for the worker --------------------------------------------------------------------------------------------------


class Field(msgspec.Struct, frozen=True):
    """A kind of value that sensors in a scope report: one column."""

    key: str
    value_type: ValueType
    unit: str | None = None
    """When all its sensors share it."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an export is about, as it was when a worker began with it for the first time: all tries are about that."""

    scope_name: str
    fields: list[Field]
    """In order of their keys."""
    until: datetime
    """What was measured before this is in it."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A finished part of an export, in a file of its own."""

    number: int
    lease: UUID
    """Of the worker that made it."""
    readings: int


class Job(JobClaim, frozen=True, kw_only=True):
    """An export that a worker has taken on."""

    export: Export
    plan: Plan
    pieces: list[Piece]
    """What earlier tries have finished, in order."""


class ScopedDevice(msgspec.Struct, frozen=True):
    """A device in a scope."""

    id: DeviceId
    name: str


class ScopedSensor(msgspec.Struct, frozen=True):
    """A sensor in a scope."""

    device_id: DeviceId
    component_key: str | None
    key: str
    path: str
    value_type: ValueType
