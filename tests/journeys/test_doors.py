"""Every way in: MQTT over TCP, TLS and WebSocket, in both versions, and HTTP with a key or a certificate."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from tests.journeys.devices import Device, Transport, register, sensor_of, tls_context, values_of
from tests.platform import Platform, wait_until

START = datetime(2026, 3, 2, tzinfo=UTC)
SPAN = (START.isoformat(), (START + timedelta(days=1)).isoformat())
VERSIONS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}


def reading(sensor: str, value: Any, *, second: int = 0) -> dict[str, Any]:
    """One reading of that day."""
    return {"sensorId": sensor, "timestamp": (START + timedelta(seconds=second)).isoformat(), "value": value}


def await_values(api: httpx.Client, sensor: str, values: list[Any]) -> None:
    """Returns when these, and no others, can be read, oldest first."""
    wait_until(lambda: values_of(api, sensor, *SPAN) == values)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("door", ["MQTT", "MQTTS", "MQTT_WEBSOCKET"])
def test_a_device_reports_through_every_door(
    platform: Platform, api: httpx.Client, door: str, version: str, tmp_path: Path
) -> None:
    key = platform.credentials["apiKey"]
    identity = register(platform.url, key, f"door-{door}-{version}".lower())
    transport: Transport = "websockets" if door == "MQTT_WEBSOCKET" else "tcp"
    device = Device(identity, tmp_path, version=VERSIONS[version], transport=transport)
    device = device.use_tls() if door == "MQTTS" else device.use_key(key)
    device.connect(platform.ports[door])
    device.report(reading("open", True))
    device.report([reading("count", 2**60 + 1), reading("text", "naïve ✓")])
    device.report(reading("level", 0.5), qos=0)

    stored = {"open": True, "count": 2**60 + 1, "text": "naïve ✓", "level": 0.5}
    for name, value in stored.items():
        await_values(api, sensor_of(api, identity.device_id, name), [value])
    device.close()


def test_a_device_stays_on_its_own_topics(platform: Platform, api: httpx.Client, tmp_path: Path) -> None:
    key = platform.credentials["apiKey"]
    mine = register(platform.url, key, "door-mine")
    other = register(platform.url, key, "door-other")
    device = Device(mine, tmp_path, version=MQTTProtocolVersion.MQTTv311).use_key(key).connect(platform.ports["MQTT"])
    device.client.publish(other.topics["readings"], json.dumps(reading("x", 1)), qos=1)
    assert device.cut_off.wait(5)
    assert api.get(f"/api/v1/devices/{other.device_id}/sensors").json()["items"] == []
    device.close()


def test_a_key_of_another_organization_opens_no_door(platform: Platform, stranger_key: str, tmp_path: Path) -> None:
    identity = register(platform.url, platform.credentials["apiKey"], "door-foreign")
    device = Device(identity, tmp_path).use_key(stranger_key).connect(platform.ports["MQTT"])
    assert device.answer.is_failure
    device.close()


def test_the_last_will_of_a_device_that_vanishes_is_done(platform: Platform, api: httpx.Client, tmp_path: Path) -> None:
    identity = register(platform.url, platform.credentials["apiKey"], "door-will")
    device = Device(identity, tmp_path)
    device.client.will_set(identity.topics["readings"], json.dumps(reading("alive", False)), qos=1)
    device.use_tls().connect(platform.ports["MQTTS"])
    device.report(reading("alive", True, second=1))
    wait_until(lambda: api.get(f"/api/v1/devices/{identity.device_id}").json()["online"])

    device.vanish()
    found = wait_until(lambda: _offline(api, identity.device_id))
    assert found["online"] is False
    sensor = sensor_of(api, identity.device_id, "alive")
    await_values(api, sensor, [False, True])


def test_a_new_session_of_a_device_takes_the_place_of_the_old_one(
    platform: Platform, api: httpx.Client, tmp_path: Path
) -> None:
    identity = register(platform.url, platform.credentials["apiKey"], "door-twice")
    old = Device(identity, tmp_path).use_tls().connect(platform.ports["MQTTS"])
    new = Device(identity, tmp_path).use_tls().connect(platform.ports["MQTTS"])
    assert old.cut_off.wait(1.0)
    assert old.farewell.getName() == "Session taken over"
    old.close()
    new.report(reading("who", "new"))
    assert wait_until(lambda: api.get(f"/api/v1/devices/{identity.device_id}").json())["online"] is True
    assert not new.cut_off.is_set()
    new.close()
    wait_until(lambda: _offline(api, identity.device_id))


def test_programs_report_over_http_with_a_key(platform: Platform, api: httpx.Client, stranger: httpx.Client) -> None:
    identity = register(platform.url, platform.credentials["apiKey"], "door-http")
    sensor_names = ["warm", "wet"]
    items = [
        {**reading(name, number, second=number), "deviceId": identity.device_id}
        for name in sensor_names
        for number in range(500)
    ]
    body = gzip.compress(json.dumps(items).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = api.post("/api/v1/readings", content=body, headers=headers)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1000)
    for name in sensor_names:
        await_values(api, sensor_of(api, identity.device_id, name), list(range(500)))

    refused = stranger.post("/api/v1/readings", content=body, headers=headers)
    assert refused.status_code == 422
    assert "accepted" not in refused.json()


def test_a_device_reports_over_https_with_its_certificate_for_itself_only(
    platform: Platform, api: httpx.Client, tmp_path: Path
) -> None:
    key = platform.credentials["apiKey"]
    identity, other = register(platform.url, key, "door-https"), register(platform.url, key, "door-https-other")
    url = f"https://localhost:{platform.ports['HTTPS']}"
    with httpx.Client(base_url=url, verify=tls_context(identity, tmp_path)) as device:
        assert device.post("/api/v1/readings", json=reading("volts", 3.3)).status_code == 202
        sensor = sensor_of(api, identity.device_id, "volts")
        await_values(api, sensor, [3.3])

        foreign = device.post("/api/v1/readings", json={**reading("volts", 9.9), "deviceId": other.device_id})
        assert foreign.status_code in {403, 422}
        assert api.get(f"/api/v1/devices/{other.device_id}/sensors").json()["items"] == []
        assert device.get("/api/v1/devices").status_code == 401

        assert api.post(f"/api/v1/devices/{identity.device_id}/credentials/revoke", json={}).status_code == 204
        assert device.post("/api/v1/readings", json=reading("volts", 3.4, second=1)).status_code == 401


def _offline(api: httpx.Client, device_id: str) -> dict[str, Any] | None:
    device: dict[str, Any] = api.get(f"/api/v1/devices/{device_id}").json()
    return device if device["status"] == "OFFLINE" else None
