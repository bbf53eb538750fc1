"""What tests of the dialect begin with, made through the dialect itself."""

from typing import Any

from tests.dialects.losant.contract import Client


async def add_application(client: Client, name: str = "Harbour", **fields: Any) -> str:
    """An application; its id."""
    made = await client.data("applications.post", json={"name": name} | fields)
    id_: str = made["id"]
    return id_
