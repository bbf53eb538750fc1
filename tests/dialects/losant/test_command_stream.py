"""Commands as they are given, as server-sent events (contract section 29)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest_asyncio

from roadstead.bus import Bus, Publisher
from roadstead.dialects.losant.app import create_app
from roadstead.gateways.http import HttpServer
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import parse_hex24
from roadstead.web.edge import Edge
from roadstead.workers.outbox import OutboxRelay
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client, check_value
from tests.dialects.losant.world import add_application, add_device
from tests.dialects.native.fleet import ok


@pytest_asyncio.fixture
async def server(edge: Edge, bus: Bus, database_url: str) -> AsyncIterator[str]:
    """The URL of the dialect on a port; what happens is told."""
    publisher = Publisher(bus)
    await publisher.start()
    relay = asyncio.create_task(OutboxRelay(edge.system_database, database_url, publisher).run())
    http = HttpServer(create_app(edge))
    yield f"http://127.0.0.1:{await http.start('127.0.0.1', 0)}"
    await http.stop()
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    await publisher.close()


class Stream:
    """Reads server-sent events; commands are held against the contract."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def block(self) -> dict[str, str]:
        """The next one: its fields; comments under the empty name."""
        block: dict[str, str] = {}
        async with asyncio.timeout(20):
            async for line in self._lines:
                if not line:
                    return block
                name, _, value = line.partition(": ")
                block[name] = value
        raise AssertionError("the stream is over")

    async def command(self) -> Any:
        """The next command."""
        while "event" not in (block := await self.block()):
            pass
        assert block["event"] == "deviceCommand"
        command = json.loads(block["data"])
        check_value("device.commandStream", "deviceCommand", command)
        return command


@asynccontextmanager
async def listen(server: str, token: str, names: dict[str, str], **params: Any) -> AsyncIterator[Stream]:
    """An open stream."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    path = f"/applications/{names['applicationId']}/devices/{names['deviceId']}/commandStream"
    async with (
        httpx.AsyncClient(base_url=server, headers=headers, timeout=20) as client,
        client.stream("GET", path, params=params) as response,
    ):
        yield Stream(response)


async def pump_of(client: Client) -> dict[str, str]:
    """The ids of a device and its application."""
    application_id = await add_application(client)
    return {"applicationId": application_id, "deviceId": await add_device(client, application_id)}


async def test_commands_are_told_when_they_are_given_whoever_gives_them(
    acme: Tenant, globex: Tenant, server: str
) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    names, theirs = await pump_of(client), await pump_of(stranger)
    other = names | {"deviceId": await add_device(client, names["applicationId"], "other")}
    await client.data("applicationKeys.post", applicationId=names["applicationId"], json={})
    async with listen(server, client.token, names) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert await stream.block() == {"": "welcome"}
        for sender, place in ((stranger, theirs), (client, other)):
            await sender.data("device.sendCommand", json={"name": "not for it"}, **place)
        await client.data("device.sendCommand", json={"name": "open", "payload": {"n": 1}}, **names)
        told = await stream.command()
        assert (told["name"], told["payload"]) == ("open", {"n": 1})
        assert [told] == await client.data("device.getCommand", **names)
        many = {"name": "all", "deviceQuery": {}}
        await client.data("devices.sendCommand", applicationId=names["applicationId"], json=many)
        assert (await stream.command())["name"] == "all"
        path = f"/api/v1/devices/{parse_hex24(names['deviceId'])}/commands"
        ok(await acme.api.post(path, json={"type": "REBOOT", "params": {}}))
        assert (await stream.command())["name"] == "REBOOT"


async def test_silence_is_filled_with_comments(acme: Tenant, server: str) -> None:
    client = await Client.of(acme)
    names = await pump_of(client)
    async with listen(server, client.token, names, keepAliveInterval=1) as stream:
        assert await stream.block() == {"": "welcome"}
        assert await stream.block() == {"": "keep-alive"}


async def test_who_may_not_listen_is_told_so_as_json(acme: Tenant, globex: Tenant, server: str) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    names = await pump_of(client)
    for token, place, params, expected in (
        (client.token, names, {"keepAliveInterval": "often"}, (400, "Validation")),
        (client.token, names | {"deviceId": "0" * 24}, {}, (404, "NotFound")),
        (stranger.token, names, {}, (404, "NotFound")),
        ("nobody", names, {}, (401, "Unauthorized")),
        (await acme.add_key([Grant.DEVICES_READ, Grant.READINGS_READ]), names, {}, (403, "Forbidden")),
    ):
        async with listen(server, token, place, **params) as stream:
            answer = json.loads(await stream.response.aread())
            assert (stream.response.status_code, answer["type"]) == expected
