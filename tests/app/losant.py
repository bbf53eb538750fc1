"""Devices of the Losant dialect at a gateway, and the application that they are in."""

import asyncio
from typing import Any, Self

from paho.mqtt.enums import MQTTProtocolVersion

from tests.app.gateway import Device, until
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.world import add_application, add_device


class LosantDevice(Device):
    """Connects with its id and an access key; remembers what it hears."""

    def __init__(
        self, device_id: str, key: Any, *, version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311
    ) -> None:
        super().__init__(device_id, version=version)
        self.id = device_id
        self.heard: list[tuple[str, bytes]] = []
        self.client.username_pw_set(key["key"], key["secret"])
        self.client.on_message = self._on_message

    async def listen(self, *filters: str, qos: int = 1) -> Self:
        """Subscribe; fails unless it is granted."""
        for filter_ in filters:
            assert (await self.subscribe(filter_)).value == qos
        return self

    async def try_to_listen(self, filter_: str) -> bool:
        """Whether it is still there after it has subscribed."""
        self.granted.clear()
        self.client.subscribe(filter_, qos=1)
        await until(lambda: self.granted or self._ended.is_set())
        return not self._ended.is_set()

    async def say(self, topic: str, payload: bytes | str, *, qos: int = 1, retain: bool = False) -> None:
        """Returns when it is acknowledged, or the connection is over."""
        info = self.client.publish(topic, payload, qos=qos, retain=retain)
        await until(lambda: info.mid in self.published or self._ended.is_set())

    async def hears(self, *messages: tuple[str, bytes]) -> None:
        """Wait until these were heard, in this order, and nothing else."""
        await until(lambda: len(self.heard) >= len(messages))
        assert self.heard == list(messages)

    async def hears_about(self, topic: str) -> None:
        """Wait until something was heard on a topic, and nothing on any other."""
        await until(lambda: self.heard)
        assert {heard for heard, _ in self.heard} == {topic}

    async def is_out(self) -> bool:
        """Wait until it was cut off."""
        await until(self._ended.is_set)
        return True

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        self.heard.append((message.topic, bytes(message.payload)))


class Application:
    """An application of a tenant, and what is made in it."""

    def __init__(self, client: Client, id_: str, key: Any) -> None:
        self.client = client
        self.id = id_
        self.key = key

    @classmethod
    async def of(cls, tenant: Tenant) -> Self:
        """A fresh one, with a key for everything."""
        client = await Client.of(tenant)
        application = cls(client, await add_application(client), None)
        application.key = await application.add_key()
        return application

    async def add_key(self, **fields: Any) -> Any:
        """An access key, with its secret."""
        return await self.client.data("applicationKeys.post", applicationId=self.id, json=fields)

    async def change_key(self, key: Any, **fields: Any) -> None:
        """Other rules for a key."""
        place = {"applicationId": self.id, "applicationKeyId": key["id"]}
        await self.client.data("applicationKey.patch", json=fields, **place)

    async def add_device(self, **fields: Any) -> str:
        """A device; its id."""
        return await add_device(self.client, self.id, **fields)

    async def connected(self, port: int, *, key: Any = None, **fields: Any) -> LosantDevice:
        """A fresh device at a gateway."""
        device = LosantDevice(await self.add_device(**fields), key or self.key)
        await device.connect(port)
        assert device.is_in, device.answer
        return device

    async def publish(self, topic: str, message: str) -> None:
        """What a program says on a free topic."""
        body = {"topic": topic, "message": message}
        await self.client.data("application.mqttPublishMessage", applicationId=self.id, json=body)


async def close_all(*devices: Device) -> None:
    """Goodbye."""
    await asyncio.gather(*[device.close() for device in devices])
