"""What an application is, whom it may serve, and what those who use it have consented to."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.identity import NEVER_FOR_APPLICATIONS, Permission
from roadstead.core.work import Change
from roadstead.kernel.errors import Invalid

_WORDS = re.compile(r"[a-zA-Z0-9_\- ]+")
_MOST_TEASER = 170
_MOST_URL = 2000
_MOST_COMMENT = 255


class ClientKind(StrEnum):
    """Whether an OAuth client has a secret."""

    CONFIDENTIAL = "CONFIDENTIAL"
    PUBLIC = "PUBLIC"


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """An OAuth client of an application, as the door sees it."""

    id: UUID
    kind: ClientKind
    application_id: UUID
    name: str
    """Of the application."""
    redirect_uris: list[str]
    """Where people may be sent back to: these, letter by letter."""
    secret_hash: bytes | None
    """Of the confidential one."""


class Availability(StrEnum):
    """Whether an application can be used in a tenant, and if not, why."""

    AVAILABLE = "AVAILABLE"
    INACTIVE = "INACTIVE"
    DELETED = "DELETED"
    DENIED = "DENIED"
    """The tenant is not, or no longer, among the allowed ones."""
    UNKNOWN = "UNKNOWN"
    """The developer's organization is gone with everything in it."""


class InstallationStatus(StrEnum):
    """Whether a consent is about what the application asks for today."""

    OK = "ok"
    OUTDATED = "outdated"


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """An application, as its developer sees it."""

    id: UUID
    name: str
    teaser_description: str
    url: str
    active: bool
    """False: nobody can install it, and it works nowhere."""
    redirect_uris: list[str]
    client_permissions: list[Permission]
    """What it asks for to act by itself."""
    user_permissions: list[Permission]
    """What it asks for to act for people."""
    client_id: UUID
    """Of the OAuth client that has a secret."""
    public_client_id: UUID | None
    """Of the one without."""
    installations: int
    created_at: datetime
    updated_at: datetime
    version: int


class NewApplication(msgspec.Struct, frozen=True):
    """An application with the secret of its client, which is shown this once."""

    application: Application
    secret: str


class ApplicationDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An application to be made."""

    name: str
    teaser_description: str = ""
    url: str = ""
    with_public_client: bool = False
    redirect_uris: list[str] = []
    client_permissions: list[Permission] = []
    user_permissions: list[Permission] = []


class ApplicationChange(Change, frozen=True, kw_only=True):
    """What shall be different about an application."""

    name: str | UnsetType = UNSET
    teaser_description: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    redirect_uris: list[str] | UnsetType = UNSET
    client_permissions: list[Permission] | UnsetType = UNSET
    user_permissions: list[Permission] | UnsetType = UNSET
    with_public_client: bool | UnsetType = UNSET
    """Off and on again makes another client."""


class AllowedTenant(msgspec.Struct, frozen=True, kw_only=True):
    """An organization that may install an application."""

    organization_id: UUID
    name: str | None
    """None as long as it has not."""
    comment: str
    created_at: datetime

    @property
    def installed(self) -> bool:
        """Whether it has."""
        return self.name is not None


class InstallingTenant(msgspec.Struct, frozen=True, kw_only=True):
    """An organization in which an application can work."""

    organization_id: UUID
    name: str


class OfferedApplication(msgspec.Struct, frozen=True, kw_only=True):
    """An application, as those see it who may install it or have."""

    id: UUID
    name: str
    teaser_description: str
    url: str
    client_permissions: list[Permission]
    user_permissions: list[Permission]
    availability: Availability
    installed_at: datetime | None
    status: InstallationStatus | None
    """Of the installation, if there is one."""


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant has consented to."""

    application_id: UUID
    client_permissions: list[Permission]
    user_permissions: list[Permission]
    status: InstallationStatus
    created_at: datetime
    updated_at: datetime


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """Permissions that somebody grants to an application."""

    client_permissions: list[Permission]
    user_permissions: list[Permission]

    @property
    def all_permissions(self) -> frozenset[Permission]:
        """Of both lists."""
        return frozenset((*self.client_permissions, *self.user_permissions))

    def check_is(self, asked: "Consent") -> None:
        """Raises `Invalid` unless it is exactly what an application asks for."""
        _check_same("client", self.client_permissions, asked.client_permissions)
        _check_same("user", self.user_permissions, asked.user_permissions)


