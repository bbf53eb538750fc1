"""What tests of the dialect begin with, made through the dialect itself."""

from typing import Any

from roadstead.core.telemetry import Stage
from tests.dialects.losant.contract import Client


async def add_application(client: Client, name: str = "Harbour", **fields: Any) -> str:
    """An application; its id."""
    made = await client.data("applications.post", json={"name": name} | fields)
    id_: str = made["id"]
    return id_


async def add_device(client: Client, application_id: str, name: str = "pump", **fields: Any) -> str:
    """A device of an application; its id. `attributes` are those of the contract, or names of numbers."""
    attributes = [
        {"name": each, "dataType": "number"} if isinstance(each, str) else each for each in fields.pop("attributes", [])
    ]
    body = {"name": name, "attributes": attributes} | fields
    made = await client.data("devices.post", applicationId=application_id, json=body)
    id_: str = made["id"]
    return id_


async def report(client: Client, application_id: str, device_id: str, data: dict[str, Any], **fields: Any) -> None:
    """Send a state, and wait until it is stored and shown. Wants the fixture `data_path`; `fields`: `time`, `meta`."""
    body = {"data": data} | fields
    await client.data("device.sendState", applicationId=application_id, deviceId=device_id, json=body)
    await settle(client)


async def settle(client: Client) -> None:
    """Wait until what is on the log by now is stored and shown."""
    edge = client.tenant.edge
    pending = await edge.passage.wait(await edge.uplinks.put(), tuple(Stage), 20)
    assert not pending, f"states have not come to {pending}"
