"""What OpenID providers of a project are, and what they say about somebody."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.work import Change
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import TenantId

WELL_KNOWN = "/.well-known/openid-configuration"
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_LETTERS = 200
_MOST_URLS = 100


class OidcClient(msgspec.Struct, frozen=True, kw_only=True):
    """A provider with which the people of a project sign in. The secret is not here."""

    id: UUID
    name: str
    alias: str | None
    discovery_url: str
    client_id: str
    """What the provider calls us."""
    redirect_urls: list[str]
    """Where browsers may be sent when they have signed in, or have not."""
    created_at: datetime
    updated_at: datetime

    @property
    def issuer(self) -> str:
        """What the provider has to call itself."""
        return self.discovery_url.removesuffix(WELL_KNOWN).rstrip("/")

    def check(self) -> None:
        """Raises `Invalid` for a value that is not allowed."""
        if not 1 <= len(self.name) <= _MOST_LETTERS:
            raise Invalid.field("/name", f"must have 1 to {_MOST_LETTERS} characters")
        if not 1 <= len(self.client_id) <= _MOST_LETTERS:
            raise Invalid.field("/clientId", f"must have 1 to {_MOST_LETTERS} characters")
        if self.alias is not None and not _ALIAS.fullmatch(self.alias):
            raise Invalid.field("/alias", "must have 1 to 64 letters, digits, '_' or '-'")
        if len(self.redirect_urls) > _MOST_URLS:
            raise Invalid.field("/redirectUrls", f"are more than {_MOST_URLS}")
        for url in self.redirect_urls:
            if place_of(url) is None:
                raise Invalid.field("/redirectUrls", f"'{url}' is no URL that begins with https:// or http://")

    def check_place(self, url: str, *, field: str) -> None:
        """Raises `Invalid` for a URL that browsers may not be sent to: only its query may differ from one of ours."""
        place = place_of(url)
        if place is None or place not in {place_of(each) for each in self.redirect_urls}:
            raise Invalid.field(field, "is not one of the redirectUrls of this client", place="query")


class OidcClientDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A provider to be added."""

    name: str
    alias: str | None
    discovery_url: str
    client_id: str
    client_secret: str
    redirect_urls: list[str]


class OidcClientChange(Change, frozen=True, kw_only=True):
    """What shall be different; what is UNSET stays, None clears."""

    name: str | UnsetType = UNSET
    alias: str | UnsetType | None = UNSET
    discovery_url: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    client_secret: str | UnsetType = UNSET
    redirect_urls: list[str] | UnsetType = UNSET


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says about itself (OpenID Connect Discovery)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: Sequence[str] = ("client_secret_basic",)


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that is at a provider."""

    tenant_id: TenantId
    organization_id: UUID
    client: OidcClient
    client_secret: bytes
    """Sealed."""
    verifier: bytes
    """Of PKCE, sealed."""
    nonce: str
    success_url: str
    failure_url: str
    expires_at: datetime


class ProvenPerson(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says about somebody who has signed in there (claims of the id token)."""

    sub: str
    email: str | None = None
    email_verified: bool | None = None
    preferred_username: str | None = None
    name: str | None = None

    @property
    def names(self) -> list[str]:
        """By which somebody may have expected them. An address counts unless the provider says it may be wrong; what
        people call themselves does not when it looks like one."""
        address = self.email if self.email_verified is not False else None
        chosen = None if "@" in (self.preferred_username or "") else self.preferred_username
        return [name for name in (address, chosen) if name]


def place_of(url: str) -> tuple[Any, ...] | None:
    """Where a URL leads, whatever its query; None when it is none that a browser is sent to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("https", "http") or not parts.hostname or "\\" in url or not url.isprintable():
        return None
    if parts.username is not None or parts.password is not None or parts.fragment:
        return None
    return parts.scheme, parts.hostname, port, parts.path or "/"
