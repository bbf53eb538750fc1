"""What a firmware is: an artifact with a release, and the grants by which its content comes and goes."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.firmware.releases import check_release
from roadstead.core.work import Change
from roadstead.kernel.errors import FieldProblem, Invalid
from roadstead.kernel.ids import DeviceId, TenantId

FirmwareId = NewType("FirmwareId", UUID)
RolloutId = NewType("RolloutId", UUID)

MOST_BYTES = 1 << 30
"""Of one firmware."""
MOST_NOTES = 10_000
_MOST_METADATA_BYTES = 16_384
_MOST_SIGNATURE_BYTES = 1_024


class FirmwareStatus(StrEnum):
    """Where a firmware is in its life (contract section 3)."""

    DRAFT = "DRAFT"
    """Its content is on its way, or waits to be published."""
    PUBLISHED = "PUBLISHED"
    """Rollouts may begin."""
    DEPRECATED = "DEPRECATED"
    """No new rollouts."""


class Firmware(msgspec.Struct, frozen=True, kw_only=True):
    """One release of something that devices of a profile run."""

    id: FirmwareId
    name: str
    release: str
    """Semantic version."""
    device_profile: str
    """`key`: devices of any version of the profile; or `key@major.minor`."""
    status: FirmwareStatus
    size_bytes: int
    sha256: bytes
    signature: bytes | None
    release_notes: str | None
    metadata: dict[str, Any]
    created_by: UUID
    upload_run: int
    """Which attempt to upload it: parts of earlier ones are void."""
    received_bytes: int
    uploaded_at: datetime | None
    """When all of it was there and its checksum was right."""
    created_at: datetime
    updated_at: datetime
    version: int


class FirmwareDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A firmware to be registered; its content follows."""

    name: str
    release: str
    device_profile: str
    size_bytes: int
    sha256: bytes
    signature: bytes | None = None
    release_notes: str | None = None
    metadata: dict[str, Any] = {}

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems = check_release(self.release, "/version")
        if not 1 <= len(self.name) <= 120 or "\0" in self.name:
            problems.append(FieldProblem("/name", "invalid", "takes 1 to 120 characters"))
        if not 1 <= self.size_bytes <= MOST_BYTES:
            problems.append(FieldProblem("/sizeBytes", "invalid", f"must be between 1 and {MOST_BYTES}"))
        if len(self.sha256) != hashlib.sha256().digest_size:
            problems.append(FieldProblem("/sha256", "invalid", "is not a SHA-256"))
        if self.signature is not None and not 1 <= len(self.signature) <= _MOST_SIGNATURE_BYTES:
            detail = f"takes 1 to {_MOST_SIGNATURE_BYTES} bytes"
            problems.append(FieldProblem("/signature", "invalid", detail))
        refuse(problems + check_notes(self.release_notes) + check_metadata(self.metadata))


class FirmwareChange(Change, frozen=True, kw_only=True):
    """What shall be different about a firmware: what it is stays."""

    release_notes: str | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    """A merge patch (RFC 7396): null removes a key, null as a whole all of them."""


class FirmwareQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which firmware is wanted."""

    device_profile: str | None = None
    """`key`: all that is for some version of it; else exactly this."""
    status: FirmwareStatus | None = None
    release: str | None = None


class UploadGrant(msgspec.Struct, frozen=True, kw_only=True):
    """The permission to bring the content of one firmware."""

    token: str
    """In plain only here: kept as a hash."""
    firmware_id: FirmwareId
    expires_at: datetime


class DownloadGrant(msgspec.Struct, frozen=True, kw_only=True):
    """The permission of one device to fetch one firmware a few times."""

    token: str
    """In plain only here: kept as a hash."""
    firmware_id: FirmwareId
    device_id: DeviceId
    uses: int
    """How many times the whole of it, in whatever pieces."""
    expires_at: datetime


class UploadState(msgspec.Struct, frozen=True, kw_only=True):
    """How far an upload is."""

    received_bytes: int
    size_bytes: int
    is_complete: bool
    """All is there and its checksum is right."""


class Part(msgspec.Struct, frozen=True):
    """A piece of a content, in a file of its own."""

    id: UUID
    start: int
    size_bytes: int
    blob_key: str


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A grant as it is kept, with what it is for."""

    id: UUID
    tenant_id: TenantId
    organization_id: UUID
    firmware_id: FirmwareId
    device_id: DeviceId | None
    """Who may fetch; None: whoever holds it."""
    rollout_id: RolloutId | None
    bytes_left: int
    expires_at: datetime
    brings: bool = False
    """It is there to bring the content, not to fetch it."""


# --- rules -----------------------------------------------------------------------------------------------------------


def check_notes(notes: str | None) -> list[FieldProblem]:
    """What is wrong with release notes."""
    if notes is not None and (len(notes) > MOST_NOTES or "\0" in notes):
        return [FieldProblem("/releaseNotes", "invalid", f"takes at most {MOST_NOTES} characters, no NUL")]
    return []


def check_metadata(metadata: dict[str, Any]) -> list[FieldProblem]:
    """At most 16 KB of JSON."""
    content = msgspec.json.encode(metadata)
    if len(content) > _MOST_METADATA_BYTES or b"\\u0000" in content:
        return [FieldProblem("/metadata", "invalid", f"takes at most {_MOST_METADATA_BYTES} bytes of JSON, no NUL")]
    return []


def refuse(problems: Sequence[FieldProblem]) -> None:
    """Raises `Invalid` when there are problems."""
    if problems:
        first = problems[0]
        raise Invalid(f"{first.pointer.lstrip('/').replace('/', '.') or 'body'}: {first.detail}", fields=problems)
