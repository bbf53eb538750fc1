"""What roles of a tenant are, and what those of somebody add up to."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.identity.permissions import (
    OWNER,
    PERMISSIONS_OF_ROLE,
    READER,
    WRITER,
    Permission,
    grants_of_permissions,
)
from roadstead.core.work import Change
from roadstead.kernel.actor import GRANTS_OF_ROLE, Grant, Role
from roadstead.kernel.errors import Forbidden, Invalid

Standard = Literal["owner", "writer", "reader"]
PERMISSIONS_OF_STANDARD: dict[Standard, frozenset[Permission]] = {"owner": OWNER, "writer": WRITER, "reader": READER}
_NAME = re.compile(r"[a-zA-Z0-9_\- ]{3,32}")
_MOST_DESCRIPTION = 1024
_MOST_CUSTOM = 1000


class HeldRole(msgspec.Struct, frozen=True, kw_only=True):
    """What a role lets somebody do."""

    standard: Standard | None = None
    """Which of the three it is that every tenant has; None: one of its own making."""
    permissions: list[Permission] = []
    """As they lie in the database: none for a standard role. Look at `all_permissions`."""
    custom_permissions: list[UUID] = []
    """Those that applications have brought along."""

    @property
    def all_permissions(self) -> frozenset[Permission]:
        """Its own, or those of a standard role."""
        return frozenset(self.permissions) if self.standard is None else PERMISSIONS_OF_STANDARD[self.standard]


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody may do in a tenant."""

    role: Role
    """The nearest one of the platform."""
    permissions: frozenset[Permission]
    custom_permissions: frozenset[UUID]
    grants: frozenset[Grant]
    """In the core, and so through the native API."""


def rights_of(role: Role, held: Sequence[HeldRole] | None) -> Rights:
    """What somebody may do who has these roles of the tenant; with none, what their role on the platform says."""
    if not held:
        return Rights(
            role=role,
            permissions=PERMISSIONS_OF_ROLE[role],
            custom_permissions=frozenset(),
            grants=GRANTS_OF_ROLE[role],
        )
    permissions = frozenset[Permission]().union(*(each.all_permissions for each in held))
    nearest = _nearest(held, permissions)
    grants = grants_of_permissions(permissions)
    if permissions >= PERMISSIONS_OF_ROLE[nearest]:
        grants |= GRANTS_OF_ROLE[nearest]
    return Rights(
        role=nearest,
        permissions=permissions,
        custom_permissions=frozenset(one for each in held for one in each.custom_permissions),
        grants=grants,
    )


def _nearest(held: Sequence[HeldRole], permissions: frozenset[Permission]) -> Role:
    if any(each.standard == "owner" for each in held):
        return Role.OWNER
    return Role.ADMIN if permissions >= PERMISSIONS_OF_ROLE[Role.ADMIN] else Role.MEMBER


def check_covers(own: Rights, other: Rights) -> None:
    """Nobody gives, or takes away, more than they have: raises `Forbidden`.

    Permissions of applications do not count: whoever manages users gives them to those who need them.
    """
    missing = sorted({*other.permissions - own.permissions, *other.grants - own.grants})
    if missing:
        raise Forbidden(f"this needs rights you do not have yourself: {', '.join(missing)}", code="scope-missing")


class RoleName(msgspec.Struct, frozen=True, kw_only=True):
    """A role, as it is shown beside somebody who has it."""

    id: UUID
    name: str
    description: str
    standard: Standard | None = None


class TenantRole(HeldRole, frozen=True, kw_only=True):
    """A role of a tenant. The standard ones stay as they are."""

    id: UUID
    name: str
    description: str
    members: int
    """How many have it."""
    created_at: datetime
    updated_at: datetime


class RoleDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A role to be made."""

    name: str
    description: str = ""
    permissions: Sequence[Permission] = ()
    custom_permissions: Sequence[UUID] = ()

    def check(self) -> None:
        """Raises `Invalid` for a value that is not allowed."""
        if not _NAME.fullmatch(self.name):
            raise Invalid.field("/name", "must have 3 to 32 letters, digits, blanks, '_' or '-'")
        if len(self.description) > _MOST_DESCRIPTION:
            raise Invalid.field("/description", f"has more than {_MOST_DESCRIPTION} characters")
        if len(self.custom_permissions) > _MOST_CUSTOM:
            raise Invalid.field("/customPermissions", f"are more than {_MOST_CUSTOM}")


class RoleChange(Change, frozen=True, kw_only=True):
    """What shall be different; what is UNSET stays. Lists are replaced as a whole."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    permissions: Sequence[Permission] | UnsetType = UNSET
    custom_permissions: Sequence[UUID] | UnsetType = UNSET


OfferStatus = Literal["open", "accepted", "declined"]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation as those see it who were invited."""

    id: UUID
    email: str
    invited_by: UUID
    created_at: datetime
    status: OfferStatus
    organization_id: UUID
    organization_name: str
    roles: list[RoleName]


class OwnTenant(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant of somebody, with the roles they have there."""

    organization_id: UUID
    name: str
    status: str
    roles: list[RoleName]
