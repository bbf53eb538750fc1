"""From a device type to the last delete, as the vendor's onboarding samples did it; the native API sees the same."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest_asyncio
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.dialects.lightelligence.fleet import SENSOR_RULES, SENSOR_SCHEMA
from tests.gateways.certificates import make
from tests.journeys.lightelligence import sign_in
from tests.platform import Platform, wait_until

_CONTENT = bytes(range(256)) * 64


@pytest_asyncio.fixture
async def program(platform: Platform) -> httpx.Client:
    """A program that somebody has signed in to."""
    token = (await sign_in(platform))["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=f"{platform.url}/lightelligence/v1", headers=headers, timeout=20)


class Device:
    """A device with a certificate of its own making, as the samples connect it: MQTT 3.1.1, one client id for all."""

    def __init__(self, folder: Path) -> None:
        self.certificate = make("smartkicker")
        chain = folder / "device.pem"
        chain.write_bytes(self.certificate.pem + self.certificate.key_pem)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(chain)
        context.set_alpn_protocols(["mqttv311"])
        self.heard: list[tuple[str, Any]] = []
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="smartkicker", protocol=MQTTProtocolVersion.MQTTv311
        )
        self.client.tls_set_context(context)
        self.client.on_message = lambda _client, _data, message: self.heard.append(
            (message.topic.rpartition("/")[2], json.loads(message.payload))
        )
        self.granted: list[Any] = []
        self.client.on_subscribe = lambda _client, _data, _mid, codes, _properties: self.granted.extend(codes)

    def connect(self, port: int, device_id: str) -> None:
        """Returns when it hears everything that is for it."""
        self.client.connect("localhost", port)
        self.client.loop_start()
        topics = [(f"devices/{device_id}/{kind}", 1) for kind in ("configuration", "actions", "firmware-installations")]
        wait_until(self.client.is_connected)
        self.client.subscribe(topics)
        wait_until(lambda: len(self.granted) == len(topics))
        assert not any(code.is_failure for code in self.granted)

    def report(self, topic: str, **message: Any) -> None:
        """Returns when it is acknowledged."""
        self.client.publish(topic, json.dumps(message), qos=1, retain=True).wait_for_publish(10)

    def hears(self, kind: str) -> Any:
        """The newest of a kind, when there is one."""
        wait_until(lambda: any(each == kind for each, _ in self.heard))
        return next(body for each, body in reversed(self.heard) if each == kind)


def ok(answer: httpx.Response, status: int) -> Any:
    """What is in `data`."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    return answer.json()["data"] if answer.content else None


