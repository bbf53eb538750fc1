"""`kill -9` of the gateway and the worker while commands are on their way: none is lost, and none ends twice."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from roadstead.cli.provision import DeviceIdentity
from tests.journeys.devices import register
from tests.platform import Platform, end, wait_until

_ROUNDS = ("gateway", "worker")
_COMMANDS = 20


class Executor:
    """A device that carries commands out, and comes back whenever it is cut off."""

    def __init__(self, platform: Platform, identity: DeviceIdentity, key: str) -> None:
        self.heard: Counter[str] = Counter()
        self._topics = identity.topics
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=identity.client_id)
        self._client.username_pw_set(identity.device_id, key)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.connect("localhost", platform.ports["MQTT"])
        self._client.loop_start()

    def close(self) -> None:
        """Goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(self._topics["commands"], qos=1)

    def _on_message(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        command = json.loads(message.payload)
        self.heard[command["id"]] += 1
        answer = {"id": command["id"], "status": "SUCCESS", "result": command["params"]}
        client.publish(self._topics["commandsResponse"], json.dumps(answer), qos=1)


@pytest.mark.timeout(120)
def test_commands_survive_whoever_is_killed(tmp_path: Path) -> None:
    with Platform(tmp_path / "data") as platform:
        platform.start()
        key = platform.credentials["apiKey"]
        identity = register(platform.url, key, "pump-1")
        device = Executor(platform, identity, key)
        given: dict[str, int] = {}
        with platform.client() as api:
            for victim in _ROUNDS:
                for number in range(_COMMANDS):
                    given[_give(api, identity.device_id, len(given))] = len(given)
                    if number == _COMMANDS // 2:
                        killed = platform.find(victim)
                        assert killed
                        end(killed)

            def is_done() -> bool:
                params = {"status": "SUCCESS", "includeTotal": "true", "limit": "1"}
                return bool(api.get("/api/v1/commands", params=params).json()["totalItems"] == len(given))

            wait_until(is_done, timeout_s=40, pause_s=0.2)
            found = api.get("/api/v1/commands", params={"limit": "200"}).json()["items"]
            refused = api.get("/api/v1/admin/quarantine").json()["items"]
        device.close()

        assert {one["id"]: one["result"]["delaySeconds"] for one in found} == given
        assert set(device.heard) == set(given)
        assert refused == [], "a repeat of the same answer is no contradiction"
        assert platform.stop() == 0


def _give(api: httpx.Client, device_id: str, number: int) -> str:
    body = {"type": "REBOOT", "params": {"delaySeconds": number}, "timeoutSeconds": 120}
    answer = api.post(f"/api/v1/devices/{device_id}/commands", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])
