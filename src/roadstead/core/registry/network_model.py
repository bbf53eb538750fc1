"""What networks are: where devices have names of their own."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.registry.checks import check_metadata, check_text, refuse
from roadstead.core.work import Change
from roadstead.kernel.errors import FieldProblem

MOST_KEYS = 50

_NETWORK_ID = re.compile(r"[^\s/\x00-\x1f\x7f]{1,255}")
_KEY = re.compile(r"[^/\x00-\x1f\x7f]{1,255}")


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """A network by which devices are reached; messages name it by `network_id`."""

    id: UUID
    network_id: str
    """Its name, which no other network of the platform has."""
    name: str
    alias_keys: list[str]
    """By what devices are named in it."""
    notes: dict[str, Any]
    """What only one dialect knows, under its name."""
    created_at: datetime
    updated_at: datetime


class NetworkDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A network to be made."""

    network_id: str
    name: str
    alias_keys: list[str]
    notes: dict[str, Any] = {}

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems = check_text("/name", self.name, most=255, least=1) + check_metadata(self.notes, "/notes")
        if not _NETWORK_ID.fullmatch(self.network_id):
            problems.append(FieldProblem("/networkId", "invalid", "takes 1 to 255 characters, no space and no '/'"))
        if len(self.alias_keys) > MOST_KEYS or len(set(self.alias_keys)) < len(self.alias_keys):
            problems.append(FieldProblem("/aliasKeys", "invalid", f"takes at most {MOST_KEYS}, none twice"))
        if not all(_KEY.fullmatch(key) for key in self.alias_keys):
            problems.append(FieldProblem("/aliasKeys", "invalid", "takes keys of 1 to 255 characters without '/'"))
        refuse(problems)


class NetworkChange(Change, frozen=True, kw_only=True):
    """What shall be different about a network."""

    network_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    alias_keys: list[str] | UnsetType = UNSET
    notes: dict[str, Any] | UnsetType = UNSET
