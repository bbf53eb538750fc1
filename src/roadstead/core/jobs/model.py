"""What background jobs are, and how their ids are spelled."""

import base64
import binascii
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from roadstead.kernel.actor import ActorKind
from roadstead.kernel.ids import SpaceId, TenantId, from_bytes, parse_hex24, to_bytes

KEPT = timedelta(hours=24)
"""How long files of a job are there, and its links good."""
REMEMBERED = timedelta(days=30)
"""How long a job is known after that, or after it has failed."""
MOST_UNDER_WAY = 100
"""Jobs of a space that are neither done nor given up."""

_MARK = "j"


class JobStatus(StrEnum):
    """Where a job is in its life."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    READY = "READY"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    """It was done; its files are gone."""


class BackgroundJob(msgspec.Struct, frozen=True, kw_only=True):
    """Something that takes longer than a request."""

    id: UUID
    space_id: SpaceId
    kind: str
    """Names what works on it."""
    name: str
    parameters: dict[str, Any]
    """For what works on it."""
    input: dict[str, Any]
    """What was asked for, as it is shown."""
    resource_type: str
    resource_id: UUID
    alone: bool
    """One of its kind at a time about its resource."""
    email: str | None
    callback_url: str | None
    requested_by: UUID
    requested_as: ActorKind
    status: JobStatus
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    reading_count: int = 0
    """How far it is."""
    total: int | None = None
    """How far it has to go, once that is known."""
    output: dict[str, Any] = {}
    """What came of it: plain JSON, and `downloadUrls` when it has made files."""
    error: str | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is over, for whoever wants to be told."""

    tenant_id: TenantId
    organization_id: UUID
    tries: int
    """Of telling, this one counted."""
    job: BackgroundJob


def spell_job_id(job_id: UUID) -> str:
    """21 letters and digits."""
    return _MARK + base64.b32encode(to_bytes(job_id)).decode().rstrip("=").lower()


def parse_job_id(text: str) -> UUID | None:
    """The id of 21 letters and digits, or of 24 hex digits; None when it is neither."""
    if len(text) != 21 or not text.startswith(_MARK):
        return parse_hex24(text)
    try:
        raw = base64.b32decode(f"{text[1:].upper()}====")
    except (binascii.Error, ValueError):
        return None
    return from_bytes(raw)
