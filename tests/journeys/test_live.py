"""What happens, as it happens: server-sent events and their WebSocket twin, resumed without a gap or a repeat."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.journeys.devices import Device, register
from tests.platform import Platform

START = datetime(2026, 3, 3, tzinfo=UTC)
_seconds = count()


class Heard(NamedTuple):
    """One event."""

    id: str
    name: str
    data: dict[str, Any]


@asynccontextmanager
async def by_events(platform: Platform, key: str, **params: Any) -> AsyncIterator[AsyncIterator[Heard]]:
    """Server-sent events; `cursor` is the id to go on after."""
    headers = {"Authorization": f"Bearer {key}"}
    if cursor := params.pop("cursor", ""):
        headers["Last-Event-ID"] = cursor

    async def read(response: httpx.Response) -> AsyncIterator[Heard]:
        fields: dict[str, str] = {}
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            fields[name] = value
            if not line and "event" in fields:
                yield Heard(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
            if not line:
                fields.clear()

    async with (
        httpx.AsyncClient(base_url=platform.url, headers=headers, timeout=20) as client,
        client.stream("GET", "/api/v1/stream", params=params) as response,
    ):
        assert response.status_code == 200
        yield read(response)


@asynccontextmanager
async def by_websocket(platform: Platform, key: str, **params: Any) -> AsyncIterator[AsyncIterator[Heard]]:
    """The twin; says the same."""
    url = httpx.URL(platform.url.replace("http", "ws")).join("/api/v1/stream/ws").copy_merge_params(params)

    async def read(socket: Any) -> AsyncIterator[Heard]:
        async for message in socket:
            for event in json.loads(message):
                if event["type"] != "position":
                    yield Heard(event["id"], event["type"], event["data"])

    async with connect(str(url), additional_headers={"Authorization": f"Bearer {key}"}) as socket:
        assert json.loads(await socket.recv())[0]["type"] == "position"  # from now on it listens
        yield read(socket)


async def take(events: AsyncIterator[Heard], number: int) -> list[Heard]:
    """The next few events."""
    async with asyncio.timeout(10):
        return [await anext(events) for _ in range(number)]


@pytest.mark.parametrize("listen", [by_events, by_websocket])
async def test_a_stream_goes_on_where_it_was_cut(
    platform: Platform, stranger_key: str, listen: Any, tmp_path: Path
) -> None:
    key = platform.credentials["apiKey"]
    name = listen.__name__
    mine = _device(platform, key, f"live-{name}", tmp_path / "mine")
    theirs = _device(platform, stranger_key, f"live-{name}", tmp_path / "theirs")
    async with listen(platform, stranger_key, topics="reading") as overheard:
        async with listen(platform, key, topics="reading", deviceId=mine.identity.device_id) as events:
            await asyncio.to_thread(_report, mine, range(5))
            heard = await take(events, 3)
        await asyncio.to_thread(_report, mine, range(5, 10))
        cursor = heard[-1].id
        async with listen(platform, key, topics="reading", deviceId=mine.identity.device_id, cursor=cursor) as events:
            await asyncio.to_thread(_report, mine, range(10, 12))
            heard += await take(events, 9)
        assert [event.data["value"] for event in heard] == list(range(12))
        assert len({event.id for event in heard}) == 12
        assert {event.name for event in heard} == {"reading"}

        # The other organization heard what is its own, and nothing before it.
        await asyncio.to_thread(_report, theirs, range(100, 101))
        assert [event.data["value"] for event in await take(overheard, 1)] == [100]
    mine.close()
    theirs.close()


async def test_a_stream_tells_when_a_device_comes_and_goes(platform: Platform, tmp_path: Path) -> None:
    key = platform.credentials["apiKey"]
    identity = await asyncio.to_thread(register, platform.url, key, "live-status")
    async with by_events(platform, key, topics="device", deviceId=identity.device_id) as events:
        device = Device(identity, tmp_path).use_tls()
        await asyncio.to_thread(device.connect, platform.ports["MQTTS"])
        (came,) = await take(events, 1)
        assert (came.name, came.data["type"], came.data["online"]) == ("device", "status", True)
        await asyncio.to_thread(device.close)
        (went,) = await take(events, 1)
        assert (went.data["status"], went.data["online"]) == ("OFFLINE", False)


async def test_a_stream_ends_with_the_key_that_opened_it(platform: Platform) -> None:
    async with httpx.AsyncClient(base_url=platform.url, timeout=20) as client:
        client.headers["Authorization"] = f"Bearer {platform.credentials['apiKey']}"
        made = (await client.post("/api/v1/api-keys", json={"name": "live", "scopes": ["readings:read"]})).json()
        async with by_events(platform, made["secret"], topics="reading") as events:
            assert (await client.delete(f"/api/v1/api-keys/{made['id']}")).status_code == 204
            (last,) = await take(events, 1)
    assert last.name == "error"
    assert last.data["status"] == 401


def _device(platform: Platform, key: str, name: str, directory: Path) -> Device:
    identity = register(platform.url, key, name)
    return Device(identity, directory).use_tls().connect(platform.ports["MQTTS"])


def _report(device: Device, values: range) -> None:
    for value in values:
        at = START + timedelta(seconds=next(_seconds))
        device.report({"sensorId": "level", "timestamp": at.isoformat(), "value": value})
