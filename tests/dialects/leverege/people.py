"""People of projects for tests, made through the dialect itself."""

import secrets
from typing import Any

from roadstead.kernel.ids import to_base62
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.world import project_of

PASSWORD = "secret-7"


async def add_account(client: Client, username: str = "", **fields: Any) -> dict[str, Any]:
    """An account of the project of a client, with a name that nobody else has."""
    body = {"username": username or f"user-{secrets.token_hex(4)}", "password": PASSWORD} | fields
    made: dict[str, Any] = await client.data("account.create", json=body, projectId=project_of(client))
    return made


async def log_in(tenant: Tenant, username: str, password: str = PASSWORD) -> Client:
    """A client with an id token for the project."""
    body = {"username": username, "password": password, "projectId": to_base62(tenant.organization_id)}
    answer = await Client(tenant).data("login", json=body)
    return Client(tenant, answer["idToken"])
