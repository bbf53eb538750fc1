"""Who asks: a person, a key, a device, or the platform itself; and what each may do."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from roadstead.kernel.ids import DeviceId, SpaceId, TenantId


class Grant(StrEnum):
    """One right. The native API spells them as scopes: `<area>:<verb>` (contract section 1)."""

    ORGANIZATION_READ = "organization:read"
    ORGANIZATION_WRITE = "organization:write"
    ORGANIZATION_DELETE = "organization:delete"
    MEMBERS_WRITE = "members:write"
    API_KEYS_READ = "api-keys:read"
    API_KEYS_WRITE = "api-keys:write"
    APPLICATIONS_READ = "applications:read"
    APPLICATIONS_WRITE = "applications:write"
    AUDIT_READ = "audit:read"
    DEVICES_READ = "devices:read"
    DEVICES_WRITE = "devices:write"
    CREDENTIALS_WRITE = "credentials:write"
    PROVISIONING_READ = "provisioning:read"
    PROVISIONING_WRITE = "provisioning:write"
    PROFILES_READ = "profiles:read"
    PROFILES_WRITE = "profiles:write"
    READINGS_READ = "readings:read"
    READINGS_WRITE = "readings:write"
    READINGS_DELETE = "readings:delete"
    QUARANTINE_READ = "quarantine:read"
    QUARANTINE_WRITE = "quarantine:write"
    EVENTS_READ = "events:read"
    EVENTS_WRITE = "events:write"
    ALERTS_READ = "alerts:read"
    ALERTS_WRITE = "alerts:write"
    COMMANDS_READ = "commands:read"
    COMMANDS_WRITE = "commands:write"
    CONFIG_READ = "config:read"
    CONFIG_WRITE = "config:write"
    EXPORTS_READ = "exports:read"
    EXPORTS_WRITE = "exports:write"
    FIRMWARE_READ = "firmware:read"
    FIRMWARE_WRITE = "firmware:write"


class Role(StrEnum):
    """What a person is in an organization (contract section 1)."""

    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"


_MEMBER = frozenset(
    {
        Grant.ORGANIZATION_READ,
        Grant.APPLICATIONS_READ,
        Grant.DEVICES_READ,
        Grant.DEVICES_WRITE,
        Grant.PROVISIONING_READ,
        Grant.PROVISIONING_WRITE,
        Grant.PROFILES_READ,
        Grant.READINGS_READ,
        Grant.READINGS_WRITE,
        Grant.EVENTS_READ,
        Grant.EVENTS_WRITE,
        Grant.ALERTS_READ,
        Grant.ALERTS_WRITE,
        Grant.COMMANDS_READ,
        Grant.COMMANDS_WRITE,
        Grant.CONFIG_READ,
        Grant.EXPORTS_READ,
        Grant.EXPORTS_WRITE,
        Grant.FIRMWARE_READ,
    }
)
_ALL = frozenset(Grant)

GRANTS_OF_ROLE: dict[Role, frozenset[Grant]] = {
    Role.OWNER: _ALL,
    Role.ADMIN: _ALL - {Grant.ORGANIZATION_DELETE},
    Role.MEMBER: _MEMBER,
}


class ActorKind(StrEnum):
    """What sort of caller this is, as the audit log names it."""

    USER = "USER"
    API_KEY = "API_KEY"
    APPLICATION = "APPLICATION"
    DEVICE = "DEVICE"
    SYSTEM = "SYSTEM"


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """The devices of one space that somebody sees: these and those with one of the tags; with neither, all of it."""

    space_id: SpaceId
    device_ids: Sequence[DeviceId] = ()
    tags: Sequence[tuple[str | None, str | None]] = ()
    """Key and value; one of the two may be any."""

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the space."""
        return not self.device_ids and not self.tags


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who asks for something within one tenant."""

    kind: ActorKind
    id: UUID
    name: str
    tenant_id: TenantId
    organization_id: UUID
    """The tenant's public id."""
    grants: frozenset[Grant]
    role: Role | None = None
    session_id: UUID | None = None
    request_id: str = ""
    address: str = ""
    """Where the request came from, for the audit log."""
    standing: object = None
    """What they may do on single resources beside that; for the room that knows (`access`)."""
    expires_at: datetime | None = None
    """When the credential that says so comes to its end, if it does by itself."""
    client_id: str | None = None
    """The client of a realm through which a person came, for the audit log."""
    reach: Reach | None = None
    """Which devices it sees, if those are not all of its organization."""
    carries: frozenset[UUID] = frozenset()
    """Devices that this device speaks for as well."""

    def speaks_for(self, device_id: UUID) -> bool:
        """Whether it may say something in this device's name: a device for itself and what it carries, others for all
        of theirs."""
        return self.kind is not ActorKind.DEVICE or self.id == device_id or device_id in self.carries


NOBODY = UUID(int=0)
"""The id of the platform itself when it acts on its own."""


def system_actor(tenant_id: TenantId, organization_id: UUID, *, name: str = "system") -> Actor:
    """The platform acting within a tenant: workers, the command line."""
    return Actor(
        kind=ActorKind.SYSTEM,
        id=NOBODY,
        name=name,
        tenant_id=tenant_id,
        organization_id=organization_id,
        grants=_ALL,
    )
