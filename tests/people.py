"""People for tests: with accounts, memberships and sessions."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec

from roadstead.core import identity, tenancy
from roadstead.core.identity import Person, SignedIn
from roadstead.core.work import Account, Entry, Work
from roadstead.kernel.actor import Actor, Role
from roadstead.web.edge import Edge
from tests.conftest import Tenant

PASSWORD = "correct horse battery"


@asynccontextmanager
async def entry(edge: Edge, address: str = "192.0.2.1") -> AsyncIterator[Entry]:
    """Somebody at the door; commits at the end."""
    async with edge.system_database.tx() as tx:
        yield Entry(tx, edge.ports, address=address, request_id="test")


@asynccontextmanager
async def account(edge: Edge, actor: Actor) -> AsyncIterator[Account]:
    """What is somebody's own; commits at the end."""
    async with edge.system_database.tx(actor.tenant_id) as tx:
        yield Account(actor, tx, edge.ports)


@asynccontextmanager
async def work_of(edge: Edge, actor: Actor) -> AsyncIterator[Work]:
    """Work of somebody we know; commits at the end."""
    async with edge.tenant_database.tx(actor.tenant_id) as tx:
        yield Work(actor, tx, edge.ports)


async def add_person(tenant: Tenant, role: Role = Role.OWNER, *, email: str = "", known: bool = False) -> Person:
    """A member of an organization; `known`: one who has an account already."""
    email = email or f"{role.lower()}-{secrets.token_hex(4)}@{tenant.slug}.test"
    async with entry(tenant.edge) as door:
        organization = await tenancy.load_organization_named(door, tenant.slug)
        return await identity.create_member(
            door,
            organization,
            email=email,
            name=email.partition("@")[0],
            password=None if known else PASSWORD,
            role=role,
        )


async def sign_in(tenant: Tenant, person: Person) -> SignedIn:
    """A session of a person in an organization."""
    async with entry(tenant.edge) as door:
        return await identity.sign_in(
            door, email=person.email, password=PASSWORD, organization_id=tenant.organization_id
        )


async def authenticate(edge: Edge, credential: str, address: str = "192.0.2.1") -> Actor:
    """Whom the door takes the holder of a credential for."""
    async with entry(edge, address) as door:
        return await identity.authenticate(door, credential)


async def actor_of(tenant: Tenant, person: Person) -> Actor:
    """A person who has signed in."""
    return await authenticate(tenant.edge, (await sign_in(tenant, person)).access_token)


def client_of(tenant: Tenant, signed_in: SignedIn) -> httpx.AsyncClient:
    """A client of the API with a session."""
    return tenant.client(signed_in.access_token)


async def person_client(tenant: Tenant, role: Role = Role.OWNER) -> tuple[Person, httpx.AsyncClient]:
    """A fresh member, and a client of the API with their session."""
    person = await add_person(tenant, role)
    return person, client_of(tenant, await sign_in(tenant, person))


async def last_actions(tenant: Tenant, most: int = 5) -> list[str]:
    """The newest actions in the audit log of an organization, newest first."""
    async with tenant.edge.tenant_database.tx(tenant.tenant_id) as tx:
        rows = await tx.rows("SELECT action FROM audit_log ORDER BY at DESC, id DESC LIMIT %s", most)
    return [action for (action,) in rows]


def changed_cost(edge: Edge, rounds: int) -> Edge:
    """The same platform, hashing passwords at another cost."""
    cost = msgspec.structs.replace(edge.ports.password_cost, rounds=rounds)
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, password_cost=cost))
