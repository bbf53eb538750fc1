"""States as they come, as server-sent events (contract section 29)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio

from roadstead.dialects.losant.app import create_app
from roadstead.gateways.http import HttpServer
from roadstead.kernel.actor import Grant
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client, check_value
from tests.dialects.losant.data_path import data_path, edge
from tests.dialects.losant.world import add_application, add_device, report

__all__ = ["data_path", "edge"]

pytestmark = pytest.mark.usefixtures("data_path")


class Sse:
    """Reads server-sent events; states are held against the contract."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def block(self) -> dict[str, str]:
        """The next one: its fields; comments under the empty name; nothing when the stream is over."""
        block: dict[str, str] = {}
        async with asyncio.timeout(20):
            async for line in self._lines:
                if not line:
                    return block
                name, _, value = line.partition(": ")
                block[name] = value
        return {}

    async def state(self) -> Any:
        """The next state."""
        while "event" not in (block := await self.block()):
            assert block, "the stream is over"
        assert block["event"] == "deviceState"
        state = json.loads(block["data"])
        check_value("device.stateStream", "deviceState", state)
        return state


class Server:
    """The dialect on a port."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    @asynccontextmanager
    async def listen(self, token: str, names: dict[str, str], **params: Any) -> AsyncIterator[Sse]:
        """An open stream."""
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        path = f"/applications/{names['applicationId']}/devices/{names['deviceId']}/stateStream"
        async with (
            httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20) as client,
            client.stream("GET", path, params=params) as response,
        ):
            yield Sse(response)


@pytest_asyncio.fixture
async def server(edge: Edge) -> AsyncIterator[Server]:
    """The dialect."""
    http = HttpServer(create_app(edge))
    yield Server(await http.start("127.0.0.1", 0))
    await http.stop()


async def boat_of(client: Client) -> dict[str, str]:
    """The ids of a device and its application."""
    application_id = await add_application(client)
    device_id = await add_device(client, application_id, attributes=["level", "speed"])
    return {"applicationId": application_id, "deviceId": device_id}


async def tell(client: Client, names: dict[str, str], data: dict[str, Any], **fields: Any) -> None:
    """It says something."""
    await report(client, names["applicationId"], names["deviceId"], data, **fields)


async def test_states_of_the_device_are_told_as_they_come_each_as_one(
    acme: Tenant, globex: Tenant, server: Server
) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    names = await boat_of(client)
    other = await add_device(client, names["applicationId"], "other", attributes=["level"])
    foreign = await boat_of(theirs)
    async with server.listen(client.token, names) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        await report(theirs, foreign["applicationId"], foreign["deviceId"], {"level": 13})
        await report(client, names["applicationId"], other, {"level": 12})
        await tell(client, names, {"level": 1, "speed": 2, "colour": 3}, meta={"a": 1}, flowVersion="v2")
        told = await stream.state()
        assert (told["data"], told["meta"], told["flowVersion"]) == ({"level": 1.0, "speed": 2.0}, {"a": 1}, "v2")
        [read] = await client.data("device.getState", **names)
        assert told == read
        await tell(client, names, {"level": 5})
        assert (await stream.state())["data"] == {"level": 5.0}


async def test_an_attribute_that_came_later_is_told_as_well(acme: Tenant, server: Server) -> None:
    client = await Client.of(acme)
    names = await boat_of(client)
    async with server.listen(client.token, names) as stream:
        await client.data("deviceAttributes.post", json={"name": "heat", "dataType": "number"}, **names)
        await tell(client, names, {"heat": 30})
        assert (await stream.state())["data"] == {"heat": 30.0}


async def test_silence_is_filled_with_comments_as_often_as_is_asked(acme: Tenant, server: Server) -> None:
    client = await Client.of(acme)
    names = await boat_of(client)
    async with server.listen(client.token, names, keepAliveInterval=1) as stream:
        loop = asyncio.get_running_loop()
        assert await stream.block() == {"": "welcome"}
        began = loop.time()
        assert await stream.block() == {"": "keep-alive"}
        assert 0.5 < loop.time() - began < 1.9


async def test_what_is_wrong_before_the_stream_is_told_as_json(acme: Tenant, globex: Tenant, server: Server) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    names = await boat_of(client)
    for token, place, params, expected in (
        (client.token, names, {"keepAliveInterval": "often"}, (400, "Validation")),
        (client.token, names | {"deviceId": "0" * 24}, {}, (404, "NotFound")),
        (theirs.token, names, {}, (404, "NotFound")),
        ("nobody", names, {}, (401, "Unauthorized")),
        (await acme.add_key([Grant.DEVICES_READ]), names, {}, (403, "Forbidden")),
    ):
        async with server.listen(token, place, **params) as stream:
            answer = json.loads(await stream.response.aread())
            assert (stream.response.status_code, answer["type"]) == expected


async def test_the_stream_ends_when_the_credential_does(acme: Tenant, server: Server, edge: Edge) -> None:
    client = await Client.of(acme)
    names = await boat_of(client)
    key = await acme.add_key([Grant.DEVICES_READ, Grant.READINGS_READ])
    edge.vigil.every_s = 0.1
    async with server.listen(key, names, keepAliveInterval=1) as stream:
        assert await stream.block() == {"": "welcome"}
        async with edge.system_database.tx() as tx:
            await tx.run("DELETE FROM api_key WHERE tenant_id = %s AND prefix = %s", acme.tenant_id, key[:12])
        while block := await stream.block():
            assert "event" not in block
