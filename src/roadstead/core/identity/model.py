"""What people, sessions and keys are."""

import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.identity.role_model import HeldRole, RoleName, rights_of
from roadstead.core.tenancy import Organization
from roadstead.core.work import Change, Entry
from roadstead.kernel.actor import GRANTS_OF_ROLE, Actor, ActorKind, Grant, Role
from roadstead.kernel.errors import Forbidden, Invalid
from roadstead.kernel.ids import KeyId, TenantId, UserId
from roadstead.kernel.time import is_time_zone

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)*")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_MOST_PREFERENCES_BYTES = 10_240


def check_email(email: str, *, field: str = "/email") -> None:
    """Raises `Invalid` for what cannot be an address; whether it is one, only mail can tell."""
    if len(email) > 254 or not _EMAIL.fullmatch(email):
        raise Invalid.field(field, "is not an e-mail address")


def check_within(grants: frozenset[Grant], wanted: Sequence[Grant] | frozenset[Grant]) -> None:
    """Nobody hands out, or takes hold of, more than they have: raises `Forbidden`."""
    missing = sorted(set(wanted) - grants)
    if missing:
        raise Forbidden(f"this needs rights you do not have yourself: {', '.join(missing)}", code="scope-missing")


# --- people ----------------------------------------------------------------------------------------------------------


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with an account, as the members of their organizations may see them."""

    id: UserId
    email: str
    name: str
    locale: str | None = None
    time_zone: str | None = None
    preferences: dict[str, Any] = {}
    totp_confirmed_at: datetime | None = None

    @property
    def first_name(self) -> str:
        """All words of the name but the last, or the only one."""
        return split_name(self.name)[0]

    @property
    def last_name(self) -> str:
        """The last word of the name, if it has several."""
        return split_name(self.name)[1]

    @property
    def display_name(self) -> str:
        """The name, or the address of those who gave none."""
        return self.name or self.email


def split_name(name: str) -> tuple[str, str]:
    """First and last name, for those who ask for both; we have the whole."""
    first, _, last = name.strip().rpartition(" ")
    return (first.strip(), last) if first else (last, "")


class PersonChange(Change, frozen=True, kw_only=True):
    """What shall be different; what is UNSET stays, None clears."""

    name: str | UnsetType = UNSET
    locale: str | UnsetType | None = UNSET
    time_zone: str | UnsetType | None = UNSET
    preferences: dict[str, Any] | UnsetType = UNSET
    """A merge patch (RFC 7396), key by key."""

    def check(self) -> None:
        """Raises `Invalid` for a value that makes no sense."""
        if isinstance(self.locale, str) and not _LOCALE.fullmatch(self.locale):
            raise Invalid.field("/locale", "is not a language tag such as de-CH")
        if isinstance(self.time_zone, str) and not is_time_zone(self.time_zone):
            raise Invalid.field("/timeZone", "is not a time zone of the IANA database")

    def applied(self, person: Person) -> Person:
        """The person as they shall be."""
        sent = self.sent()
        if self.preferences is not UNSET:
            merged = {**person.preferences, **self.preferences}
            sent["preferences"] = {key: value for key, value in merged.items() if value is not None}
            if len(msgspec.json.encode(sent["preferences"])) > _MOST_PREFERENCES_BYTES:
                raise Invalid.field("/preferences", "may not be larger than 10 KB")
        return msgspec.structs.replace(person, **sent)


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What a person can prove themselves with."""

    password_hash: str | None
    totp_secret: bytes | None
    """Sealed. Asked for at sign-in once it was confirmed."""
    totp_confirmed_at: datetime | None


# --- members and invitations -----------------------------------------------------------------------------------------


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A person in an organization."""

    person_id: UserId
    email: str
    name: str
    role: Role
    joined_at: datetime
    last_seen_at: datetime | None = None


class RoledMember(msgspec.Struct, frozen=True, kw_only=True):
    """A person in an organization, with the roles they have there."""

    person_id: UserId
    email: str
    name: str
    totp_confirmed_at: datetime | None
    roles: list[RoleName]

    @property
    def first_name(self) -> str:
        """All words of the name but the last, or the only one."""
        return split_name(self.name)[0]

    @property
    def last_name(self) -> str:
        """The last word of the name, if it has several."""
        return split_name(self.name)[1]


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """An organization of a person."""

    tenant_id: TenantId
    organization_id: UUID
    status: str
    role: Role
    held: list[HeldRole] | None = None
    """What they were given beside it."""

    def actor(self, person: Person, entry: Entry, *, session_id: UUID | None = None) -> Actor:
        """The person as somebody who asks for something in this organization."""
        return Actor(
            kind=ActorKind.USER,
            id=person.id,
            name=person.display_name,
            tenant_id=self.tenant_id,
            organization_id=self.organization_id,
            grants=rights_of(self.role, self.held).grants,
            role=self.role,
            session_id=session_id,
            request_id=entry.request_id,
            address=entry.address,
        )


class InvitationStatus(StrEnum):
    """Where an invitation stands."""

    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody was asked to join."""

    tenant_id: TenantId
    id: UUID
    email: str
    role: Role
    invited_by: UUID
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None = None
    revoked_at: datetime | None = None
    declined_at: datetime | None = None

    def status(self, now: datetime) -> InvitationStatus:
        """Where it stands at an instant."""
        if self.accepted_at is not None:
            return InvitationStatus.ACCEPTED
        if self.revoked_at is not None:
            return InvitationStatus.REVOKED
        if self.declined_at is not None:
            return InvitationStatus.DECLINED
        return InvitationStatus.EXPIRED if self.expires_at <= now else InvitationStatus.PENDING


