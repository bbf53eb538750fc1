"""Who knocks as an application, and what it may do in a tenant; looked up each time, so that losing it acts at once."""

import hmac
from uuid import UUID

import msgspec

from roadstead.core.applications.model import (
    Client,
    ClientKind,
    Installation,
    InstallationStatus,
    InstallingTenant,
    digest,
)
from roadstead.core.applications.store import access as store
from roadstead.core.applications.store import installations
from roadstead.core.identity import AccessClaims, Bearer, grants_of_permissions
from roadstead.core.operation import unguarded
from roadstead.core.tenancy import OrganizationStatus
from roadstead.core.work import Account, Entry
from roadstead.kernel.actor import Actor, ActorKind
from roadstead.kernel.errors import Forbidden, NotFound, Unauthenticated
from roadstead.kernel.page import Page, PageQuery

PORTAL = "olt-portal"
"""The client id of the platform itself: people act through it with all they may do."""


@unguarded("whoever names a client learns only where it may be sent back to")
async def find_client(entry: Entry, client_id: str) -> Client | None:
    """The OAuth client of this id, unless its application was deleted."""
    known = _read_id(client_id)
    return None if known is None else await store.select_client(entry.tx, known)


def check_secret(client: Client, secret: str) -> None:
    """Raises `Unauthenticated` unless this is the secret of a client that has one."""
    if client.secret_hash is None or not hmac.compare_digest(client.secret_hash, digest(secret)):
        raise Unauthenticated("the client and its secret do not belong together")


@unguarded("for the door, which knows the application or the person")
async def load_reach(entry: Entry | Account, application_id: UUID) -> dict[UUID, InstallationStatus]:
    """The organizations in which an application can work, by their public id."""
    return await store.select_reach(entry.tx, application_id)


@unguarded("the token was shown")
async def authenticate_application(entry: Entry, claims: AccessClaims) -> Bearer:
    """Who shows a token of the client_credentials grant.

    Without a tenant, and where the application is not installed or may not work, it works in no tenant. Raises
    `Unauthenticated` when the application is gone, `Forbidden` when nobody may work in the organization.
    """
    client = await find_client(entry, claims.azp)
    if client is None or client.kind is not ClientKind.CONFIDENTIAL:
        raise Unauthenticated("this application is gone")
    bearer = Bearer(
        subject=claims.sub,
        client_id=claims.azp,
        actor=None,
        application_id=client.application_id,
        is_application=True,
    )
    if claims.tenant is None:
        return bearer
    access = await store.select_access(entry.tx, client.application_id, claims.tenant)
    if access is None:
        return bearer
    OrganizationStatus(access.status).check_working()
    permissions = frozenset(access.client_permissions)
    actor = Actor(
        kind=ActorKind.APPLICATION,
        id=client.id,
        name=client.name,
        tenant_id=access.tenant_id,
        organization_id=claims.tenant,
        grants=grants_of_permissions(permissions),
        request_id=entry.request_id,
        address=entry.address,
    )
    return msgspec.structs.replace(bearer, actor=actor, permissions=permissions)


@unguarded("the token was shown")
async def restrict(entry: Entry, bearer: Bearer) -> Bearer:
    """What is left of a person's rights when they act through an application: what both may do.

    Raises `Unauthenticated` when the application is gone, `Forbidden` where it is not installed or may not work.
    """
    if bearer.client_id == PORTAL:
        return bearer
    client = await find_client(entry, bearer.client_id)
    if client is None:
        raise Unauthenticated("this application is gone")
    through = msgspec.structs.replace(bearer, application_id=client.application_id)
    if bearer.actor is None:
        return through
    access = await store.select_access(entry.tx, client.application_id, bearer.actor.organization_id)
    if access is None:
        raise Forbidden("this application is not installed here, or may not work here")
    permissions = bearer.permissions & frozenset(access.user_permissions)
    grants = bearer.actor.grants & grants_of_permissions(permissions)
    actor = msgspec.structs.replace(bearer.actor, grants=grants)
    return msgspec.structs.replace(through, actor=actor, permissions=permissions)


@unguarded("an application may know where it can work")
async def list_own_reach(entry: Entry, bearer: Bearer, query: PageQuery) -> Page[InstallingTenant]:
    """Where an application can work, for the application itself; the first to install it first."""
    if bearer.application_id is None:
        raise NotFound("application")
    return await store.page_working_tenants(entry.tx, bearer.application_id, query)


@unguarded("an application may know what it was consented to")
async def get_own_installation(entry: Entry, bearer: Bearer) -> Installation:
    """What the tenant of an application's token has consented to. Raises `NotFound` where it cannot work."""
    if bearer.application_id is None or bearer.actor is None:
        raise NotFound("installation")
    work = entry.as_actor(bearer.actor)
    installation = await installations.select_installation(work.tx, work.tenant_id, bearer.application_id)
    if installation is None:
        raise NotFound("installation")
    return installation


def _read_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
