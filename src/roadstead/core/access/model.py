"""What roles of a project are, on what somebody has them, and what that adds up to."""

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.access.catalogue import EVERY_GRANT, GRANTS_ON_DEVICES, KnownPermission, grants_of
from roadstead.core.work import Change, Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import UserId

_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_DOTLESS = re.compile(r"[^.\x00-\x1f\x7f]{1,128}")


class ResourceType(StrEnum):
    """On what somebody can have a role; the names are those of the dialect that has them."""

    PROJECT = "project"
    SYSTEM = "system"
    DEVICE = "device"


class Resource(msgspec.Struct, frozen=True):
    """What a role is held on. The project is the tenant, by its public id."""

    type: ResourceType
    id: UUID


class PermissionName(msgspec.Struct, frozen=True, order=True):
    """A permission, as roles name it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    def check(self) -> None:
        """Raises `Invalid` for a name that is not allowed."""
        if not _DOTLESS.fullmatch(self.module):
            raise Invalid.field("/module", "must have 1 to 128 characters and no dot")
        if not _NAME.fullmatch(self.name):
            raise Invalid.field("/name", "must have 1 to 128 characters")


class HeldRole(msgspec.Struct, frozen=True, kw_only=True):
    """A role that somebody has on something."""

    resource_type: ResourceType
    resource_id: UUID
    everything: bool
    permissions: list[PermissionName]

    @property
    def resource(self) -> Resource:
        """On what."""
        return Resource(self.resource_type, self.resource_id)

    @property
    def grants(self) -> frozenset[Grant]:
        """What it lets somebody do in the core."""
        if not self.everything:
            return frozenset[Grant]().union(*(grants_of(str(one)) for one in self.permissions))
        return EVERY_GRANT if self.resource_type is ResourceType.PROJECT else GRANTS_ON_DEVICES

    def permits(self, wanted: Collection[str]) -> bool:
        """Whether one of these permissions is in it."""
        return self.everything or any(str(one) in wanted for one in self.permissions)


class Standing(msgspec.Struct, frozen=True):
    """What somebody may do where: looked up once per request. The actor's grants are all they may do somewhere."""

    held: Sequence[HeldRole]
    own: frozenset[Grant]
    """What they may do without any binding, everywhere in the tenant."""

    @property
    def grants(self) -> frozenset[Grant]:
        """What they may do somewhere, in the core; whether it is here is asked before (decision 0017)."""
        return frozenset[Grant]().union(*(one.grants for one in self.held))

    def places(self, wanted: Collection[str]) -> frozenset[Resource]:
        """Where one of these permissions is held."""
        return frozenset(one.resource for one in self.held if one.permits(wanted))

    def may(self, wanted: Collection[str], places: Iterable[Resource]) -> bool:
        """Whether one of these permissions is held on one of these: a thing, and what it lies in."""
        return not self.places(wanted).isdisjoint(places)

    def has_everything(self, places: Collection[Resource]) -> bool:
        """Whether a role with everything is held on one of these."""
        return any(one.everything and one.resource in places for one in self.held)


def standing_of(work: Work) -> Standing | None:
    """What the caller may do where; None when everything they may do they may do everywhere."""
    standing = work.actor.standing
    return standing if isinstance(standing, Standing) else None


class AccessRole(msgspec.Struct, frozen=True, kw_only=True):
    """A role of a project."""

    number: int
    name: str
    display_name: str | None
    category: str
    description: str | None
    metadata: dict[str, Any]
    everything: bool
    """The one that every project has; it stays as it is."""
    permissions: list[PermissionName]
    created_at: datetime
    updated_at: datetime


class AccessRoleDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A role to be made."""

    name: str
    display_name: str | None = None
    category: str = "custom"
    description: str | None = None
    metadata: dict[str, Any] = {}

    def check(self) -> None:
        """Raises `Invalid` for a value that is not allowed."""
        for field in ("name", "category"):
            if not _NAME.fullmatch(getattr(self, field)):
                raise Invalid.field(f"/{field}", "must have 1 to 128 characters")


class AccessRoleChange(Change, frozen=True, kw_only=True):
    """What shall be different; what is UNSET stays."""

    name: str | UnsetType = UNSET
    display_name: str | UnsetType | None = UNSET
    category: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class CustomPermission(msgspec.Struct, frozen=True, kw_only=True):
    """A permission of a project's own making: it means something to its programs, which ask with `can`."""

    number: int
    module: str
    name: str
    display_name: str | None
    description: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def known(self) -> KnownPermission:
        """As one of all that there are."""
        return KnownPermission(category="custom", **msgspec.structs.asdict(self))

    @property
    def full_name(self) -> PermissionName:
        """As roles name it."""
        return PermissionName(self.module, self.name)


class PermissionDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A permission to be made."""

    module: str
    name: str
    display_name: str | None = None
    description: str | None = None


class PermissionChange(Change, frozen=True, kw_only=True):
    """What shall be different; what is UNSET stays."""

    module: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    display_name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """What permissions of a project's own making are sorted by."""

    name: str
    display_name: str | None
    description: str | None
    created_at: datetime
    updated_at: datetime


class ModuleDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A module to be made."""

    name: str
    display_name: str | None = None
    description: str | None = None


class ModuleChange(Change, frozen=True, kw_only=True):
    """What shall be different; what is UNSET stays."""

    name: str | UnsetType = UNSET
    display_name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """That somebody has a role on something."""

    person_id: UserId
    role_number: int
    resource_type: ResourceType
    resource_id: UUID
    created_at: datetime


class BindingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which bindings are meant: those that have all that is named."""

    person_ids: Sequence[UUID] | None = None
    role_numbers: Sequence[int] | None = None
    resource_ids: Sequence[UUID] | None = None
    resource_type: ResourceType | None = None