class CustomPermission(msgspec.Struct, frozen=True, kw_only=True):
    """A permission that an application brings along: kept and handed out here, and looked at by the application."""

    id: UUID
    application_id: UUID
    alias: str
    category: str
    name: str
    description: str
    created_at: datetime
    updated_at: datetime


class CustomPermissionDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A custom permission to be made."""

    alias: str
    category: str
    name: str
    description: str = ""


class CustomPermissionChange(Change, frozen=True, kw_only=True):
    """What shall be different about a custom permission; alias and name are for life."""

    category: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


def digest(secret: str) -> bytes:
    """What is kept of the secret of a client."""
    return hashlib.sha256(secret.encode()).digest()


def check_application(application: Application) -> None:
    """Raises `Invalid` for an application that nobody could use, or that wants what no application gets."""
    check_words("name", application.name, most=32)
    if len(application.teaser_description) > _MOST_TEASER:
        raise Invalid.field("/teaserDescription", f"has at most {_MOST_TEASER} characters")
    if application.url:
        _check_url(application.url)
    for index, uri in enumerate(application.redirect_uris):
        _check_redirect(index, uri)
    for name, wanted in (("client", application.client_permissions), ("user", application.user_permissions)):
        never = [one for one in wanted if one in NEVER_FOR_APPLICATIONS]
        if never:
            raise Invalid.field(f"/permissions/{name}", f"{', '.join(never)} is never given to an application")
        if len(set(wanted)) < len(wanted):
            raise Invalid.field(f"/permissions/{name}", "names a permission twice")


def check_words(field: str, text: str, *, most: int) -> None:
    """Raises `Invalid` for a name that is too short or long, or has other letters than a name may have."""
    if not 3 <= len(text) <= most:
        raise Invalid.field(f"/{field}", f"has 3 to {most} characters")
    if not _WORDS.fullmatch(text):
        raise Invalid.field(f"/{field}", "takes letters, digits, blanks, '_' and '-'")


def check_alias(alias: str) -> None:
    """Raises `Invalid` for an alias of a custom permission that is too short or long."""
    if not 3 <= len(alias) <= 255:
        raise Invalid.field("/alias", "has 3 to 255 characters")


def check_comment(comment: str) -> None:
    """Raises `Invalid` for one that is too long."""
    if len(comment) > _MOST_COMMENT:
        raise Invalid.field("/comment", f"has at most {_MOST_COMMENT} characters")


def _check_same(name: str, given: Sequence[Permission], asked: Sequence[Permission]) -> None:
    missing, besides = sorted(set(asked) - set(given)), sorted(set(given) - set(asked))
    if missing:
        raise Invalid.field(f"/permissions/{name}", f"lacks {', '.join(missing)}, which the application asks for")
    if besides:
        raise Invalid.field(f"/permissions/{name}", f"has {', '.join(besides)}, which the application does not ask for")


def _check_url(url: str) -> None:
    if len(url) > _MOST_URL:
        raise Invalid.field("/url", f"has at most {_MOST_URL} characters")
    if not _is_web(url):
        raise Invalid.field("/url", "is not an address that begins with https:// or http://")


def _check_redirect(index: int, uri: str) -> None:
    field = f"/redirectUris/{index}"
    if len(uri) > _MOST_URL:
        raise Invalid.field(field, f"has at most {_MOST_URL} characters")
    if "*" in uri:
        raise Invalid.field(field, "must be the whole address, without wildcards")
    if "#" in uri:
        raise Invalid.field(field, "must have no fragment")
    scheme = uri.partition(":")[0].lower()
    # Programs on phones have schemes of their own; those with a dot or a dash are no scheme that a browser runs.
    if not _is_web(uri) and not re.fullmatch(r"[a-z][a-z0-9+]*[.-][a-z0-9+.-]*", scheme):
        raise Invalid.field(field, "must be absolute: https://, http:// or a scheme such as com.example.app:")


def _is_web(url: str) -> bool:
    if re.search(r"[\s\x00-\x1f\\]", url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
