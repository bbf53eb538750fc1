"""What spaces are, and the people to call about them."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.registry.checks import check_metadata, check_text, refuse
from roadstead.core.work import Change
from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.ids import SpaceId

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a tenant within which names of devices are unique; every tenant has a default one."""

    id: SpaceId
    name: str
    alias: str | None = None
    """A name for paths, its alone in the tenant."""
    is_default: bool
    notes: dict[str, Any] = {}
    """What only one dialect knows, under its name."""
    created_at: datetime


class SpaceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A space to be made; names need not be unique."""

    name: str
    alias: str | None = None
    notes: dict[str, Any] = {}

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems = check_text("/name", self.name, most=255, least=1) + check_metadata(self.notes, "/notes")
        if self.alias is not None and not _ALIAS.fullmatch(self.alias):
            detail = "takes 1 to 100 letters, digits, '-' and '_', a letter or digit first"
            problems.append(FieldProblem("/alias", "invalid", detail))
        refuse(problems)


class SpaceChange(Change, frozen=True, kw_only=True):
    """What shall be different about a space."""

    name: str | UnsetType = UNSET
    alias: str | UnsetType | None = UNSET
    notes: dict[str, Any] | UnsetType = UNSET


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody to call about a space; nothing is sent to them by itself."""

    id: UUID
    space_id: SpaceId
    name: str
    email: str | None
    phone: str | None
    notes: dict[str, Any]
    created_at: datetime


class ContactDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A contact to be added."""

    name: str
    email: str | None = None
    phone: str | None = None
    notes: dict[str, Any] = {}

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it."""
        problems = check_text("/name", self.name, most=255, least=1) + check_metadata(self.notes, "/notes")
        problems += check_text("/email", self.email, most=254) + check_text("/phone", self.phone, most=64)
        refuse(problems)
