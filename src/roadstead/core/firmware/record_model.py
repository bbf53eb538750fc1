"""What a firmware is in the Lightelligence dialect, and where it is to be installed."""

from datetime import datetime
from typing import NewType
from uuid import UUID

import msgspec

from roadstead.core.firmware.model import FirmwareId, refuse
from roadstead.kernel.errors import FieldProblem, Invalid
from roadstead.kernel.ids import DeviceId, TypeId

AssociationId = NewType("AssociationId", UUID)
InstallationId = NewType("InstallationId", UUID)

_MOST = 255


class FirmwareRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A firmware, with content or without."""

    id: FirmwareId
    name: str
    label: str | None
    """Its version, in whatever words."""
    description: str | None
    size_bytes: int | None
    """None without content."""
    sha256: bytes | None
    created_at: datetime
    updated_at: datetime


class RecordDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A firmware to be registered."""

    name: str
    label: str | None = None
    description: str | None = None

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        fields = {"name": self.name, "version": self.label, "description": self.description}
        refuse(
            [
                FieldProblem(f"/{field}", "invalid", f"takes at most {_MOST} characters and no NUL")
                for field, text in fields.items()
                if text is not None and (len(text) > _MOST or "\0" in text)
            ]
        )
        if not self.name:
            raise Invalid.field("/name", "must not be empty")


class Association(msgspec.Struct, frozen=True, kw_only=True):
    """A firmware that devices of a type may get into one of their slots."""

    id: AssociationId
    type_id: TypeId
    slot: str
    firmware_id: FirmwareId


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """A firmware that one device shall have in one of its slots."""

    id: InstallationId
    device_id: DeviceId
    firmware_id: FirmwareId
    slot: str
    requested_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    rejected_at: datetime | None = None
    reject_reason: str | None = None


class InstallationReport(msgspec.Struct, frozen=True, kw_only=True):
    """How an installation goes on: one of the three."""

    started_at: datetime | None = None
    completed_at: datetime | None = None
    rejected_at: datetime | None = None
    reject_reason: str | None = None

    def check(self) -> None:
        """Raises `Invalid` with what is wrong with it by itself."""
        told = [self.started_at, self.completed_at, self.rejected_at]
        if len([each for each in told if each is not None]) != 1:
            raise Invalid("exactly one of startedAt, completedAt and rejectedAt must be there")
        if self.reject_reason is not None and self.rejected_at is None:
            raise Invalid.field("/rejectReason", "goes with rejectedAt")
        if self.reject_reason is not None and (len(self.reject_reason) > _MOST or "\0" in self.reject_reason):
            raise Invalid.field("/rejectReason", f"takes at most {_MOST} characters and no NUL")


class InstallationOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a device is told about an installation."""

    installation: Installation
    name: str
    label: str | None
    size_bytes: int
    sha256: bytes
    download_url: str
    """Good for this device, some times and for some days."""
