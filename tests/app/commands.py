"""What carries commands in these tests: the worker's part of the platform, and a device that answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from roadstead.app.codecs import ANSWER_CODECS
from roadstead.app.worker import ANSWER_HANDLERS
from roadstead.bus import Bus, Publisher
from roadstead.db import Database
from roadstead.kernel.ids import DeviceId
from roadstead.workers.commands import CommandTimers
from roadstead.workers.control import ControlWorker
from roadstead.workers.outbox import OutboxRelay
from roadstead.workers.turns import Turn
from tests.app.gateway import Device, enrolled, topic_of
from tests.conftest import Tenant

Answer = Callable[[dict[str, Any]], list[dict[str, Any]]]
"""What a device says to a command."""


@asynccontextmanager
async def carrying(bus: Bus, database: Database, database_url: str) -> AsyncIterator[None]:
    """Facts are relayed, answers applied, timers looked at, as in the worker role."""
    publisher = Publisher(bus)
    await publisher.start()
    jobs = [
        asyncio.create_task(job)
        for job in (
            OutboxRelay(database, database_url, publisher).run(),
            ControlWorker(bus, database, Turn(database_url, "control"), ANSWER_CODECS, ANSWER_HANDLERS).run(),
            CommandTimers(database, every_s=0.05).run(),
        )
    ]
    yield
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    await publisher.close()


def succeed(command: dict[str, Any]) -> list[dict[str, Any]]:
    """Do it at once."""
    return [{"id": command["id"], "status": "SUCCESS", "result": {"did": command["method"]}}]


class Worker:
    """A device that hears commands and answers them; it can go and come back."""

    def __init__(self, tenant: Tenant, device_id: DeviceId, first: Device, answer: Answer) -> None:
        self.id = str(device_id)
        self.heard: list[dict[str, Any]] = []
        self.answer = answer
        self._tenant = tenant
        self._first = first
        self._device_id = device_id
        self.device = first

    @classmethod
    async def enroll(cls, tenant: Tenant, name: str, directory: Path, answer: Answer = succeed) -> "Worker":
        """A device with its certificate, not connected yet."""
        return cls(tenant, *await enrolled(tenant, name, directory), answer)

    async def connect(self, port: int, *, subscribe: bool = True) -> "Worker":
        """A new connection."""
        self.device = Device(self.id)
        self.device.client.tls_set_context(self._first.client._ssl_context)
        self.device.client.on_message = self._on_message
        await self.device.connect(port)
        assert self.device.is_in, self.device.answer
        if subscribe:
            await self.subscribe()
        return self

    async def subscribe(self) -> None:
        """To its commands."""
        await self.device.subscribe(topic_of(self._tenant, self._device_id, "commands"))

    async def say(self, payload: object) -> None:
        """On the topic of answers."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        await self.device.publish(topic_of(self._tenant, self._device_id, "commands/response"), body)

    async def close(self) -> None:
        """Goodbye."""
        await self.device.close()

    def _on_message(self, client: Any, _data: Any, message: Any) -> None:
        command = json.loads(message.payload)
        self.heard.append(command)
        for answer in self.answer(command):
            client.publish(message.topic + "/response", json.dumps(answer), qos=1)


async def send(tenant: Tenant, device_id: str, type_: str = "REBOOT", **fields: Any) -> dict[str, Any]:
    """A new command, as answered."""
    answer = await tenant.api.post(f"/api/v1/devices/{device_id}/commands", json={"type": type_, **fields})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def look(tenant: Tenant, command: dict[str, Any]) -> dict[str, Any]:
    """The command as it is now."""
    found: dict[str, Any] = ok(await tenant.api.get(place_of(command)))
    return found


async def reach(tenant: Tenant, command: dict[str, Any], status: str, *, within_s: float = 5.0) -> dict[str, Any]:
    """The command as soon as it has this status."""
    async with asyncio.timeout(within_s):
        while (now := await look(tenant, command))["status"] != status:
            await asyncio.sleep(0.01)
    return now


def place_of(command: dict[str, Any]) -> str:
    """Its path."""
    return f"/api/v1/devices/{command['deviceId']}/commands/{command['id']}"


def ok(answer: httpx.Response) -> Any:
    """The body of a success."""
    assert answer.is_success, answer.text
    return answer.json()
