"""Systems: devices whose attributes come from the devices below them (contract section 8)."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from roadstead.kernel import time
from roadstead.kernel.ids import parse_hex24
from roadstead.workers import system_devices
from tests.conftest import Tenant
from tests.core.systems.plant import let_pass
from tests.dialects.losant.contract import Client
from tests.dialects.losant.data_path import data_path, edge
from tests.dialects.losant.world import add_application, add_device, report, settle

__all__ = ["data_path", "edge"]

pytestmark = pytest.mark.usefixtures("data_path")

WorkOut = Callable[[Client, datetime], Awaitable[None]]


@pytest.fixture
def work_out(monkeypatch: pytest.MonkeyPatch) -> WorkOut:
    """Have systems say what they come to at an instant, and wait until it is stored and shown."""

    async def work_out(client: Client, now: datetime) -> None:
        monkeypatch.setattr(system_devices, "time", SimpleNamespace(now=lambda: now))
        await let_pass(client.tenant, 1_000)
        edge = client.tenant.edge
        worker = system_devices.SystemWorker(edge.system_database, edge.uplinks)
        while await worker.look():
            pass
        await settle(client)

    return work_out


def mean(name: str) -> dict[str, Any]:
    """An attribute that is the mean of those of this name."""
    children = [{"name": name, "mode": "all"}]
    return {"name": "mean", "dataType": "number", "system": {"aggregation": "MEAN", "childAttributes": children}}


async def composite(client: Client, application_id: str, device_id: str) -> dict[str, Any]:
    """What the attributes of a device were last."""
    shown = await client.data("device.getCompositeState", applicationId=application_id, deviceId=device_id)
    return {name: entry["value"] for name, entry in shown.items()}


async def test_a_system_of_systems_says_what_its_devices_come_to(
    acme: Tenant, globex: Tenant, work_out: WorkOut
) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    application, other = await add_application(client), await add_application(theirs)
    fields = {"deviceClass": "system", "systemInterval": 5}
    port = await add_device(client, application, "port", attributes=[mean("mean")], **fields)
    quay = await add_device(client, application, "quay", attributes=[mean("level")], parentId=port, **fields)
    lone = await add_device(theirs, other, "lone", attributes=[mean("level")], **fields)
    pumps = [
        await add_device(client, application, f"pump {number}", attributes=["level"], parentId=quay)
        for number in range(2)
    ]
    for pump, level in zip(pumps, (2, 6), strict=True):
        await report(client, application, pump, {"level": level})
    now = time.now()
    await work_out(client, now - timedelta(minutes=1))
    assert await composite(client, application, quay) == {"mean": 4}
    assert await composite(client, application, port) == {"mean": 4}
    assert await composite(theirs, other, lone) == {}

    await report(client, application, pumps[0], {"level": 4})
    await work_out(client, now)
    names = {"applicationId": application, "deviceId": port}
    states = await client.data("device.getState", params={"limit": 10}, **names)
    assert [state["data"] for state in states] == [{"mean": 5}, {"mean": 4}]

    async with acme.work() as work:
        device_id = parse_hex24(port)
        rows = await work.tx.rows("SELECT id FROM sensor WHERE device_id = %s", device_id)
    newest = await acme.api.get(f"/api/v1/readings/sensor/{rows[0][0]}/latest")
    assert newest.json()["value"] == 5
