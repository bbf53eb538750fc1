"""Who stands behind a token of the realm (contract lightelligence, section 3)."""

from uuid import UUID

import msgspec

from roadstead.core.identity.permissions import Permission
from roadstead.core.identity.realm_keys import verify
from roadstead.core.identity.role_model import rights_of
from roadstead.core.identity.store import realm as store
from roadstead.core.operation import unguarded
from roadstead.core.tenancy import OrganizationStatus
from roadstead.core.work import Entry
from roadstead.kernel import time
from roadstead.kernel.actor import Actor, ActorKind
from roadstead.kernel.errors import Forbidden, Unauthenticated


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What an access token says, as far as we look at it (contract section 3.4)."""

    iss: str
    sub: UUID
    azp: str
    typ: str
    exp: int
    session_state: str = ""
    tenant: UUID | None = None
    """None: of a person or application that has not said for which tenant."""
    scope: str = ""
    client_id: str | None = msgspec.field(default=None, name="clientId")
    """Only in tokens of the client_credentials grant."""


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """Who shows a token."""

    subject: UUID
    """The person, or the service account of an application."""
    client_id: str
    actor: Actor | None
    """Within the tenant of the token, if it has one."""
    permissions: frozenset[Permission] = frozenset()
    """In that tenant."""
    custom_permissions: frozenset[UUID] = frozenset()
    """Those that applications have brought along, by their id: of two applications, both may have the same alias."""
    application_id: UUID | None = None
    """Whose token it is, when it is one of an application of somebody's making."""
    is_application: bool = False
    """An application by itself (client_credentials), not a person through one."""

    def within_tenant(self) -> Actor:
        """Raises `Forbidden` for a token without a tenant."""
        if self.actor is None:
            raise Forbidden("this token is for no tenant")
        return self.actor


@unguarded("the token is the secret that is asked for")
async def read_access_token(entry: Entry, text: str) -> AccessClaims:
    """What an access token of ours says, whoever shows it. Raises `Unauthenticated` when it is not, or no longer, one.

    Whether the session is still open, or the application still there, is for `authenticate_bearer` and for the room of
    applications to say (`client_id` is set in the tokens of those that act by themselves).
    """
    try:
        claims = msgspec.convert(await verify(entry.tx, text), AccessClaims)
    except msgspec.ValidationError as error:
        raise Unauthenticated("this is no access token") from error
    if claims.typ != "Bearer":
        raise Unauthenticated("this is no access token")
    return claims


@unguarded("the token is the secret that is asked for")
async def authenticate_bearer(entry: Entry, claims: AccessClaims) -> Bearer:
    """The person behind an access token. Everything is looked up, so that what is revoked is out at once.

    Raises `Unauthenticated` when the session is over; `Forbidden` when nobody may work in its tenant.
    """
    try:
        session = UUID(claims.session_state)
    except ValueError as error:
        raise Unauthenticated("this is no access token") from error
    if claims.tenant is None:
        if await store.select_person_of_session(entry.tx, session, time.now()) != claims.sub:
            raise Unauthenticated("the session is over; sign in again")
        return Bearer(subject=claims.sub, client_id=claims.azp, actor=None)
    known = await store.select_bearer(entry.tx, organization_id=claims.tenant, session_id=session, at=time.now())
    if known is None or known.person_id != claims.sub:
        raise Unauthenticated("the session is over; sign in again")
    OrganizationStatus(known.status).check_working()
    rights = rights_of(known.role, known.held)
    actor = Actor(
        kind=ActorKind.USER,
        id=known.person_id,
        name=known.person_name,
        tenant_id=known.tenant_id,
        organization_id=known.organization_id,
        grants=rights.grants,
        role=known.role,
        session_id=session,
        request_id=entry.request_id,
        address=entry.address,
        client_id=claims.azp,
    )
    return Bearer(
        subject=known.person_id,
        client_id=claims.azp,
        actor=actor,
        permissions=rights.permissions,
        custom_permissions=rights.custom_permissions,
    )
