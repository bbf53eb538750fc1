"""`kill -9` of a role in the middle of what takes long: the next process goes on where it was."""

import asyncio
import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import paho.mqtt.client as mqtt
import psycopg
import pyarrow.parquet as pq
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from roadstead.adapters.clickhouse import Address, HttpTransport
from roadstead.cli.provision import DeviceIdentity
from roadstead.kernel.ids import to_bytes
from roadstead.settings import read_settings
from roadstead.supervisor.datadir import DataDir
from roadstead.supervisor.ports import find_access
from roadstead.supervisor.servers import find_running
from roadstead.supervisor.wiring import store_url
from tests.journeys.devices import Device, register
from tests.platform import Platform, end, wait_until

FIRMWARE = "/api/v1/firmware"
CONTENT = b"\x7fELF" + bytes(100_000)
RELEASE = "3.0.0"

_ROUNDS = ("gateway", "worker")
_COMMANDS = 20

_READINGS = 50_000
_START_MS = 1_750_000_000_000


class Updating(Device):
    """A device that installs what it is told to."""

    def update(self) -> None:
        """Wait for the command, fetch the file, run it."""
        command: dict[str, Any] = wait_until(self._command, timeout_s=40)
        assert command["params"]["version"] == RELEASE
        self._say("commandsResponse", id=command["id"], status="ACKNOWLEDGED")
        content = httpx.get(command["params"]["url"]).content
        assert hashlib.sha256(content).hexdigest() == command["params"]["sha256"]
        self._say("commandsResponse", id=command["id"], status="SUCCESS")
        self._say("health", timestamp="2026-05-01T00:00:00Z", firmwareVersion=RELEASE)

    @property
    def heard(self) -> set[str]:
        """The ids of all commands that it was told."""
        return {json.loads(payload)["id"] for _, payload in self.messages}

    def _command(self) -> Any:
        return next((json.loads(payload) for _, payload in self.messages), None)

    def _say(self, topic: str, **message: Any) -> None:
        self.client.publish(self.identity.topics[topic], json.dumps(message), qos=1).wait_for_publish(10)


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


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One of its own: it is killed in part."""
    with Platform(tmp_path_factory.mktemp("workers") / "data") as started:
        started.start()
        yield started
        assert started.stop() == 0


@pytest.mark.timeout(120)
def test_a_rollout_goes_on_where_it_was_when_the_worker_is_killed(platform: Platform, tmp_path: Path) -> None:
    with platform.client() as api:
        firmware = _publish(api)
        devices = _connect(platform, tmp_path)
        body = {"target": {"deviceIds": list(devices)}, "waves": [30, 100]}
        rollout = api.post(f"{FIRMWARE}/{firmware}/rollouts", json=body).json()
        first = _kill_worker(platform)
        path = f"{FIRMWARE}/rollouts/{rollout['id']}"
        lines = {line["deviceId"]: line["wave"] for line in api.get(f"{path}/devices").json()["items"]}
        assert Counter(lines.values()) == {1: 1, 2: 2}

        for wave in (1, 2):
            for id_, device in devices.items():
                if lines[id_] == wave:
                    device.update()
                    assert wave == 2 or not any(devices[other].messages for other in lines if other != id_)
            if wave == 1:
                assert _kill_worker(platform) != first
        wait_until(lambda: api.get(path).json()["status"] == "COMPLETED", timeout_s=20)

        assert api.get(path).json()["counts"]["installed"] == len(devices)
        given = api.get("/api/v1/commands").json()["items"]
        assert {command["status"] for command in given} == {"SUCCESS"}
        assert {command["deviceId"]: {command["id"]} for command in given} == {
            id_: device.heard for id_, device in devices.items()
        }
        assert len(given) == len(devices)
        assert api.get("/api/v1/admin/quarantine").json()["items"] == []
    for device in devices.values():
        device.close()


@pytest.mark.timeout(90)
def test_an_export_goes_on_after_its_worker_was_killed(platform: Platform) -> None:
    settings = find_running(read_settings(platform.environment))
    with platform.client() as api, psycopg.connect(settings.database_url, autocommit=True) as database:
        database.execute("SET search_path = roadstead")
        device = api.post("/api/v1/devices", json={"name": "scribe", "virtual": True}).json()["id"]
        api.post("/api/v1/sensors", json={"deviceId": device, "key": "note", "valueType": "TEXT"}).raise_for_status()
        asyncio.run(_write(platform, device))
        wanted = {"scopeType": "DEVICE", "scopeId": device, "includes": ["READINGS"]}
        wanted |= {"from": "2025-06-01T00:00:00Z", "to": "2025-07-01T00:00:00Z"}
        export = api.post("/api/v1/exports", json=wanted).json()["id"]

        wait_until(lambda: _pieces(database), pause_s=0.005)
        killed = platform.find("worker")
        end(killed)
        [(lease, first)] = _pieces(database).items()
        assert api.get(f"/api/v1/exports/{export}").json()["status"] == "RUNNING"
        # A minute later, or now, a lease that nobody renews is over.
        database.execute("UPDATE export_job SET due_at = now()")
        told = wait_until(lambda: _ready(api.get(f"/api/v1/exports/{export}").json()), timeout_s=40, pause_s=0.1)

        after = _pieces(database)
        assert after.pop(lease) == first
        assert len(after) == 1, "the rest is of the next worker"
        assert told["readingCount"] == _READINGS
        answer = api.get(told["downloadUrl"])
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        rows = pq.read_table(io.BytesIO(bundle.read("readings.parquet")))
    assert [int(note.split(":")[0]) for note in rows["note"].to_pylist()] == list(range(_READINGS))
    [goes_on] = [line for line in platform.log_lines("worker") if line["event"] == "export goes on"]
    assert (goes_on["export"], goes_on["readings"]) == (export, first)


@pytest.mark.timeout(120)
def test_commands_survive_whoever_is_killed(platform: Platform) -> None:
    key = platform.credentials["apiKey"]
    identity = register(platform.url, key, "pump-1")
    device = Executor(platform, identity, key)
    given: dict[str, int] = {}
    ours = {"deviceId": identity.device_id}
    with platform.client() as api:
        for victim in _ROUNDS:
            for number in range(_COMMANDS):
                given[_give(api, identity.device_id, len(given))] = len(given)
                if number == _COMMANDS // 2:
                    killed = platform.find(victim)
                    assert killed
                    end(killed)

        def is_done() -> bool:
            params = {**ours, "status": "SUCCESS", "includeTotal": "true", "limit": "1"}
            return bool(api.get("/api/v1/commands", params=params).json()["totalItems"] == len(given))

        wait_until(is_done, timeout_s=40, pause_s=0.2)
        found = api.get("/api/v1/commands", params={**ours, "limit": "200"}).json()["items"]
        refused = api.get("/api/v1/admin/quarantine").json()["items"]
    device.close()

    assert {one["id"]: one["result"]["delaySeconds"] for one in found} == given
    assert set(device.heard) == set(given)
    assert refused == [], "a repeat of the same answer is no contradiction"


def _connect(platform: Platform, directory: Path) -> dict[str, Updating]:
    key = platform.credentials["apiKey"]
    devices = {}
    for name in ("ctl-1", "ctl-2", "ctl-3"):
        identity = register(platform.url, key, name, deviceProfile="controller")
        device = Updating(identity, directory)
        device.use_key(key).connect(platform.ports["MQTT"])
        device.client.subscribe(identity.topics["commands"], qos=1)
        devices[identity.device_id] = device
    return devices


def _publish(api: httpx.Client) -> str:
    profile = {"key": "controller", "profileVersion": "1.0", "name": "Controller", "components": []}
    assert api.post("/api/v1/device-profiles", json=profile).status_code == 201
    draft = {
        "name": "controller",
        "version": RELEASE,
        "deviceProfile": "controller",
        "sizeBytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    made = api.post(FIRMWARE, json=draft).json()
    assert httpx.put(made["upload"]["uploadUrl"], content=CONTENT).json()["complete"]
    assert api.post(f"{FIRMWARE}/{made['id']}/publish").status_code == 200
    return str(made["id"])


def _kill_worker(platform: Platform) -> int:
    """Kill it as soon as there is one; answers which it was."""
    [worker] = wait_until(lambda: platform.find("worker"))
    end([worker])
    return int(worker.pid)


async def _write(platform: Platform, device: str) -> None:
    """Texts that do not shrink, straight into the store."""
    access = find_access(DataDir(platform.directory).store_access)
    assert access is not None
    store = HttpTransport(Address.parse(store_url(access)))
    sql = f"""
        INSERT INTO point SELECT 1, toFixedString(unhex('{to_bytes(UUID(device)).hex()}'), 12), 'note',
            fromUnixTimestamp64Milli({_START_MS} + toInt64(number) * 1000), NULL,
            concat(toString(number), ':', randomPrintableASCII(900)), '', now64(3)
        FROM numbers({_READINGS})
    """
    await store.command(sql, {})
    await store.close()


def _pieces(database: psycopg.Connection) -> dict[UUID, int]:
    """How many readings each worker has put aside."""
    rows = database.execute("SELECT lease, sum(readings)::bigint FROM export_piece GROUP BY lease").fetchall()
    return dict(rows)


def _ready(export: dict[str, object]) -> dict[str, object] | None:
    assert export["status"] in {"PENDING", "RUNNING", "READY"}, export
    return export if export["status"] == "READY" else None


def _give(api: httpx.Client, device_id: str, number: int) -> str:
    body = {"type": "REBOOT", "params": {"delaySeconds": number}, "timeoutSeconds": 120}
    answer = api.post(f"/api/v1/devices/{device_id}/commands", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])
