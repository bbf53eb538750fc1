"""Firmware from a file on somebody's desk to devices in the field: uploaded, rolled out in waves, fetched, reported."""

import hashlib
import json
import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.journeys.devices import Device, register
from tests.platform import Platform, wait_until

FIRMWARE = "/api/v1/firmware"
CONTENT = os.urandom(3_000_000)
KEY = Ed25519PrivateKey.generate()


class Updating(Device):
    """A device that does what it is told: it fetches the file in two parts, checks it, and runs it from then on."""

    def update(self, trusted: Ed25519PublicKey) -> dict[str, Any]:
        """Wait for the command and follow it; its parameters."""
        command: dict[str, Any] = wait_until(self._command)
        params: dict[str, Any] = command["params"]
        self._answer(command, "ACKNOWLEDGED")
        with httpx.Client() as http:
            head = http.get(params["url"], headers={"Range": "bytes=0-999999"})
            assert head.status_code == 206
            # The line breaks in the middle of the rest; the device goes on after what it has.
            have = bytearray(head.content)
            rest = {"Range": f"bytes={len(have)}-", "If-Range": head.headers["ETag"]}
            with http.stream("GET", params["url"], headers=rest) as stream:
                for piece in stream.iter_raw():
                    have += piece
                    if len(have) > 1_500_000:
                        break
            rest = {"Range": f"bytes={len(have)}-", "If-Range": head.headers["ETag"]}
            answer = http.get(params["url"], headers=rest)
            assert answer.status_code == 206
            have += answer.content
        assert len(have) == params["sizeBytes"]
        assert hashlib.sha256(have).hexdigest() == params["sha256"]
        trusted.verify(b64decode(params["signature"]), hashlib.sha256(have).digest())
        assert bytes(have) == CONTENT
        health = {"timestamp": "2026-05-01T00:00:00Z", "firmwareVersion": params["version"]}
        self.client.publish(self.identity.topics["health"], json.dumps(health), qos=1).wait_for_publish(10)
        return params

    def fail(self, reason: str) -> None:
        """Wait for the command and say that it cannot be done."""
        self._answer(wait_until(self._command), "FAILED", error=reason)

    def _command(self) -> Any:
        topic = self.identity.topics["commands"]
        return next((json.loads(payload) for heard, payload in self.messages if heard == topic), None)

    def _answer(self, command: dict[str, Any], status: str, **more: Any) -> None:
        answer = {"id": command["id"], "status": status, **more}
        topic = self.identity.topics["commandsResponse"]
        self.client.publish(topic, json.dumps(answer), qos=1).wait_for_publish(10)


@pytest.fixture
def profile(api: httpx.Client) -> str:
    """What devices of this journey are."""
    body = {"key": "controller", "profileVersion": "1.0", "name": "Controller", "components": []}
    answer = api.post("/api/v1/device-profiles", json=body)
    assert answer.status_code in {201, 409}
    return "controller"


def start(platform: Platform, directory: Path, names: list[str]) -> dict[str, Updating]:
    """Devices of the profile that are connected and hear commands."""
    devices: dict[str, Updating] = {}
    for name in names:
        identity = register(platform.url, platform.credentials["apiKey"], name, deviceProfile="controller")
        home = directory / name
        home.mkdir()
        device = Updating(identity, home)
        device.use_tls().connect(platform.ports["MQTTS"])
        device.client.subscribe(identity.topics["commands"], qos=1)
        devices[identity.device_id] = device
    return devices


def publish(api: httpx.Client, version: str) -> str:
    """Register, upload with an interruption, publish; the id."""
    sha256 = hashlib.sha256(CONTENT).digest()
    body = {
        "name": "controller",
        "version": version,
        "deviceProfile": "controller",
        "sizeBytes": len(CONTENT),
        "sha256": sha256.hex(),
        "signature": b64encode(KEY.sign(sha256)).decode(),
    }
    made = api.post(FIRMWARE, json=body).json()
    url = made["upload"]["uploadUrl"]

    def breaking() -> Any:
        yield CONTENT[:1_000_000]
        raise ConnectionResetError

    with httpx.Client() as http:
        with pytest.raises(ConnectionResetError):
            http.put(url, content=breaking(), headers={"Content-Length": str(len(CONTENT))})
        wait_until(lambda: http.get(url).json()["receivedBytes"] > 0)
        at = http.get(url).json()["receivedBytes"]
        header = {"Content-Range": f"bytes {at}-{len(CONTENT) - 1}/{len(CONTENT)}"}
        done = http.put(url, content=CONTENT[at:], headers=header)
        assert done.json()["complete"], done.text
    assert api.post(f"{FIRMWARE}/{made['id']}/publish").status_code == 200
    return str(made["id"])


def test_a_rollout_in_waves_reaches_all_devices(
    platform: Platform, api: httpx.Client, stranger: httpx.Client, profile: str, tmp_path: Path
) -> None:
    devices = start(platform, tmp_path, ["ctl-1", "ctl-2", "ctl-3"])
    firmware = publish(api, "2.0.0")
    body = {"target": {"deviceIds": list(devices)}, "waves": [30, 100]}
    rollout = api.post(f"{FIRMWARE}/{firmware}/rollouts", json=body).json()
    path = f"{FIRMWARE}/rollouts/{rollout['id']}"
    lines = api.get(f"{path}/devices").json()["items"]

    for wave in (1, 2):
        for line in lines:
            if line["wave"] == wave:
                assert devices[line["deviceId"]].update(KEY.public_key())["rolloutId"] == rollout["id"]
    wait_until(lambda: api.get(path).json()["status"] == "COMPLETED", timeout_s=20)
    assert api.get(path).json()["counts"]["installed"] == 3
    assert {api.get(f"/api/v1/devices/{id_}").json()["firmwareVersion"] for id_ in devices} == {"2.0.0"}
    assert stranger.get(path).status_code == 404

    # The next release fails on the first device, and nobody else hears of it.
    for device in devices.values():
        device.messages.clear()
    firmware = publish(api, "2.0.1")
    rollout = api.post(f"{FIRMWARE}/{firmware}/rollouts", json=body | {"maxFailurePercent": 0}).json()
    path = f"{FIRMWARE}/rollouts/{rollout['id']}"
    canary = api.get(f"{path}/devices").json()["items"][0]["deviceId"]
    devices[canary].fail("bad flash")
    wait_until(lambda: api.get(path).json()["status"] == "FAILED", timeout_s=20)
    wait_until(lambda: api.get(path).json()["counts"]["cancelled"] == 2)
    assert api.get(f"{path}/devices", params={"status": "FAILED"}).json()["items"][0]["error"] == "bad flash"
    assert not any(device.messages for id_, device in devices.items() if id_ != canary)
    for device in devices.values():
        device.close()
