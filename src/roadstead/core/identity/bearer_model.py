"""What tokens are that programs hold: of people, of spaces."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.identity.model import Person
from roadstead.core.work import Change
from roadstead.kernel.actor import GRANTS_OF_ROLE, Actor, Grant, Role
from roadstead.kernel.ids import SpaceId, UserId


class TokenRole(StrEnum):
    """How much of what a person may do in an organization a token of theirs is for."""

    ADMIN = "admin"
    EDIT = "edit"
    COLLABORATE = "collaborate"
    VIEW = "view"
    NONE = "none"


_VIEW = frozenset(grant for grant in GRANTS_OF_ROLE[Role.MEMBER] if grant.endswith(":read"))
GRANTS_OF_TOKEN_ROLE: Mapping[TokenRole, frozenset[Grant]] = {
    TokenRole.ADMIN: GRANTS_OF_ROLE[Role.OWNER],
    TokenRole.EDIT: GRANTS_OF_ROLE[Role.MEMBER],
    TokenRole.COLLABORATE: _VIEW | {Grant.COMMANDS_WRITE, Grant.EVENTS_WRITE, Grant.ALERTS_WRITE, Grant.EXPORTS_WRITE},
    TokenRole.VIEW: _VIEW,
    TokenRole.NONE: frozenset(),
}
GRANTS_OF_SPACE = GRANTS_OF_ROLE[Role.OWNER] - {
    Grant.ORGANIZATION_WRITE,
    Grant.ORGANIZATION_DELETE,
    Grant.MEMBERS_WRITE,
    Grant.APPLICATIONS_READ,
    Grant.APPLICATIONS_WRITE,
    Grant.AUDIT_READ,
}
"""What a token of a space can be for at most."""


class RoleIn(msgspec.Struct, frozen=True, rename="camel"):
    """What a token is for in one organization."""

    organization_id: UUID
    role: TokenRole


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was made for a program. Its text is not here, nor anywhere."""

    id: UUID
    name: str
    description: str
    scopes: list[str]
    """In the words of the dialect that asks for them."""
    enabled: bool
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None


class PersonToken(ApiToken, frozen=True, kw_only=True):
    """For what a person may do in all their organizations, or less."""

    person_id: UserId
    default_role: TokenRole = TokenRole.ADMIN
    roles: list[RoleIn] = []
    """Where it is another."""

    @property
    def is_limited(self) -> bool:
        """Whether it is for less than its person may do somewhere."""
        return any(role is not TokenRole.ADMIN for role in (self.default_role, *(each.role for each in self.roles)))

    def role_in(self, organization_id: UUID) -> TokenRole:
        """What it is for in an organization."""
        return next((each.role for each in self.roles if each.organization_id == organization_id), self.default_role)


class SpaceToken(ApiToken, frozen=True, kw_only=True):
    """For one space alone."""

    space_id: SpaceId
    grants: list[str]
    created_by: UUID
    created_by_kind: str
    created_by_name: str


class TokenDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A token to be made."""

    name: str
    description: str = ""
    scopes: Sequence[str]
    enabled: bool = True
    expires_at: datetime | None = None


class RolesDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What a person's token is to be for."""

    default_role: TokenRole = TokenRole.ADMIN
    roles: Sequence[RoleIn] = ()


class TokenChange(Change, frozen=True, kw_only=True):
    """What shall be different; what is UNSET stays. Scopes and the end stay for ever."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class PersonTokenChange(TokenChange, frozen=True, kw_only=True):
    """The same for a person's."""

    default_role: TokenRole | UnsetType = UNSET
    roles: list[RoleIn] | UnsetType = UNSET


class Issued(msgspec.Struct, frozen=True):
    """The text of a token, which is shown this once, and whose it is."""

    text: str
    token_id: UUID
    person_id: UserId


class TokenHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Who shows a token."""

    actors: Sequence[Actor]
    """In each organization where they may work, the one used last first."""
    scopes: frozenset[str]
    space_id: SpaceId | None = None
    """The only one that it opens; None: all that are theirs."""
    person: Person | None = None
    """None: a program of a space."""
    is_limited: bool = False
    """Whether it is for less than its person may do, other than by scopes."""