def test_a_device_lives_as_it_did_in_the_original(
    platform: Platform, program: httpx.Client, api: httpx.Client, tmp_path: Path
) -> None:
    body = {"name": "Kicker", "schema": SENSOR_SCHEMA, "reportingRules": SENSOR_RULES, "slots": {"main": {}}}
    type_ = ok(program.post("/device-types", json=body), 201)
    info = {"name": "Kicker 1", "deviceTypeId": type_["id"], "tags": ["lobby"]}
    device_id = ok(program.post("/devices", json={"info": info}), 201)["id"]
    device = Device(tmp_path)
    body = {"cert": device.certificate.pem.decode(), "status": "valid"}
    certificate = ok(program.post(f"/devices/{device_id}/certificates", json=body), 201)
    device.connect(platform.ports["MQTTS"], device_id)

    # What it reports is its state, in both APIs.
    device.report("data-ingest", type="attributes", value={"people": 4, "air": {"co2": 612}})
    device.report("event-ingest", type="crowded", value={"people": 40})
    state = wait_until(lambda: ok(program.get(f"/devices/{device_id}/state"), 200)["attributes"])
    assert state == {"people": 4, "air": {"co2": 612}}
    sensors = {each["key"]: each for each in api.get(f"/api/v1/devices/{device_id}/sensors").json()["items"]}
    latest = api.post(
        "/api/v1/readings/batch",
        json={"sensorIds": [sensors["people"]["id"], sensors["air.co2"]["id"]], "mode": "latest"},
    ).json()
    assert sorted(point["value"] for point in _values(latest)) == [4, 612]
    events = wait_until(lambda: ok(program.get(f"/devices/{device_id}/last-events"), 200))
    assert [event["type"] for event in events] == ["crowded"]

    # What it shall be is pushed, reported back, and shown.
    ok(program.patch(f"/devices/{device_id}", json={"configuration": {"interval": 60, "led": "on"}}), 200)
    assert device.hears("configuration")["configuration"] == {"interval": 60, "led": "on"}
    device.report("data-ingest", type="configuration", value={"interval": 60, "led": "on"})
    wait_until(
        lambda: ok(program.get(f"/devices/{device_id}/state"), 200)["configuration"] == {"interval": 60, "led": "on"}
    )

    action = ok(program.post(f"/devices/{device_id}/actions", json={"action": "blink", "payload": {"seconds": 3}}), 202)
    told = device.hears("actions")
    assert (told["actionId"], told["action"], told["payload"]) == (action["actionId"], "blink", {"seconds": 3})

    # Firmware: allowed, asked for, fetched, done.
    firmware = ok(program.post("/firmwares", json={"name": "Kicker", "version": "2.1.0"}), 201)
    headers = {"Content-Type": "application/octet-stream"}
    ok(program.post(f"/firmwares/{firmware['id']}/blob", content=_CONTENT, headers=headers), 200)
    slot = f"/device-types/{type_['id']}/slots/main/firmware-associations"
    ok(program.post(slot, json={"firmwareId": firmware["id"]}), 201)
    place = f"/devices/{device_id}/firmware-installations"
    asked = ok(program.post(place, json={"firmwareId": firmware["id"], "slot": "main"}), 201)
    order = device.hears("firmware-installations")
    assert httpx.get(order["downloadUrl"]).content == _CONTENT
    assert order["installationId"] == asked["id"]
    for step in ("startedAt", "completedAt"):
        ok(program.patch(f"{place}/{asked['id']}", json={step: "2026-01-01T00:00:00Z"}), 200)
    assert api.get(f"/api/v1/devices/{device_id}").json()["firmwareVersion"] == "2.1.0"

    # What is wrong is told, and what is revoked is out.
    device.report("data-ingest", type="attributes", value={"poeple": 4})
    wait_until(
        lambda: any(
            "poeple" in each["message"] for each in ok(program.get(f"/devices/{device_id}/last-diagnostics"), 200)
        )
    )
    ok(program.delete(f"/devices/{device_id}/certificates/{certificate['id']}"), 204)
    wait_until(lambda: not device.client.is_connected())
    device.client.loop_stop()
    ok(program.delete(f"/devices/{device_id}"), 204)
    assert program.get(f"/devices/{device_id}").status_code == 404
    assert api.get(f"/api/v1/devices/{device_id}").status_code == 404
    ok(program.delete(f"/device-types/{type_['id']}"), 204)


def test_what_the_native_api_makes_is_there_in_the_dialect(program: httpx.Client, api: httpx.Client) -> None:
    made = api.post("/api/v1/devices", json={"name": "native-1", "tags": {"line": "north"}}).json()
    sensor = api.post(
        "/api/v1/sensors", json={"deviceId": made["id"], "key": "level", "valueType": "DOUBLE", "unit": "mm"}
    ).json()
    point = {"sensorId": sensor["id"], "timestamp": "2026-01-01T00:00:00Z", "value": 21.5}
    assert api.post("/api/v1/readings", json=[point]).status_code == 202

    seen = ok(program.get(f"/devices/{made['id']}"), 200)
    assert (seen["info"]["name"], seen["info"]["tags"]) == ("native-1", ["line"])
    wait_until(lambda: ok(program.get(f"/devices/{made['id']}/state"), 200)["attributes"] == {"level": 21.5})
    found = ok(program.get("/devices", params={"deviceTag": "line", "deviceName": "native-*"}), 200)
    assert made["id"] in [each["id"] for each in found]
    renamed = ok(program.patch(f"/devices/{made['id']}", json={"info": {"name": "native-2"}}), 200)
    assert renamed["info"]["name"] == "native-2"
    assert api.get(f"/api/v1/devices/{made['id']}").json()["name"] == "native-2"


def _values(answer: Any) -> Iterator[Any]:
    for each in answer if isinstance(answer, list) else answer.get("items", answer.get("series", [])):
        yield each.get("latest", each)
