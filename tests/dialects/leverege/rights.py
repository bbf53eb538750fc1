"""Roles for tests of the dialect, made through the dialect itself."""

import secrets
from typing import Any

from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.people import add_account, log_in
from tests.dialects.leverege.world import project_of


async def add_role(client: Client, *permissions: Any, **fields: Any) -> dict[str, Any]:
    """A role with these permissions."""
    body = {"name": f"role-{secrets.token_hex(4)}", "projectId": project_of(client)} | fields
    made = await client.data("role.create", json=body)
    told: dict[str, Any] = await client.data(
        "role.add-permissions", json={"permissions": list(permissions)}, roleId=made["id"]
    )
    return told


async def bind(client: Client, user_id: str, role: Any, resource_id: str = "") -> dict[str, Any]:
    """A role for somebody on something; on the project when nothing is named."""
    body = {
        "projectId": project_of(client),
        "userId": user_id,
        "role": role,
        "resourceId": resource_id or project_of(client),
    }
    made: dict[str, Any] = await client.data("user-role.create", json=body)
    return made


async def add_user(owner: Client, *permissions: Any, on: str = "") -> tuple[str, Client]:
    """A fresh account with these permissions on something (the project when nothing is named), and its client."""
    account = await add_account(owner)
    if permissions:
        role = await add_role(owner, *permissions)
        await bind(owner, account["id"], role["id"], on)
    return account["id"], await log_in(owner.tenant, account["username"])
