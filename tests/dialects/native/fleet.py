"""What tests of the registry have in common: profiles, devices and sites, made over HTTP."""

from typing import Any

import httpx

from tests.conftest import Tenant

MOTOR: dict[str, Any] = {
    "key": "motor",
    "profileVersion": "1.0",
    "name": "Motor",
    "fields": [
        {"name": "rpm", "valueType": "DOUBLE", "unit": "1/min", "min": 0, "max": 9000, "required": True},
        {"name": "starts", "valueType": "BIGINT"},
        {"name": "phases", "valueType": "DOUBLE", "arraySize": 2},
    ],
}
PUMP: dict[str, Any] = {
    "key": "pump",
    "profileVersion": "1.0",
    "name": "Pump",
    "components": [{"key": "motor", "name": "The motor", "sensorProfile": "motor@1.0", "required": True}],
}


def ok(response: httpx.Response) -> Any:
    """The body of an answer that must be a success."""
    assert response.is_success, response.text
    return response.json() if response.content else None


def problem(response: httpx.Response) -> tuple[int, str, list[str]]:
    """Status, code and the fields of a problem."""
    body = response.json()
    assert response.headers["content-type"].startswith("application/problem+json")
    return (
        response.status_code,
        body["code"],
        [error.get("pointer") or error["parameter"] for error in body.get("errors", [])],
    )


async def add_device(tenant: Tenant, name: str, **fields: Any) -> Any:
    """A device, as answered."""
    return ok(await tenant.api.post("/api/v1/devices", json={"name": name, **fields}))


async def add_site(tenant: Tenant, name: str, **fields: Any) -> Any:
    """A site, as answered."""
    return ok(await tenant.api.post("/api/v1/sites", json={"name": name, **fields}))


async def add_profiles(tenant: Tenant) -> None:
    """Sensor profile `motor` and device profile `pump`, version 1.0 each."""
    ok(await tenant.api.post("/api/v1/sensor-profiles", json=MOTOR))
    ok(await tenant.api.post("/api/v1/device-profiles", json=PUMP))


async def names(tenant: Tenant, path: str, **params: Any) -> list[str]:
    """The names of the items of a list, in its order."""
    return [item["name"] for item in ok(await tenant.api.get(path, params=params))["items"]]


async def set_state(tenant: Tenant, device_id: str, body: str, *, last_at: str = "2026-05-01T10:00:20Z") -> None:
    """What the state projection would have written: `{path: [value, measured at ms, received at ms]}`."""
    async with tenant.edge.system_database.tx() as tx:
        await tx.run(
            "UPDATE device_state SET body = %s::jsonb, last_at = %s WHERE tenant_id = %s AND device_id = %s",
            body,
            last_at,
            tenant.tenant_id,
            device_id,
        )
