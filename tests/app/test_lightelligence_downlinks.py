"""Devices of the Lightelligence dialect and their gateways, over MQTT with certificates they made themselves."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest_asyncio
from paho.mqtt.enums import MQTTProtocolVersion

from roadstead.bus import Bus
from roadstead.core import configuration, registry
from roadstead.core.ports import Ports
from roadstead.core.registry import DeviceChange, DeviceDraft
from roadstead.db import Database
from roadstead.kernel.ids import DeviceId
from roadstead.supervisor.servers import Servers
from tests.app.commands import carrying, ok
from tests.app.gateway import Device, Running, running_gateway, until
from tests.conftest import Tenant
from tests.dialects.lightelligence import fleet
from tests.dialects.lightelligence.contract import Client
from tests.gateways.certificates import Certificate, make


@pytest_asyncio.fixture(scope="module")
async def _carried(bus: Bus, system_database: Database, database_url: str) -> AsyncIterator[None]:
    async with carrying(bus, system_database, database_url):
        yield


@pytest_asyncio.fixture(scope="module")
async def gateway(
    servers: Servers, bus: Bus, _carried: None, tenant_database: Database, system_database: Database, ports: Ports
) -> AsyncIterator[Running]:
    """The gateway that all tests share."""
    async with running_gateway(servers, tenant_database, system_database, ports) as running:
        yield running


class Lamp:
    """A device with a certificate of its own making; it can go and come back."""

    def __init__(self, client: Client, device_id: DeviceId, folder: Path) -> None:
        self.id = device_id
        self.heard: list[tuple[str, Any]] = []
        """Topic and body of each message."""
        self.certificate = make("smartkicker")
        self.place: dict[str, Any] = {}
        self._client = client
        self._folder = folder

    @classmethod
    async def enroll(cls, client: Client, name: str, folder: Path, **fields: Any) -> "Lamp":
        """A device with its certificate, not connected yet."""
        lamp = cls(client, await add_device(client.tenant, name, **fields), folder)
        body = {"cert": lamp.certificate.pem.decode(), "status": "valid"}
        made = await client.data("assignCertificate", deviceId=lamp.id, json=body)
        lamp.place = {"deviceId": lamp.id, "certId": made["id"]}
        return lamp

    async def connect(self, port: int, *topics: str, certificate: Certificate | None = None) -> "Lamp":
        """A new connection, as the samples make it; subscribes to these topics of its own, or to all of them."""
        shown = certificate or self.certificate
        self.device = Device("smartkicker", version=MQTTProtocolVersion.MQTTv311)
        self.device.use_certificate(self._folder, shown.pem.decode(), shown.key_pem, None)
        self.device.client._ssl_context.set_alpn_protocols(["mqttv311"])  # type: ignore[union-attr]
        self.device.client.on_message = self._on_message
        await self.device.connect(port)
        if self.device.is_in:
            for topic in topics or ("configuration", "actions"):
                assert not (await self.subscribe(topic)).is_failure
        return self

    async def subscribe(self, kind: str, device: DeviceId | None = None) -> Any:
        """To what it is told itself, or another device."""
        return await self.device.subscribe(f"devices/{device or self.id}/{kind}")

    async def hears(self, count: int) -> list[tuple[str, Any]]:
        """What it has heard, as soon as it is so much."""
        await until(lambda: len(self.heard) >= count)
        return self.heard

    async def close(self) -> None:
        """Goodbye."""
        await self.device.close()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        assert not message.retain
        self.heard.append((message.topic, json.loads(message.payload)))


async def add_device(tenant: Tenant, name: str, **fields: Any) -> DeviceId:
    """A device of no type, that takes any action."""
    async with tenant.work() as work:
        return (await registry.create_device(work, DeviceDraft(name=name, **fields))).id


async def put(tenant: Tenant, device_id: DeviceId, **content: Any) -> None:
    """Set it to this."""
    async with tenant.work() as work:
        await configuration.set_own(work, device_id, content)


async def trigger(client: Client, device_id: DeviceId, payload: Any) -> str:
    """The id of an action."""
    body = {"action": "blink", "payload": payload}
    return str((await client.data("triggerAction", deviceId=device_id, json=body))["actionId"])


async def until_so(condition: Callable[[], Any]) -> None:
    """Wait for what the platform writes down."""
    async with asyncio.timeout(5):
        while not await condition():
            await asyncio.sleep(0.01)


async def status_of(tenant: Tenant, device_id: DeviceId, command: str) -> Any:
    """Of a command, as the native API shows it."""
    return ok(await tenant.api.get(f"/api/v1/devices/{device_id}/commands/{command}"))["status"]


async def arrived(tenant: Tenant, device_id: DeviceId) -> int | None:
    """The version of its document that the device has acknowledged."""
    async with tenant.work() as work:
        return (await configuration.get_desired_state(work, device_id)).arrived_version


def told(device_id: DeviceId, content: Any, *aliases: str) -> dict[str, Any]:
    """What somebody hears of the configuration of a device."""
    return {"deviceId": str(device_id), "aliases": list(aliases), "configuration": content}


def asked(device_id: DeviceId, action: str, payload: Any, *aliases: str) -> dict[str, Any]:
    """What somebody hears of an action."""
    body = {"actionId": action, "action": "blink", "payload": payload}
    return {"deviceId": str(device_id), "aliases": list(aliases), **body}


async def test_a_device_is_told_its_configuration_and_actions_at_once(
    acme: Tenant, globex: Tenant, gateway: Running, tmp_path: Path
) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    lamp = await (await Lamp.enroll(client, "lamp", tmp_path, aliases=["06-01"])).connect(gateway.tls)
    other = await (await Lamp.enroll(theirs, "lamp", tmp_path, aliases=["06-01"])).connect(gateway.tls)
    neighbour = await (await Lamp.enroll(client, "neighbour", tmp_path)).connect(gateway.tls)

    await put(acme, lamp.id, led="auto", air={"limit": 800})
    configuration_topic, actions_topic = f"devices/{lamp.id}/configuration", f"devices/{lamp.id}/actions"
    await lamp.hears(1)
    action = await trigger(client, lamp.id, {"seconds": 5})
    await lamp.hears(2)
    await put(acme, lamp.id, led="off")
    assert await lamp.hears(3) == [
        (configuration_topic, told(lamp.id, {"led": "auto", "air": {"limit": 800}}, "06-01")),
        (actions_topic, asked(lamp.id, action, {"seconds": 5}, "06-01")),
        (configuration_topic, told(lamp.id, {"led": "off"}, "06-01")),
    ]
    await until_so(lambda: _is(status_of(acme, lamp.id, action), "SUCCESS"))
    assert other.heard == neighbour.heard == []
    for topic in (f"devices/{neighbour.id}/actions", f"devices/{other.id}/actions"):
        assert (await lamp.device.subscribe(topic)).value == 0x80
    for each in (lamp, other, neighbour):
        await each.close()


async def _is(asking: Any, wanted: Any) -> bool:
    return bool(await asking == wanted)


async def test_what_it_missed_comes_when_it_is_back_and_what_it_has_does_not(
    acme: Tenant, gateway: Running, tmp_path: Path
) -> None:
    client = await Client.of(acme)
    lamp = await Lamp.enroll(client, "lamp", tmp_path)
    await put(acme, lamp.id, led="on")
    await put(acme, lamp.id, led="off")
    first = await trigger(client, lamp.id, {"number": 1})
    await lamp.connect(gateway.tls, "configuration")
    assert [body["configuration"] for _, body in await lamp.hears(1)] == [{"led": "off"}]
    assert await status_of(acme, lamp.id, first) == "PENDING"
    await lamp.subscribe("actions")
    assert (await lamp.hears(2))[1][1]["actionId"] == first
    await until_so(lambda: _is(status_of(acme, lamp.id, first), "SUCCESS"))
    await until_so(lambda: _is(arrived(acme, lamp.id), 2))
    await lamp.close()

    # Nothing is new, so the next thing it hears is the next action.
    second = await trigger(client, lamp.id, {"number": 2})
    await lamp.connect(gateway.tls)
    assert (await lamp.hears(3))[2][1]["actionId"] == second
    await put(acme, lamp.id, led="auto")
    assert (await lamp.hears(4))[3][1]["configuration"] == {"led": "auto"}
    await lamp.close()


async def test_a_gateway_hears_what_is_for_the_devices_behind_it(
    acme: Tenant, globex: Tenant, gateway: Running, tmp_path: Path
) -> None:
    client = await Client.of(acme)
    hub = await Lamp.enroll(client, "hub", tmp_path)
    stranger = await (await Lamp.enroll(await Client.of(globex), "hub", tmp_path)).connect(gateway.tls)
    child = await add_device(acme, "child", gateway_id=hub.id, aliases=["06-01", "06-02"])
    grandchild = await add_device(acme, "grandchild", gateway_id=child)
    await put(acme, child, led="on")
    await hub.connect(gateway.tls)
    own, actions = f"devices/{hub.id}/configuration", f"devices/{hub.id}/actions"
    assert await hub.hears(1) == [(own, told(child, {"led": "on"}, "06-01", "06-02"))]

    await put(acme, child, led="off")
    await hub.hears(2)
    await put(acme, grandchild, led="off")
    await hub.hears(3)
    action = await trigger(client, child, {"seconds": 1})
    assert (await hub.hears(4))[1:] == [
        (own, told(child, {"led": "off"}, "06-01", "06-02")),
        (own, told(grandchild, {"led": "off"})),
        (actions, asked(child, action, {"seconds": 1}, "06-01", "06-02")),
    ]
    await until_so(lambda: _is(status_of(acme, child, action), "SUCCESS"))

    # Whoever would rather hear it where the child would gets it there, and only there.
    assert not (await hub.subscribe("configuration", child)).is_failure
    await put(acme, child, led="auto")
    assert (await hub.hears(5))[4:] == [
        (f"devices/{child}/configuration", told(child, {"led": "auto"}, "06-01", "06-02"))
    ]
    await until_so(lambda: _is(arrived(acme, child), 3))
    await hub.close()

    missed = await trigger(client, child, {"seconds": 2})
    await hub.connect(gateway.tls)
    assert (await hub.hears(6))[5][1]["actionId"] == missed
    assert stranger.heard == []
    await hub.close()
    await stranger.close()


async def test_what_programs_set_is_heard_as_a_whole(acme: Tenant, gateway: Running, tmp_path: Path) -> None:
    client = await Client.of(acme)
    type_ = await fleet.add_type(client)
    hub = await (await Lamp.enroll(client, "hub", tmp_path)).connect(gateway.tls)
    settings = {"interval": 60, "led": "auto"}
    info = {"name": "child", "connectedBy": str(hub.id), "aliases": ["06-01"]}
    child = DeviceId(UUID((await fleet.add_device(client, type_, configuration=settings, **info))["id"]))
    await hub.hears(1)
    await client.data("updateDevice", deviceId=child, json={"configuration": {"led": "off"}})
    await hub.hears(2)
    await client.data("updateDevice", deviceId=child, json={"info": {"location": "hall"}})
    await client.data("updateDevice", deviceId=child, json={"configuration": {"led": None}})
    await hub.hears(3)
    body = {"action": "blink", "payload": {"seconds": 1}, "deviceFilter": {"deviceConnectedBy": [str(hub.id)]}}
    assert (await client.ask("triggerBulkAction", json=body)).status_code == 204
    heard = [message.get("configuration", message.get("payload")) for _, message in await hub.hears(4)]
    assert heard == [settings, {"interval": 60, "led": "off"}, {"interval": 60}, {"seconds": 1}]
    assert {(message["deviceId"], *message["aliases"]) for _, message in hub.heard} == {(str(child), "06-01")}
    await hub.close()


async def test_whoever_connects_a_device_now_is_told_what_it_shall_have(
    acme: Tenant, gateway: Running, tmp_path: Path
) -> None:
    client = await Client.of(acme)
    hub = await (await Lamp.enroll(client, "hub", tmp_path)).connect(gateway.tls)
    child = await Lamp.enroll(client, "child", tmp_path)
    await put(acme, child.id, led="on")
    async with acme.work() as work:
        await registry.change_device(work, child.id, DeviceChange(gateway_id=hub.id), expected=None)
    # One that can come by itself is told things itself.
    await child.connect(gateway.tls)
    assert (await child.hears(1))[0][1]["configuration"] == {"led": "on"}
    await child.close()
    await client.ask("deleteCertificate", **child.place)
    action = await trigger(client, child.id, {"seconds": 3})
    assert await hub.hears(1) == [(f"devices/{hub.id}/actions", asked(child.id, action, {"seconds": 3}))]

    late = await add_device(acme, "late")
    await put(acme, late, led="auto")
    async with acme.work() as work:
        await registry.change_device(work, late, DeviceChange(gateway_id=hub.id), expected=None)
    assert (await hub.hears(2))[1] == (f"devices/{hub.id}/configuration", told(late, {"led": "auto"}))
    await hub.close()


async def test_many_children_share_the_line_to_their_gateway(acme: Tenant, gateway: Running, tmp_path: Path) -> None:
    hub = await Lamp.enroll(await Client.of(acme), "hub", tmp_path)
    children = [await add_device(acme, f"child {number}", gateway_id=hub.id) for number in range(60)]
    for child in children:
        await put(acme, child, led="on")
    await hub.connect(gateway.tls)
    heard = await hub.hears(60)
    assert sorted(body["deviceId"] for _, body in heard) == sorted(map(str, children))
    await hub.close()


async def test_native_commands_and_configurations_go_out_in_the_words_of_the_device(
    acme: Tenant, gateway: Running, tmp_path: Path
) -> None:
    lamp = await (await Lamp.enroll(await Client.of(acme), "lamp", tmp_path)).connect(gateway.tls)
    artefact = ok(await acme.api.post("/api/v1/config-artefacts", json={"name": "alarm", "content": {"loud": True}}))
    binding = {"targetType": "DEVICE", "targetId": str(lamp.id), "configArtefactId": artefact["id"]}
    ok(await acme.api.put("/api/v1/desired-state-bindings", json=binding))
    assert await lamp.hears(1) == [(f"devices/{lamp.id}/configuration", told(lamp.id, {"loud": True}))]

    body = {"type": "REBOOT", "params": {"delaySeconds": 5}, "timeoutSeconds": 1}
    command = ok(await acme.api.post(f"/api/v1/devices/{lamp.id}/commands", json=body))
    topic, heard = (await lamp.hears(2))[1]
    assert topic == f"devices/{lamp.id}/actions"
    assert (heard["actionId"], heard["action"], heard["payload"]) == (command["id"], "REBOOT", {"delaySeconds": 5})
    await until_so(lambda: _is(status_of(acme, lamp.id, command["id"]), "SUCCESS"))
    await lamp.close()


async def test_a_certificate_that_is_not_valid_any_more_ends_its_session_at_once(
    acme: Tenant, gateway: Running, tmp_path: Path
) -> None:
    client = await Client.of(acme)
    lamp = await Lamp.enroll(client, "lamp", tmp_path)
    for status in ("inactive", "revoked", "expired"):
        await lamp.connect(gateway.tls)
        assert lamp.device.is_in
        await client.data("updateCertificate", **lamp.place, json={"status": status})
        await lamp.device.cut_off(within_s=1)
        await lamp.connect(gateway.tls)
        assert lamp.device.answer.is_failure
        await client.data("updateCertificate", **lamp.place, json={"status": "valid"})
    await lamp.connect(gateway.tls)
    assert lamp.device.is_in

    spare = make("spare", is_rsa=True)
    await client.data("assignCertificate", deviceId=lamp.id, json={"cert": spare.pem.decode()})
    await client.ask("deleteCertificate", **lamp.place)
    await lamp.device.cut_off(within_s=1)
    assert (await lamp.connect(gateway.tls)).device.answer.is_failure
    assert (await lamp.connect(gateway.tls, certificate=spare)).device.is_in
    await lamp.close()

    old = make("old", days=(-2, -1))
    await client.data("assignCertificate", deviceId=lamp.id, json={"cert": old.pem.decode()})
    assert (await lamp.connect(gateway.tls, certificate=old)).device.answer.is_failure
