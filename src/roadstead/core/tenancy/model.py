"""What an organization is."""

import re
import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import UNSET, UnsetType

from roadstead.core.work import Change
from roadstead.kernel.errors import Forbidden, Invalid
from roadstead.kernel.ids import TenantId
from roadstead.kernel.time import is_time_zone


class OrganizationStatus(StrEnum):
    """Whether it may work."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DELETING = "DELETING"

    def check_working(self) -> None:
        """Raises `Forbidden` when nobody may work in it."""
        if self is OrganizationStatus.SUSPENDED:
            raise Forbidden("this organization is suspended; ask whoever runs this platform")
        if self is OrganizationStatus.DELETING:
            raise Forbidden("this organization is being deleted; whoever runs this platform can restore it")


_MOST_SIGNING_KEYS = 10


class UnknownSensorPolicy(StrEnum):
    """What becomes of a reading whose sensor nobody has described (contract section 5)."""

    AUTO_CREATE = "AUTO_CREATE"
    QUARANTINE = "QUARANTINE"


class OrganizationSettings(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What an organization can set for itself."""

    retention_days: int | None = None
    """How long readings are kept; None: for ever."""
    time_zone: str = "UTC"
    require_preconditions: bool = False
    """Changes of versioned resources need If-Match."""
    unknown_sensor_policy: UnknownSensorPolicy = UnknownSensorPolicy.AUTO_CREATE
    firmware_signing_keys: list[str] | None = None
    """Public keys (PEM), Ed25519 or ECDSA, one of which must have signed each firmware; None: needs no signature."""

    def changed(self, patch: dict[str, Any]) -> "OrganizationSettings":
        """With the keys of a merge patch (RFC 7396) applied: null puts one back to its default.

        Raises `Invalid` that names the key when it is unknown, has the wrong type or makes no sense.
        """
        merged = {key: value for key, value in {**msgspec.to_builtins(self), **patch}.items() if value is not None}
        try:
            settings = msgspec.convert(merged, OrganizationSettings)
        except msgspec.ValidationError as error:
            raise Invalid.field("/settings", str(error)) from error
        settings.check()
        return settings

    def check(self) -> None:
        """Raises `Invalid` for a value that makes no sense."""
        if self.retention_days is not None and not 1 <= self.retention_days <= 36_500:
            raise Invalid.field("/settings/retentionDays", "must be between 1 and 36500 days")
        if not is_time_zone(self.time_zone):
            raise Invalid.field("/settings/timeZone", "is not a time zone of the IANA database")
        self._check_signing_keys()

    def _check_signing_keys(self) -> None:
        pointer = "/settings/firmwareSigningKeys"
        if self.firmware_signing_keys is not None and not 1 <= len(self.firmware_signing_keys) <= _MOST_SIGNING_KEYS:
            raise Invalid.field(pointer, f"takes 1 to {_MOST_SIGNING_KEYS} keys; null: firmware needs no signature")
        for index, text in enumerate(self.firmware_signing_keys or ()):
            try:
                key: object = load_pem_public_key(text.encode())
            except (ValueError, UnsupportedAlgorithm):
                key = None
            if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
                raise Invalid.field(f"{pointer}/{index}", "is not an Ed25519 or ECDSA public key in PEM")


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant as it is."""

    tenant_id: TenantId
    public_id: UUID
    name: str
    slug: str
    settings: OrganizationSettings
    status: OrganizationStatus
    notes: dict[str, Any] = {}
    """What only one dialect knows, under its name."""
    created_at: datetime
    updated_at: datetime
    version: int


class OrganizationDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An organization to be founded."""

    name: str
    slug: str | None = None
    """Unique over the platform, 3 to 40 of a-z, 0-9 and `-`; None: made from the name."""
    settings: dict[str, Any] = {}
    """A merge patch over the defaults."""
    notes: dict[str, Any] = {}


class OrganizationChange(Change, frozen=True, kw_only=True):
    """What shall be different; what is UNSET stays."""

    name: str | UnsetType = UNSET
    slug: str | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    """A merge patch."""
    notes: dict[str, Any] | UnsetType = UNSET
    """By dialect, those that shall be different."""


def slug_from(name: str) -> str:
    """A slug that resembles a name: `Ångström & Söhne` gives `angstrom-sohne`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:32].strip("-")
    return slug if len(slug) >= 3 else f"org-{slug}".strip("-")
