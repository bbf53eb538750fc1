"""What an account is: a member as their project knows them."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.identity.model import check_email
from roadstead.core.work import Change
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import UserId, to_base62

_USERNAME = re.compile(r"[^\s\x00-\x1f\x7f/]{1,254}")
_LOCAL = re.compile(r"[^@\s]{1,64}")
_MOST_LETTERS = 200
_MOST_METADATA_BYTES = 65_536


class MemberAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A member as their project knows them."""

    person_id: UserId
    username: str
    """What they sign in with here."""
    name: str
    email: str | None
    phone: str | None = None
    metadata: dict[str, Any] = {}
    managed: bool
    """The project has made this person, who has nothing but this account; else it is somebody with one of their own."""
    confined: bool
    """May do only what was given to them on single resources."""
    role: Role
    created_at: datetime
    updated_at: datetime
    signed_in_at: datetime | None = None

    def check(self) -> None:
        """Raises `Invalid` for a value that is not allowed."""
        check_username(self.username)
        if self.email is not None:
            check_email(self.email)
        for field in ("name", "phone"):
            if len(getattr(self, field) or "") > _MOST_LETTERS:
                raise Invalid.field(f"/{field}", f"has more than {_MOST_LETTERS} characters")
        check_metadata(self.metadata)


class AccountDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An account to be made."""

    username: str
    password: str | None
    """None: of somebody who signs in with a provider."""
    name: str = ""
    email: str | None = None
    phone: str | None = None
    metadata: dict[str, Any] = {}


class AccountChange(Change, frozen=True, kw_only=True):
    """What shall be different; what is UNSET stays, None clears."""

    username: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    email: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    password: str | UnsetType = UNSET


def check_username(username: str) -> None:
    """Raises `Invalid` for one that nobody could type, or that cannot stand in a path."""
    if not _USERNAME.fullmatch(username):
        raise Invalid.field("/username", "must have 1 to 254 characters without blanks and slashes")


def check_metadata(metadata: dict[str, Any]) -> None:
    """Raises `Invalid` for more than is meant."""
    if len(msgspec.json.encode(metadata)) > _MOST_METADATA_BYTES:
        raise Invalid.field("/metadata", "may not be larger than 64 KB")


def address_of(username: str, person_id: UUID, project_id: UUID) -> str:
    """The address of a person whom a project has made: of its own, where no mail arrives.

    Nobody has shown that the mailbox they name is theirs; an address of the platform opens invitations.
    """
    local = username.replace("@", "=")
    fits = _LOCAL.fullmatch(local) and ("=" not in username or "@" not in username)
    return f"{local if fits else to_base62(person_id)}@{to_base62(project_id).lower()}.invalid"
