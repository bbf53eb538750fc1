"""The vendor's own MQTT client for Python, unchanged: state up, commands down, and coming back."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from roadstead.bus import NEW, UPLINK, Bus, Reader
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.kernel.ids import parse_hex24
from roadstead.supervisor.servers import Servers
from tests.app.commands import carrying, ok
from tests.app.gateway import Running, read_uplinks, running_gateway
from tests.app.losant import Application
from tests.conftest import Tenant

DRIVER = Path(__file__).parents[1] / "losant_client" / "drive.py"
PACKAGES = Path(sys.prefix) / "losant-client"


@pytest_asyncio.fixture(scope="module")
async def gateway(
    servers: Servers,
    bus: Bus,
    database_url: str,
    tenant_database: Database,
    system_database: Database,
    ports: Ports,
) -> AsyncIterator[Running]:
    """A gateway, and what carries commands to it."""
    async with (
        carrying(bus, system_database, database_url),
        running_gateway(servers, tenant_database, system_database, ports) as running,
    ):
        yield running


class VendorClient:
    """The vendor's client in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def told(self, kind: str) -> Any:
        """The next thing that it tells, which is of this kind."""
        assert self._process.stdout is not None
        async with asyncio.timeout(10):
            line = await self._process.stdout.readline()
        found = json.loads(line or "{}")
        assert found.get("event") == kind, found
        return found

    def order(self, do: str, **fields: Any) -> None:
        """Have it do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")


@asynccontextmanager
async def vendor_client(port: int, transport: str, device_id: str, key: Any) -> AsyncIterator[VendorClient]:
    """A device that the vendor's client connects."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", DRIVER, "127.0.0.1", str(port), transport),
        *(device_id, key["key"], key["secret"]),
        env={"PYTHONPATH": str(PACKAGES)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield VendorClient(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def all_arrived(tenant: Tenant, device_id: str) -> None:
    """Wait until it is known of all commands of a device that they have arrived: what may not have is sent again."""
    path = f"/api/v1/devices/{parse_hex24(device_id)}/commands"
    async with asyncio.timeout(5):
        while {each["status"] for each in ok(await tenant.api.get(path))["items"]} != {"SUCCESS"}:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
async def test_it_reports_state_hears_commands_and_comes_back(
    acme: Tenant, gateway: Running, bus: Bus, transport: str
) -> None:
    application = await Application.of(acme)
    device_id = await application.add_device(attributes=["temperature"])
    place = {"applicationId": application.id, "deviceId": device_id}
    arriving = Reader(bus, UPLINK, start=NEW)
    await arriving.open()
    port = gateway.plain if transport == "tcp" else gateway.websocket
    key = await application.add_key()
    async with vendor_client(port, transport, device_id, key) as client:
        await client.told("connect")
        client.order("state", state={"temperature": 21.5}, time=None)
        await client.told("sent")
        (uplink,) = await read_uplinks(arriving, 1)
        said = json.loads(uplink.payload)
        assert (uplink.dialect, uplink.channel, said["data"]) == ("losant", "state", {"temperature": 21.5})

        command = {"name": "open", "payload": {"valve": 3}}
        await application.client.data("device.sendCommand", json=command, **place)
        heard = (await client.told("command"))["command"]
        assert (heard["name"], heard["payload"]) == ("open", {"valve": 3})
        assert heard["time"].startswith("20")

        await all_arrived(acme, device_id)
        # Other rules for its key cut its session; it comes back by itself and goes on.
        await application.change_key(key, pubTopics=["chat"], filterType="whitelist")
        await client.told("reconnect")
        await application.client.data("device.sendCommand", json={"name": "shut"}, **place)
        assert (await client.told("command"))["command"]["name"] == "shut"
        client.order("close")
        await client.told("close")
    await arriving.close()


async def test_it_gives_up_when_its_secret_is_wrong(acme: Tenant, gateway: Running) -> None:
    application = await Application.of(acme)
    device_id = await application.add_device()
    async with vendor_client(gateway.plain, "tcp", device_id, {**application.key, "secret": "wrong"}) as client:
        assert "error code 4" in (await client.told("failed"))["reason"]
