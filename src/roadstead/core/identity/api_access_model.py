"""What API access of a project is: a key and a secret with which servers sign their own tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.work import Change
from roadstead.kernel.actor import Actor
from roadstead.kernel.errors import Invalid

_MOST_LETTERS = 200


class AccessLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What it may do: everything its maker might, or what these roles of the project permit."""

    admin: bool = False
    role: list[str] | UnsetType = UNSET
    """Names of roles."""

    @property
    def role_names(self) -> Sequence[str] | None:
        """None: it is not limited to roles."""
        return None if self.admin or self.role is UNSET else self.role


class ApiAccess(msgspec.Struct, frozen=True, kw_only=True):
    """One of them. Its secret is not here."""

    id: UUID
    """The key, and the issuer of its tokens."""
    name: str
    permissions: AccessLimits
    scopes: list[str]
    """What it can do at most: what whoever made it could."""
    enabled: bool = True
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None = None

    def check(self) -> None:
        """Raises `Invalid` for a value that is not allowed."""
        if not 1 <= len(self.name) <= _MOST_LETTERS:
            raise Invalid.field("/name", f"must have 1 to {_MOST_LETTERS} characters")


class NewApiAccess(msgspec.Struct, frozen=True):
    """One with its secret, which is shown this once."""

    access: ApiAccess
    secret: str


class ApiAccessChange(Change, frozen=True, kw_only=True):
    """What shall be different; what is UNSET stays."""

    name: str | UnsetType = UNSET
    permissions: AccessLimits | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class ApiAccessHolder(msgspec.Struct, frozen=True):
    """Who shows a token of an API access."""

    actor: Actor
    role_names: Sequence[str] | None
    """The roles it is limited to."""


class Audience(msgspec.Struct, frozen=True):
    """Whom tokens must be meant for."""

    urls: frozenset[str]
    strict: bool
    """Else anybody: programs that change only the host they call go on naming the old one."""

    def accepts(self, claimed: Any) -> bool:
        """Whether a token with this `aud` is for us."""
        named = claimed if isinstance(claimed, list) else [claimed]
        return not self.strict or any(isinstance(one, str) and one.rstrip("/") in self.urls for one in named)


ANYBODY = Audience(frozenset(), strict=False)
"""Whomever a token is meant for."""
