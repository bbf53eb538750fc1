"""What the realm knows of programs, of those who have signed in, and what it gives them."""

from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.kernel.errors import Forbidden
from roadstead.kernel.ids import UserId


class RealmClient(msgspec.Struct, frozen=True, kw_only=True):
    """A program, as the realm needs to know it. Whether it is the one it says it is has been looked at before."""

    id: str
    is_public: bool
    """It has no secret that proves who it is."""
    redirect_uris: tuple[str, ...] = ()
    """Where people may be sent back to: these, letter by letter."""
    reach: frozenset[UUID] | None = None
    """The tenants it may work in; None: all."""

    def check_reach(self, organization_id: UUID) -> None:
        """Raises `Forbidden` for a tenant in which it may not work."""
        if self.reach is not None and organization_id not in self.reach:
            raise Forbidden("this application is not installed there, or may not work there")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a program asks for when it sends somebody to sign in."""

    client: RealmClient
    redirect_uri: str
    scope: str
    nonce: str | None = None
    challenge: str | None = None
    """Of PKCE (RFC 7636)."""
    challenge_method: str | None = None


class SecondStep(msgspec.Struct, frozen=True):
    """The password was right, and a code is asked for; `proof` says so for a few minutes."""

    proof: str


class RealmSession(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has signed in to the realm."""

    id: UUID
    person_id: UserId | None
    """None: an application by itself."""
    organization_id: UUID | None
    """Of the tenant that was chosen last."""
    authenticated_at: datetime
    expires_at: datetime


class OpenedSession(msgspec.Struct, frozen=True):
    """Somebody has signed in. The secret, which the browser keeps, is shown this once."""

    session: RealmSession
    secret: str


class Choice(msgspec.Struct, frozen=True):
    """A tenant that somebody may enter."""

    organization_id: UUID
    name: str


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a program gets. The tokens are shown this once."""

    access_token: str
    refresh_token: str
    id_token: str | None
    session_id: UUID
    scope: str
    issued_at: datetime


class Hint(msgspec.Struct, frozen=True):
    """What an id token says to somebody who wants to sign out."""

    session_id: UUID
    person_id: UUID
    client_id: str
