"""Applications for tests: made by one tenant, installed by another, and clients with their tokens."""

from typing import Any
from uuid import UUID

from roadstead.core.identity import ID_OF_PERMISSION, Permission, realm_keys
from roadstead.core.identity.realm_keys import ACCESS_LIFE
from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import new_id
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client, token_of
from tests.people import entry


def permissions(*, client: list[Permission] | None = None, user: list[Permission] | None = None) -> dict[str, Any]:
    """`permissions` of a body."""
    return {"client": _ids(client or []), "user": _ids(user or [])}


async def add_application(
    developer: Client, *allowed: Tenant, name: str = "Thermostat", **fields: Any
) -> dict[str, Any]:
    """A fresh application with its secret, which these tenants may install."""
    tenants = [{"tenantId": str(tenant.organization_id)} for tenant in allowed]
    body = {"name": name, "allowedTenants": tenants, **fields}
    made: dict[str, Any] = await developer.data("createApplication", json=body)
    return made


async def install(tenant: Client, application: dict[str, Any]) -> dict[str, Any]:
    """Its installation in a tenant, with all that it asks for."""
    asked = await tenant.data("getApplicationPermissions", applicationId=application["id"])
    installed: dict[str, Any] = await tenant.data(
        "installApplication", applicationId=application["id"], json={"permissions": asked}
    )
    return installed


async def as_application(tenant: Tenant, application: dict[str, Any], *, bound: bool = True) -> Client:
    """The application by itself: a token of the client_credentials grant, `bound` to the tenant or to none."""
    client_id = application["oauth2Client"]["id"]
    async with entry(tenant.edge) as door:
        now = int(time.now().timestamp())
        claims = {
            "iss": f"{tenant.edge.ports.public_url}/v1/id/auth/realms/olt",
            "sub": str(new_id()),
            "aud": client_id,
            "azp": client_id,
            "clientId": client_id,
            "typ": "Bearer",
            "iat": now,
            "exp": now + int(ACCESS_LIFE.total_seconds()),
            "scope": "olt-applications",
        }
        if bound:
            claims["tenant"] = str(tenant.organization_id)
        return Client(tenant, await realm_keys.sign(door.tx, door.ports, claims))


async def through_application(
    tenant: Tenant, application: dict[str, Any], role: Role = Role.OWNER, *, kind: str = "oauth2Client"
) -> Client:
    """A person of the tenant who has signed in through the application."""
    return Client(tenant, await token_of(tenant, role, client_id=UUID(application[kind]["id"])))


def _ids(listed: list[Permission]) -> list[dict[str, str]]:
    return [{"id": str(ID_OF_PERMISSION[one])} for one in listed]
