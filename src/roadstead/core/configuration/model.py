"""What artefacts, bindings and the documents of devices are."""

import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

import msgspec

from roadstead.core.types import ProfileReference
from roadstead.kernel.errors import FieldProblem, Invalid, TooLarge
from roadstead.kernel.ids import ComponentId, DeviceId

ArtefactId = NewType("ArtefactId", UUID)
BindingId = NewType("BindingId", UUID)

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,120}")
_JSON_TYPE = re.compile(r"application/(json|[a-z0-9.-]{1,60}\+json)")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTROL = frozenset(map(chr, [*range(32), 127]))
JSON = "application/json"
MAX_UPLOAD_BYTES = 1 << 30
MAX_PRIORITY = 1_000_000
MAX_MESSAGE = 1_000
"""Characters of what a device says about an entry that are kept."""


def is_json(content_type: str) -> bool:
    """Whether contents of this type are JSON."""
    return _JSON_TYPE.fullmatch(content_type) is not None


def refuse(problems: Sequence[FieldProblem]) -> None:
    """Raises `Invalid` when there are any."""
    if problems:
        raise Invalid(f"{problems[0].pointer.lstrip('/')}: {problems[0].detail}", fields=problems)


# --- artefacts -------------------------------------------------------------------------------------------------------


class ProfileKind(StrEnum):
    """What sort of profile an artefact is for."""

    DEVICE = "DEVICE"
    SENSOR = "SENSOR"


class ForProfile(msgspec.Struct, frozen=True):
    """The profile whose `configSchema` an artefact was checked against.

    It fits all versions with the same major number: between these, nothing is removed (contract section 7).
    """

    kind: ProfileKind
    key: str
    major: int
    minor: int

    @property
    def reference(self) -> str:
        """`key@major.minor`."""
        return f"{self.key}@{self.major}.{self.minor}"

    def fits(self, kind: ProfileKind, profile: "ProfileName | None") -> bool:
        """Whether something of this profile takes the artefact."""
        return kind is self.kind and profile is not None and (profile.key, profile.major) == (self.key, self.major)


class ProfileName(msgspec.Struct, frozen=True, array_like=True):
    """Which profile something has, as far as artefacts ask."""

    key: str
    major: int


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable version of a configuration."""

    id: ArtefactId
    name: str
    number: int
    """1, 2, 3 within the name; never given twice."""
    profile_kind: ProfileKind | None
    profile_key: str | None
    profile_major: int | None
    profile_minor: int | None
    content_type: str
    content: bytes | None
    """Canonical JSON; None for what was uploaded."""
    file: str | None
    """Where it lies in the blob store: what was uploaded, and a copy of what is not small."""
    file_name: str
    size_bytes: int
    sha256: str
    """Hex: of the canonical JSON, or of the bytes that were uploaded."""
    description: str | None
    created_by: UUID
    created_at: datetime
    in_use: bool

    @property
    def profile(self) -> ForProfile | None:
        """Whom it is for; None: anybody."""
        if self.profile_kind is None or self.profile_key is None:
            return None
        return ForProfile(self.profile_kind, self.profile_key, self.profile_major or 0, self.profile_minor or 0)


class ArtefactDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A version to be added."""

    name: str
    content: Any = None
    """JSON, unless there is a storage key."""
    storage_key: str | None = None
    """What `prepare_upload` gave."""
    profile: str | None = None
    """A device profile, or else a sensor profile: `key@major.minor`, or `key` for the newest."""
    content_type: str | None = None
    """None: JSON, or what was said of the upload."""
    description: str | None = None

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems = []
        if not _NAME.fullmatch(self.name):
            problems.append(FieldProblem("/name", "invalid", "takes 1 to 120 letters, digits, '_', '.', '-'"))
        if (self.content is None) == (self.storage_key is None):
            detail = "is required, or storageKey, and not both"
            problems.append(FieldProblem("/content", "required", detail))
        if self.content is not None and not is_json(self.content_type or JSON):
            detail = "is application/json or application/…+json for inline content"
            problems.append(FieldProblem("/contentType", "invalid", detail))
        if self.description is not None and (len(self.description) > 1_000 or "\0" in self.description):
            problems.append(FieldProblem("/description", "invalid", "takes at most 1000 characters, no NUL"))
        if self.profile is not None and ProfileReference.parse(self.profile) is None:
            problems.append(FieldProblem("/profile", "invalid", "is neither 'key' nor 'key@major.minor'"))
        refuse(problems)


class UploadDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A content to be uploaded."""

    file_name: str
    content_type: str
    size_bytes: int
    sha256: str
    """Hex."""

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself, `TooLarge` above 1 GiB."""
        problems = []
        if not 1 <= len(self.file_name) <= 255 or not _CONTROL.isdisjoint(self.file_name):
            problems.append(FieldProblem("/fileName", "invalid", "takes 1 to 255 characters, no control characters"))
        if not _MEDIA_TYPE.fullmatch(self.content_type):
            problems.append(FieldProblem("/contentType", "invalid", "is not a media type"))
        if self.size_bytes < 1:
            problems.append(FieldProblem("/sizeBytes", "invalid", "must be at least 1"))
        if not _SHA256.fullmatch(self.sha256):
            problems.append(FieldProblem("/sha256", "invalid", "takes 64 hex digits, lower case"))
        refuse(problems)
        if self.size_bytes > MAX_UPLOAD_BYTES:
            raise TooLarge(f"at most {MAX_UPLOAD_BYTES} bytes can be uploaded")


class ArtefactQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions are wanted."""

    name: str | None = None
    profile: ProfileReference | None = None
    latest_only: bool = False
    text: str | None = None
    """Part of the name, in any case."""


# --- bindings --------------------------------------------------------------------------------------------------------


class TargetType(StrEnum):
    """Whom a binding means."""

    DEVICE = "DEVICE"
    COMPONENT = "COMPONENT"
    DEVICE_GROUP = "DEVICE_GROUP"
    DEVICE_PROFILE = "DEVICE_PROFILE"
    SENSOR_PROFILE = "SENSOR_PROFILE"


SINGLE = frozenset({TargetType.DEVICE, TargetType.COMPONENT})
"""Targets that are one device, or a part of it."""


class EntryStatus(StrEnum):
    """How far an entry of a document is on its device (contract section 3)."""

    PENDING = "PENDING"
    """The device has said nothing about this content."""
    IN_PROGRESS = "IN_PROGRESS"
    ACCEPTED = "ACCEPTED"
    """The device has it: it reported its hash."""
    REJECTED = "REJECTED"
    FAILED = "FAILED"


class BindingStatus(StrEnum):
    """What the entries of a binding have in common."""

    PENDING = "PENDING"
    """All of them; or there are none."""
    IN_PROGRESS = "IN_PROGRESS"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    MIXED = "MIXED"


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """An artefact, assigned to a target; and how far its entries are, all together."""

    id: BindingId
    target_type: TargetType
    target_id: UUID
    artefact_id: ArtefactId
    artefact_name: str
    desired_version: int
    """Counts the artefacts it has named."""
    priority: int
    """Of two groups the higher one wins."""
    created_at: datetime
    updated_at: datetime
    version: int
    status: BindingStatus = BindingStatus.PENDING
    pending: int = 0
    in_progress: int = 0
    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    drifting: int = 0
    """Entries whose device reported another hash than it shall have."""
    is_settled: bool = True
    """All devices it means have been worked out."""
    reported_version: int | None = None
    """This and the next two: of the one entry, when the target is a device or a component."""
    reported_hash: str | None = None
    reported_at: datetime | None = None


class BindingDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An assignment to be made, or to take the place of the one of this name."""

    target_type: TargetType
    target: str
    """An id; of a profile `key@major.minor` as well."""
    artefact_id: ArtefactId
    priority: int = 0

    def check(self) -> None:
        """Raises `Invalid` with what is wrong with it by itself."""
        if abs(self.priority) > MAX_PRIORITY:
            raise Invalid.field("/priority", f"must be between -{MAX_PRIORITY} and {MAX_PRIORITY}")


class BindingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which bindings are wanted."""

    target_type: TargetType | None = None
    target_ids: list[UUID] | None = None
    artefact_id: ArtefactId | None = None
    artefact_name: str | None = None
    statuses: list[BindingStatus] = []


# --- documents -------------------------------------------------------------------------------------------------------


class ReportedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a device said about one entry."""

    component_key: str = ""
    """Empty: the device as a whole."""
    artefact_name: str
    version: int
    hash: str
    status: EntryStatus
    message: str | None = None
    at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """What it is about."""
        return self.component_key, self.artefact_name


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One artefact in the document of a device, and how far it is."""

    id: UUID
    device_id: DeviceId
    component_id: ComponentId | None
    component_key: str
    """Empty: for the device as a whole."""
    artefact_name: str
    binding_id: BindingId
    target_type: TargetType
    target_id: UUID
    artefact_id: ArtefactId
    desired_version: int
    hash: str
    status: EntryStatus
    reported_version: int | None
    reported_hash: str | None
    reported_at: datetime | None
    message: str | None
    updated_at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """Its place in the document."""
        return self.component_key, self.artefact_name

    @property
    def drifts(self) -> bool:
        """The device reported another hash than it shall have."""
        return self.reported_hash is not None and self.reported_hash != self.hash


class DesiredState(msgspec.Struct, frozen=True, kw_only=True):
    """What a device shall have beside what it says it has."""

    device_id: DeviceId
    document_version: int
    """0: nothing was ever bound to it."""
    changed_at: datetime | None
    entries: list[Entry]
    contents: dict[ArtefactId, bytes]
    """Canonical JSON."""
    strays: list[ReportedEntry]
    """What it reported and shall not have."""
    reported_version: int | None
    """The document its last report spoke of."""
    reported_at: datetime | None
    sent_at: datetime | None
    arrived_version: int | None
    """The last document it has acknowledged."""
    arrived_at: datetime | None


def settle(hash_: str, desired_version: int, said: ReportedEntry | None) -> EntryStatus:
    """How far an entry is, by the last report about it.

    A report of other content leaves it PENDING. ACCEPTED needs the hash; the others may name the version instead, for
    a device that could not take a content may still speak of the one it has.
    """
    if said is None:
        return EntryStatus.PENDING
    if said.hash == hash_ or (said.status is not EntryStatus.ACCEPTED and said.version == desired_version):
        return said.status
    return EntryStatus.PENDING
