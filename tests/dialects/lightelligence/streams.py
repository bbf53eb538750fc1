"""Streams for tests: somebody who opens them, and what is told on the log."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import websockets

from roadstead.bus import Publisher
from roadstead.core import events, types
from roadstead.core.events import EventDraft
from roadstead.core.messages import (
    Accepted,
    EventRaised,
    Fact,
    FactMessage,
    Reading,
    encode_accepted,
    encode_fact,
    encode_facts,
)
from roadstead.core.types import DeviceTypeDraft
from roadstead.gateways.http import HttpServer
from roadstead.kernel import ids
from roadstead.kernel.ids import DeviceId, TypeId
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client, app_of, check_frame
from tests.fleet import add_device

_numbers = itertools.count(2_000_000)
ATTRIBUTES, CONFIGURATION, EVENTS = "attributeUpdate", "configurationUpdate", "eventUpdate"

AT = 1_714_564_800_000


class Server:
    """The dialect on a port."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self, client: Client, *updates: str, kind: str = "live", **wanted: Any) -> "Stream":
        """A stream that was asked for and opened."""
        options = {"options": {"replayFromTimestamp": wanted.pop("since")}} if "since" in wanted else {}
        body = {"type": kind, "filter": {"type": list(updates), **wanted}, **options}
        granted = await client.data("requestStream", json=body)
        return await self.connect(granted["url"])

    async def connect(self, url: str) -> "Stream":
        """What is behind a URL that was handed out."""
        path = url.partition("/v1/")[2]
        return Stream(await websockets.connect(f"ws://127.0.0.1:{self._port}/v1/{path}"))


class Stream:
    """Reads frames, each held against the contract."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    async def next(self) -> tuple[str, Any]:
        """The next update: its type and its payload."""
        async with asyncio.timeout(20):
            frame = json.loads(await self.socket.recv())
        check_frame(frame)
        return frame["type"], frame["payload"]

    async def values(self, count: int) -> list[Any]:
        """The values of the next updates."""
        return [(await self.next())[1]["value"] for _ in range(count)]

    async def ends(self) -> int:
        """The code with which it is closed."""
        async with asyncio.timeout(20):
            await self.socket.wait_closed()
        return int(self.socket.close_code)

    async def close(self) -> None:
        """Go away."""
        await self.socket.close()


@asynccontextmanager
async def serving(tenant: Tenant) -> AsyncIterator[Server]:
    """The dialect on a port of its own."""
    http = HttpServer(app_of(tenant))
    yield Server(await http.start("127.0.0.1", 0))
    await http.stop()


class Log:
    """What devices say and what happens, on the log."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def report(self, tenant: Tenant, device: UUID, *values: dict[str, Any], at: int = AT) -> None:
        """A device has reported these, each in a message, and they are stored."""
        messages = [
            Accepted.of(
                tenant.tenant_id,
                ids.to_bytes(device),
                "lightelligence",
                "data",
                AT + 1_000,
                [Reading(path, at, value) for path, value in said.items()],
            )
            for said in values
        ]
        await self.accept(*messages)

    async def accept(self, *messages: Accepted) -> None:
        """These are stored."""
        await self._publisher.put("accepted.0", encode_accepted(messages), message_id=f"o{next(_numbers)}")

    async def tell(self, tenant: Tenant, fact: Fact) -> None:
        """Something has happened in the core."""
        number = next(_numbers)
        body = FactMessage(number, tenant.tenant_id, AT, encode_fact(fact))
        await self._publisher.put(f"facts.{tenant.tenant_id}", encode_facts([body]), message_id=f"of{number}")

    async def raise_event(self, tenant: Tenant, device: UUID, type_: str, data: Any = None) -> None:
        """An event of a device is written down."""
        async with tenant.work() as work:
            draft = EventDraft(type=type_, message=type_, device_id=DeviceId(device), data=data)
            event = await events.create_event(work, draft)
        await self.tell(tenant, EventRaised(event.id, DeviceId(device), type_))


async def make_device(tenant: Tenant, **columns: Any) -> UUID:
    """A device."""
    device = await add_device(tenant.edge.system_database, tenant.tenant_id)
    await change_device(tenant, device, **columns)
    return device


async def change_device(tenant: Tenant, device: UUID, **columns: Any) -> None:
    """It is otherwise now."""
    for name, value in columns.items():
        async with tenant.edge.system_database.tx() as tx:
            await tx.run(f"UPDATE device SET {name} = %s WHERE id = %s", value, device)


async def make_type(tenant: Tenant, name: str, **fields: Any) -> TypeId:
    """A device type."""
    sections = {"attributes": {"note": {"type": "string"}, "mixed": {"type": ["string", "number"]}}}
    async with tenant.work() as work:
        return (await types.create_device_type(work, DeviceTypeDraft(name=name, sections=sections, **fields))).id
