"""What tests of the dialect begin with, made through the dialect itself."""

from typing import Any

from roadstead.kernel.ids import to_base62
from tests.dialects.leverege.contract import Client, check_value


def project_of(client: Client) -> str:
    """The id of the project of a client."""
    return to_base62(client.tenant.organization_id)


async def add_blueprint(client: Client, alias: str, *attributes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A blueprint with an alias; attributes as `{"path", "type"}` with whatever else they take."""
    body = {"name": alias, "alias": alias, "attributes": list(attributes)} | fields
    made: dict[str, Any] = await client.data("blueprint.create", json=body, projectId=project_of(client))
    return made


async def add_system(client: Client, alias: str, **fields: Any) -> dict[str, Any]:
    """A system with an alias."""
    made: dict[str, Any] = await client.data(
        "system.create", json={"name": alias, "alias": alias} | fields, projectId=project_of(client)
    )
    return made


async def add_object(client: Client, path: str, **fields: Any) -> dict[str, Any]:
    """A device below an interface path without its head: `main/boat`, or `main/boat/<id>/geofence` for a child."""
    answer = await client.http.post(f"/v1/interface/{path}", json=fields)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    check_value(path, "Device", made)
    return made
