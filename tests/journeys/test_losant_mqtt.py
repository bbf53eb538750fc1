"""The vendor's MQTT client for Python (`losant-mqtt`, from PyPI) on the started platform, and a gateway of devices."""

import json
import time
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from roadstead.dialects.losant.envelopes import spell_time
from roadstead.kernel.ids import parse_hex24
from roadstead.kernel.time import from_millis
from tests.app.test_losant_client import vendor_client
from tests.journeys.losant import PASSWORD, Program, add_person
from tests.platform import Platform, wait_until


class Yard:
    """An application with a key for all its devices, and the program of its owner."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        program = Program(platform, {}).sign_in(add_person(platform, "yard"), PASSWORD)
        self.vendor = program.vendor
        self.here: dict[str, str] = {"applicationId": self.vendor.applications.post(application={"name": "Yard"})["id"]}
        self.key: dict[str, str] = self.vendor.application_keys.post(**self.here, applicationKey={})

    def add(self, name: str, **fields: Any) -> dict[str, str]:
        """Where a new device is that reports a level."""
        draft = {"name": name, "attributes": [{"name": "level", "dataType": "number"}]} | fields
        return self.here | {"deviceId": self.vendor.devices.post(**self.here, device=draft)["id"]}

    def states(self, place: dict[str, str], count: int) -> list[tuple[str, float]]:
        """When and what a device has reported, newest first, as soon as it is so much."""
        found = wait_until(lambda: len(all_ := self.vendor.device.get_state(**place, limit=100)) >= count and all_)
        return [(each["time"], each["data"]["level"]) for each in found]

    def is_connected(self, place: dict[str, str]) -> bool:
        """As REST sees it."""
        return bool(self.vendor.device.get(**place)["connectionInfo"]["connected"] == 1)

    def tell(self, place: dict[str, str], name: str, **fields: Any) -> None:
        """Send a command."""
        assert self.vendor.device.send_command(**place, deviceCommand={"name": name} | fields) == {"success": True}

    def status(self, place: dict[str, str]) -> str:
        """How far the newest command has come, as the native API tells it."""
        with self.platform.client() as api:
            [newest, *_] = api.get(f"/api/v1/devices/{parse_hex24(place['deviceId'])}/commands").json()["items"]
        return str(newest["status"])


@pytest.fixture(scope="module")
def yard(platform: Platform) -> Yard:
    """One for all stories."""
    return Yard(platform)


async def test_a_device_reports_hears_and_outlives_the_gateway(yard: Yard) -> None:
    place = yard.add("pump")
    began = int(time.time() * 1000) - 5_000
    async with vendor_client(yard.platform.ports["MQTT"], "tcp", place["deviceId"], yard.key) as client:
        await client.told("connect")
        for level, at in ((1.5, began), (2.5, spell_time(from_millis(began + 1_000))), (3.5, None)):
            client.order("state", state={"level": level}, time=at)
            await client.told("sent")
        newest, *rest = yard.states(place, 3)
        assert newest[1] == 3.5
        assert rest == [(spell_time(from_millis(began + 1_000)), 2.5), (spell_time(from_millis(began)), 1.5)]
        wait_until(lambda: yard.is_connected(place))

        yard.tell(place, "open", payload={"valve": [1, None, "x"]})
        heard = (await client.told("command"))["command"]
        assert (heard["name"], heard["payload"]) == ("open", {"valve": [1, None, "x"]})
        [sent] = yard.vendor.device.get_command(**place)
        assert heard["time"].startswith(sent["time"].removesuffix("Z").replace("T", " "))

        # What the gateway has not yet said it has handed over is handed over once more by the next one.
        wait_until(lambda: yard.status(place) != "PENDING")
        [gateway] = yard.platform.find("gateway")
        gateway.kill()
        await client.told("reconnect")
        client.order("state", state={"level": 4.5}, time=None)
        await client.told("sent")
        assert yard.states(place, 4)[0][1] == 4.5
        yard.tell(place, "shut")
        assert (await client.told("command"))["command"]["name"] == "shut"
        client.order("close")
        await client.told("close")
    wait_until(lambda: not yard.is_connected(place))
    assert yard.vendor.device.get_log_entries(**place)[0]["connected"] == 0


def test_a_gateway_speaks_and_listens_for_its_peripherals(yard: Yard) -> None:
    gateway = yard.add("crane", deviceClass="gateway")
    hook = yard.add("hook", deviceClass="peripheral", gatewayId=gateway["deviceId"])
    other = yard.add("other")
    heard: list[tuple[str, Any]] = []
    with Connection(yard, gateway["deviceId"], heard) as client:
        topics = {each["deviceId"]: f"losant/{each['deviceId']}/" for each in (gateway, hook, other)}
        client.subscribe([(topics[each["deviceId"]] + "command", 1) for each in (gateway, hook)])
        at = spell_time(from_millis(int(time.time() * 1000) - 5_000))
        said = {"time": {"$date": at}, "data": {"level": 7}}
        for each in (hook, gateway):
            client.publish(f"losant/{each['deviceId']}/state", json.dumps(said), qos=1).wait_for_publish(10)
            assert yard.states(each, 1) == [(at, 7)]
        yard.tell(hook, "lift", payload=3)
        [(topic, command)] = wait_until(lambda: heard)
        assert (topic, command["name"], command["payload"]) == (f"losant/{hook['deviceId']}/command", "lift", 3)
        [sent] = yard.vendor.device.get_command(**hook)
        assert command["time"] == {"$date": sent["time"]}

        # What is not its own ends the connection, and counts for nothing.
        client.publish(f"losant/{other['deviceId']}/state", json.dumps(said), qos=1)
        wait_until(lambda: not client.is_connected())
        assert yard.vendor.device.get_state(**other) == []


class Connection:
    """A client without any vendor's code, connected for a `with`; `heard` fills with topics and messages."""

    def __init__(self, yard: Yard, device_id: str, heard: list[tuple[str, Any]]) -> None:
        self._port = yard.platform.ports["MQTT"]
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=device_id, protocol=MQTTProtocolVersion.MQTTv311
        )
        self._client.username_pw_set(yard.key["key"], yard.key["secret"])
        self._client.reconnect_delay_set(min_delay=3600, max_delay=3600)
        self._client.on_message = lambda _client, _data, message: heard.append(
            (message.topic, json.loads(message.payload))
        )

    def __enter__(self) -> mqtt.Client:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        wait_until(self._client.is_connected)
        return self._client

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