# --- sessions --------------------------------------------------------------------------------------------------------


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A person who has signed in to an organization, on one machine."""

    tenant_id: TenantId
    id: UUID
    person_id: UserId
    address: str
    created_at: datetime
    expires_at: datetime


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody gets who has signed in. Both tokens are shown this once."""

    access_token: str
    expires_in_s: int
    refresh_token: str
    person: Person
    organization: Organization


class SecondFactor(msgspec.Struct, frozen=True):
    """What an authenticator app needs to know, shown once; the URI is what its QR code holds."""

    secret: str
    uri: str


# --- API keys --------------------------------------------------------------------------------------------------------


class Environment(StrEnum):
    """A label that can be read off a key; both kinds see the same data."""

    LIVE = "LIVE"
    TEST = "TEST"


class KeyStatus(StrEnum):
    """Whether a key is good."""

    ACTIVE = "ACTIVE"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A credential of a machine. Its secret is not here, nor anywhere."""

    id: KeyId
    name: str
    prefix: str
    """The first letters of the secret, so that people can tell keys apart."""
    environment: Environment
    scopes: list[str]
    allowed_cidrs: list[str]
    """Networks it may be used from; empty: from anywhere."""
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    version: int = 1

    def status(self, now: datetime) -> KeyStatus:
        """Whether it is good at an instant."""
        if self.revoked_at is not None:
            return KeyStatus.REVOKED
        return KeyStatus.EXPIRED if self.expires_at is not None and self.expires_at <= now else KeyStatus.ACTIVE


class KeyDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be made."""

    name: str
    environment: Environment = Environment.LIVE
    scopes: Sequence[str] | None = None
    """None: all rights of whoever makes it."""
    expires_at: datetime | None = None
    allowed_cidrs: Sequence[str] = ()


class KeyChange(Change, frozen=True, kw_only=True):
    """What shall be different; what is UNSET stays."""

    name: str | UnsetType = UNSET
    scopes: Sequence[str] | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    allowed_cidrs: Sequence[str] | UnsetType = UNSET


class NewKey(msgspec.Struct, frozen=True):
    """A key with its secret, which is shown this once."""

    key: ApiKey
    secret: str


def read_scopes(texts: Sequence[str]) -> list[Grant]:
    """Scopes in order, each once. Raises `Invalid` that names the first we do not know, or when there is none."""
    if not texts:
        raise Invalid.field("/scopes", "must name at least one scope")
    scopes = []
    for index, text in enumerate(texts):
        try:
            scopes.append(Grant(text))
        except ValueError as error:
            raise Invalid.field(f"/scopes/{index}", f"'{text}' is not a scope") from error
    return sorted(set(scopes))


def read_networks(texts: Sequence[str]) -> list[str]:
    """Networks in canonical form. Raises `Invalid` that names the first that is none."""
    networks = []
    for index, text in enumerate(texts):
        try:
            networks.append(str(ipaddress.ip_network(text, strict=False)))
        except ValueError as error:
            raise Invalid.field(
                f"/allowedCidrs/{index}", "is not an address or a network such as 10.1.0.0/16"
            ) from error
    return networks


def is_within(address: str, networks: Sequence[str]) -> bool:
    """Whether an address lies in one of the networks; IPv4 inside IPv6 is taken for IPv4."""
    try:
        place = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(place, ipaddress.IPv6Address) and place.ipv4_mapped is not None:
        place = place.ipv4_mapped
    return any(place in ipaddress.ip_network(network) for network in networks)


def grants_of(role: Role) -> frozenset[Grant]:
    """What a role may do."""
    return GRANTS_OF_ROLE[role]
