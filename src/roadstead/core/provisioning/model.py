"""What registration tokens and the credentials of devices are."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from roadstead.kernel.errors import Forbidden, RoadsteadError, Unauthenticated
from roadstead.kernel.ids import DeviceId, KeyId, TenantId, parse_uuid

DEFAULT_TOKEN_LIFE = timedelta(hours=24)
OVERLAP = timedelta(days=7)
"""After a renewal the old certificate is still taken so long: the answer with the new one may have been lost."""

_SECRET_LENGTH = 43  # base64url of 32 bytes


# --- registration tokens ---------------------------------------------------------------------------------------------


class TokenText(msgspec.Struct, frozen=True):
    """A registration token as the device carries it: `<token id>.<device id>.<secret>`."""

    id: UUID
    device_id: DeviceId
    secret: str

    @classmethod
    def mint(cls, id_: UUID, device_id: DeviceId) -> "TokenText":
        """With a fresh secret of 256 bits."""
        return cls(id_, device_id, secrets.token_urlsafe(32))

    @classmethod
    def parse(cls, text: str) -> "TokenText | None":
        """The three parts, or None when this cannot be a token of ours."""
        parts = text.split(".")
        if len(parts) != 3 or len(parts[2]) != _SECRET_LENGTH or not parts[2].isascii():
            return None
        id_, device_id = parse_uuid(parts[0]), parse_uuid(parts[1])
        return cls(id_, DeviceId(device_id), parts[2]) if id_ and device_id else None

    def spell(self) -> str:
        """The text again."""
        return f"{self.id}.{self.device_id}.{self.secret}"

    def hash(self) -> bytes:
        """What is stored instead of the secret. The secret is random, so a plain hash cannot be searched."""
        return hashlib.sha256(self.secret.encode()).digest()

    def fits(self, secret_hash: bytes) -> bool:
        """Whether this is the token with that hash."""
        return hmac.compare_digest(self.hash(), secret_hash)


class TokenStatus(StrEnum):
    """Where a token is in its life (contract section 3)."""

    PENDING = "PENDING"
    USED = "USED"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


class RegistrationToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is, without its text."""

    id: UUID
    device_id: DeviceId
    device_name: str
    status: TokenStatus
    created_by: UUID
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    used_address: str | None = None
    revoked_at: datetime | None = None


class MintedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token at the only moment when its text is known."""

    text: str
    id: UUID
    device_id: DeviceId
    device_name: str
    expires_at: datetime


class HeldToken(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a token that somebody presents."""

    tenant_id: TenantId
    organization_id: UUID
    organization_status: str
    device_id: DeviceId
    device_name: str
    secret_hash: bytes
    status: TokenStatus


# --- credentials -----------------------------------------------------------------------------------------------------


class CredentialStatus(StrEnum):
    """What a certificate is worth (contract schema `DeviceCredential`)."""

    ACTIVE = "ACTIVE"
    SUPERSEDED = "SUPERSEDED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    INACTIVE = "INACTIVE"
    """Somebody keeps it out until further notice."""


class Withheld(StrEnum):
    """Why somebody keeps a certificate out that would be good by itself; that can be taken back."""

    EXPIRED = "EXPIRED"
    INACTIVE = "INACTIVE"


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate by which a device is known."""

    id: UUID
    device_id: DeviceId
    dialect: str
    """Whose topics and payloads the device speaks."""
    fingerprint: bytes
    """SHA-256 of the DER form."""
    serial_number: str
    """Hex. Unique among those issued here only."""
    subject: str
    issued_here: bool
    not_before: datetime
    not_after: datetime
    created_at: datetime
    superseded_at: datetime | None = None
    """From when on a successor has its place; that may lie ahead."""
    revoked_at: datetime | None = None
    revoke_reason: str | None = None
    withheld: Withheld | None = None
    der: bytes | None = None
    """The certificate itself; None when it came before that was kept."""

    def status(self, now: datetime) -> CredentialStatus:
        """What it is worth at an instant."""
        return status_of(self.revoked_at, self.superseded_at, self.not_after, self.withheld, now)


def status_of(
    revoked_at: datetime | None,
    superseded_at: datetime | None,
    not_after: datetime,
    withheld: Withheld | None,
    now: datetime,
) -> CredentialStatus:
    """The strongest reason against a certificate, or ACTIVE."""
    if revoked_at is not None:
        return CredentialStatus.REVOKED
    if superseded_at is not None and superseded_at <= now:
        return CredentialStatus.SUPERSEDED
    if withheld is not None:
        return CredentialStatus(withheld)
    return CredentialStatus.EXPIRED if not_after <= now else CredentialStatus.ACTIVE


class DeviceIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which device is at the door."""

    tenant_id: TenantId
    organization_id: UUID
    device_id: DeviceId
    device_name: str
    dialect: str
    fingerprint: bytes | None = None
    """Of the certificate that said so."""
    key_id: KeyId | None = None
    """Of the API key that said so."""
    expires_at: datetime | None = None
    """When that certificate or key comes to its end, if it does by itself."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A device that presents a credential, before anybody has judged it."""

    tenant_id: TenantId
    organization_id: UUID
    organization_status: str
    device_id: DeviceId
    device_name: str
    device_status: str
    dialect: str = "native"
    fingerprint: bytes | None = None
    not_after: datetime | None = None
    superseded_at: datetime | None = None
    revoked_at: datetime | None = None
    revoke_reason: str | None = None
    withheld: Withheld | None = None

    def admit(self, now: datetime) -> DeviceIdentity:
        """Who it is. Raises `Unauthenticated` for a credential that is no longer good, `Forbidden` for the rest."""
        refusal = self._refusal(now)
        if refusal is not None:
            raise refusal
        return DeviceIdentity(
            tenant_id=self.tenant_id,
            organization_id=self.organization_id,
            device_id=self.device_id,
            device_name=self.device_name,
            dialect=self.dialect,
            fingerprint=self.fingerprint,
            expires_at=min((end for end in (self.not_after, self.superseded_at) if end is not None), default=None),
        )

    def _refusal(self, now: datetime) -> RoadsteadError | None:
        if self.not_after is not None:
            status = status_of(self.revoked_at, self.superseded_at, self.not_after, self.withheld, now)
            if status is CredentialStatus.REVOKED:
                why = f": {self.revoke_reason}" if self.revoke_reason else ""
                return Unauthenticated(f"the certificate has been revoked{why}")
            if status is CredentialStatus.SUPERSEDED:
                return Unauthenticated("the certificate has been superseded by a newer one")
            if status is CredentialStatus.EXPIRED:
                return Unauthenticated("the certificate has expired")
            if status is CredentialStatus.INACTIVE:
                return Unauthenticated("the certificate is inactive")
        if self.organization_status != "ACTIVE":
            return Forbidden(f"the organization is {self.organization_status.lower()}")
        if self.device_status == "INACTIVE":
            return Forbidden("the device is inactive")
        return None


# --- what a device gets ----------------------------------------------------------------------------------------------


class Provisioned(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate on its way to its device."""

    device_id: DeviceId
    organization_id: UUID
    certificate: str
    """PEM."""
    authorities: str
    """PEM: intermediate, then root."""
    not_after: datetime
