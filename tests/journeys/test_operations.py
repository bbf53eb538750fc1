"""What whoever runs the platform sees of it: the page at the root, probes, and the numbers of all processes."""

import json
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.journeys.devices import Device, register
from tests.platform import Platform, wait_until

MEASURED = {
    "ingest rate": "roadstead_mqtt_messages_in_total",
    "acknowledgement latency": "roadstead_mqtt_acknowledgement_seconds_count",
    "pack size": "roadstead_pack_messages_sum",
    "batch size": "roadstead_store_batch_messages_sum",
    "points": "roadstead_store_points_total",
    "sessions": "roadstead_mqtt_sessions",
    "stream lag": "roadstead_lag_messages",
    "age of what waits": "roadstead_lag_seconds",
    "projection": "roadstead_state_devices_total",
    "latency per route": "roadstead_http_request_seconds_count",
    "memory": "process_resident_memory_bytes",
}


def read_samples(platform: Platform) -> list[Sample]:
    """The page as Prometheus reads it."""
    page = httpx.get(f"{platform.url}/metrics", timeout=10)
    assert page.status_code == 200
    return [sample for family in text_string_to_metric_families(page.text) for sample in family.samples]


def test_one_page_has_the_numbers_of_all_roles(platform: Platform, tmp_path: Path) -> None:
    identity = register(platform.url, platform.credentials["apiKey"], "measured-1")
    device = Device(identity, tmp_path).use_tls().connect(platform.ports["MQTTS"])
    device.report([{"sensorId": "temperature", "timestamp": "2026-03-01T00:00:00Z", "value": 1.5}])

    def total(name: str, samples: list[Sample]) -> float:
        return sum(sample.value for sample in samples if sample.name == name)

    def has_arrived() -> bool:
        samples = read_samples(platform)
        return total("roadstead_state_devices_total", samples) > 0 and total("roadstead_lag_seconds", samples) < 60

    wait_until(has_arrived, timeout_s=20)
    samples = read_samples(platform)
    assert {sample.labels["role"] for sample in samples} == {"api", "gateway", "store", "worker"}
    for what, name in MEASURED.items():
        assert any(sample.name == name for sample in samples), what
    for name in ("roadstead_mqtt_sessions", "roadstead_store_points_total", "roadstead_pack_messages_sum"):
        assert total(name, samples) >= 1, name
    readers = {sample.labels["reader"] for sample in samples if sample.name == "roadstead_lag_messages"}
    assert readers == {"store", "state", "outbox", "control", "rules"}
    routes = {sample.labels.get("route") for sample in samples if sample.name == "roadstead_http_request_seconds_count"}
    assert "/api/v1/devices/registration/tokens" in routes
    device.close()


def test_the_root_says_where_everything_is(platform: Platform) -> None:
    page = httpx.get(platform.url)
    assert page.headers["content-type"].startswith("text/html")
    assert httpx.get(f"{platform.url}/readyz").json()["status"] == "UP"


def test_the_owner_of_a_device_reads_which_messages_the_door_refused(platform: Platform, tmp_path: Path) -> None:
    identity = register(platform.url, platform.credentials["apiKey"], "astray-1")
    device = Device(identity, tmp_path).use_tls().connect(platform.ports["MQTTS"])
    device.client.publish("v1/readings/of/somebody/else", b'{"value":1}', qos=1)
    with platform.client() as api:

        def entries() -> list[dict[str, Any]]:
            found = api.get("/api/v1/admin/quarantine", params={"deviceId": identity.device_id})
            return list(found.json()["items"])

        (entry,) = wait_until(entries)
        assert (entry["reason"], entry["payload"]) == ("FORBIDDEN_TOPIC", {"value": 1})
        assert "v1/readings/of/somebody/else" in entry["detail"]
    device.close()


def test_the_key_of_the_root_can_be_kept_in_a_safe(platform: Platform, tmp_path: Path) -> None:
    def authorities() -> list[dict[str, Any]]:
        shown = platform.command("ca", "show", "--json")
        assert shown.returncode == 0, shown.stderr
        return list(json.loads(shown.stdout))

    root, intermediate = authorities()
    assert (root["kind"], root["hasKey"], intermediate["kind"]) == ("ROOT", True, "INTERMEDIATE")
    certificate = x509.load_pem_x509_certificate(root["certificate"].encode())
    assert root["fingerprint"] == certificate.fingerprint(SHA256()).hex()

    safe, other = tmp_path / "root.key", tmp_path / "other.key"
    exported = platform.command("ca", "export-root", str(safe))
    assert exported.returncode == 0, exported.stderr
    assert safe.stat().st_mode & 0o777 == 0o600
    key = load_pem_private_key(safe.read_bytes(), None)
    assert key.public_key() == certificate.public_key()
    assert [one["hasKey"] for one in authorities()] == [False, True]
    assert platform.command("ca", "export-root", str(other)).returncode == 1
    assert not other.exists()
    register(platform.url, platform.credentials["apiKey"], "without-root-1")

    other.write_text("not a key")
    assert "private key" in platform.command("ca", "import-root", str(other)).stderr
    assert platform.command("ca", "import-root", str(safe)).returncode == 0
    assert [one["hasKey"] for one in authorities()] == [True, True]
    taken = platform.command("ca", "export-root", str(safe))
    assert (taken.returncode, "exists" in taken.stderr) == (1, True)
    assert [one["hasKey"] for one in authorities()] == [True, True]
