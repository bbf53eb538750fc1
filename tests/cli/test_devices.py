"""`roadstead device` and `roadstead readings` beside a running platform."""

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from roadstead.cli.provision import DeviceIdentity
from tests.cli.conftest import Roadstead
from tests.journeys.devices import register, sensor_of
from tests.platform import Platform, wait_until

START = datetime(2026, 6, 1, tzinfo=UTC)
SPAN = ("--from", "2026-06-01T00:00:00Z", "--to", "2026-06-02T00:00:00Z")


@pytest.fixture(scope="module")
def station(platform: Platform) -> DeviceIdentity:
    """A device with a day of hourly readings."""
    identity = register(platform.url, platform.credentials["apiKey"], "cli-station", tags={"hall": "3"})
    readings = [
        {
            "deviceId": identity.device_id,
            "sensorId": "temperature",
            "timestamp": (START + timedelta(hours=hour)).isoformat(),
            "value": 20 + hour / 10,
        }
        for hour in range(24)
    ]
    with platform.client() as api:
        assert api.post("/api/v1/readings", json=readings).status_code == 202
        sensor = sensor_of(api, identity.device_id, "temperature")
        wait_until(lambda: api.get(f"/api/v1/readings/sensor/{sensor}/latest").json().get("value") == 22.3)
    return identity


def test_the_list_shows_ids_that_can_be_copied(roadstead: Roadstead, station: DeviceIdentity) -> None:
    listed = roadstead("device", "list", "--query", "cli-station")
    assert listed.code == 0
    (row,) = listed.rows
    assert row.split()[0] == "cli-station"
    assert row.split()[-1] == station.device_id
    (found,) = roadstead("device", "list", "--tag", "hall:3", "--json").json
    assert (found["id"], found["tags"]) == (station.device_id, {"hall": "3"})
    assert roadstead("device", "list", "--tag", "hall:4").out == "no device fits\n"
    assert len(roadstead("device", "list", "--limit", "1", "--json").json) == 1
    assert roadstead("device", "list", "--status", "LOST").code == 2


def test_a_device_is_shown_by_name_and_by_id(roadstead: Roadstead, station: DeviceIdentity) -> None:
    by_name, by_id = roadstead("device", "show", "cli-station"), roadstead("device", "show", station.device_id)
    assert by_name.out == by_id.out
    (sensor,) = [line for line in by_name.out.splitlines() if line.startswith("temperature")]
    assert "22.3" in sensor
    assert "…" not in by_name.out
    shown = roadstead("device", "show", "cli-station", "--json").json
    assert (shown["name"], shown["sensors"][0]["latest"]["value"]) == ("cli-station", 22.3)

    nobody = roadstead("device", "show", "cli-stati")
    assert (nobody.code, nobody.err.startswith("error: there is no device of the name 'cli-stati'")) == (1, True)
    gone = roadstead("device", "show", "6b014440-27a6-89c5-8000-000c0a3121e7")
    assert (gone.code, gone.out) == (1, "")


def test_readings_are_found_by_the_names_of_device_and_sensor(roadstead: Roadstead, station: DeviceIdentity) -> None:
    latest = roadstead("readings", "latest", "cli-station")
    assert latest.rows[0].split()[:2] == ["temperature", "22.3"]
    sensor = roadstead("readings", "latest", station.device_id, "--json").json[0]["id"]

    for name in ("cli-station/temperature", sensor):
        newest = roadstead("readings", "list", name, *SPAN, "--limit", "2")
        assert [row.split() for row in newest.rows] == [
            ["2026-06-01T23:00:00Z", "22.3"],
            ["2026-06-01T22:00:00Z", "22.2"],
        ]
    oldest = roadstead("readings", "list", sensor, *SPAN, "--oldest-first", "--json").json
    assert [item["value"] for item in oldest[:3]] == [20, 20.1, 20.2]

    buckets = roadstead("readings", "aggregated", "cli-station/temperature", *SPAN, "--interval", "PT12H")
    assert buckets.out.splitlines()[0].split() == ["bucket", "avg", "min", "max", "count"]
    assert [row.split()[1:] for row in buckets.rows] == [
        ["20.55", "20.0", "21.1", "12"],
        ["21.75", "21.2", "22.3", "12"],
    ]
    points = roadstead("readings", "aggregated", sensor, *SPAN, "--functions", "max", "--json").json
    assert (len(points), points[-1]["max"]) == (24, 22.3)

    figures = roadstead("readings", "stats", "cli-station/temperature", *SPAN)
    assert {["count", "24"][1], "22.3"} <= set(figures.out.split())
    assert roadstead("readings", "stats", sensor, *SPAN, "--json").json["max"] == 22.3


def test_what_is_not_there_is_told_in_a_sentence(roadstead: Roadstead, station: DeviceIdentity) -> None:
    assert "it has temperature" in roadstead("readings", "list", "cli-station/pressure").err
    assert "boiler-7/temperature" in roadstead("readings", "list", "temperature").err
    assert "--from" in roadstead("readings", "list", "cli-station/temperature").out
    too_many = roadstead("readings", "aggregated", "cli-station/temperature", *SPAN, "--interval", "PT0.01S")
    assert (too_many.code, too_many.err.startswith("error: interval")) == (1, True)


def test_a_device_is_registered_with_a_token_or_with_its_certificate(roadstead: Roadstead, tmp_path: Path) -> None:
    token = roadstead("device", "register", "cli-token", "--json").json
    assert token["token"].split(".")[1] == token["deviceId"]
    taken = roadstead("device", "register", "cli-token")
    assert (taken.code, "cli-token" in taken.err) == (1, True)

    directory = tmp_path / "identity"
    files = roadstead("device", "register", "cli-certificate", "--certificate-to", str(directory), "--json").json
    assert stat.S_IMODE(Path(files["privateKey"]).stat().st_mode) == 0o600
    assert "BEGIN CERTIFICATE" in Path(files["certificate"]).read_text()
    assert files["readingsTopic"].endswith(files["deviceId"])


def test_a_fleet_is_simulated_and_all_of_it_read_back(platform: Platform) -> None:
    done = platform.command("device", "simulate", "--devices", "3", "--rows", "200")
    assert done.returncode == 0, done.stderr
    sent, compared, look = done.stdout.splitlines()[-3:]
    assert sent.startswith("3 devices sent 600 readings over mutual TLS, every one acknowledged")
    assert compared == "Read back through the API: all 600 values equal what was sent."
    shown = platform.command(*look.split("roadstead ")[1].split())
    assert shown.returncode == 0
    assert "made-by=simulate" in shown.stdout


def test_tail_prints_what_comes_in_until_ctrl_c(platform: Platform, station: DeviceIdentity) -> None:
    with _tail(platform) as people, _tail(platform, "cli-station", "--json") as programs, platform.client() as api:
        other = register(platform.url, platform.credentials["apiKey"], "cli-other")
        for device, value in ((other, 1.5), (station, 2.5)):
            reading = {"deviceId": device.device_id, "sensorId": "live", "timestamp": START.isoformat(), "value": value}
            assert api.post("/api/v1/readings", json=reading).status_code == 202
        event = json.loads(_line_with(programs, "reading"))
        assert (event["event"], event["data"]["value"], event["data"]["deviceId"]) == (
            "reading",
            2.5,
            station.device_id,
        )
        assert _line_with(people, "cli-other  live").split() == [
            "2026-06-01T00:00:00Z",
            "cli-other",
            "live",
            "=",
            "1.5",
        ]
        assert _line_with(people, "cli-station  live").endswith("= 2.5\n")


def test_a_key_from_elsewhere_is_used(
    roadstead: Roadstead, platform: Platform, station: DeviceIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSTEAD_URL", platform.url)
    monkeypatch.setenv("ROADSTEAD_API_KEY", platform.credentials["apiKey"])
    monkeypatch.setenv("ROADSTEAD_DATA_DIR", "/nowhere")
    assert roadstead("device", "list", "-q", "cli-station").code == 0
    monkeypatch.setenv("ROADSTEAD_API_KEY", "sk_live_wrong")
    refused = roadstead("device", "list")
    assert (refused.code, httpx.URL(platform.url).host in refused.err) == (1, False)
    assert refused.err.startswith("error: ")


@contextmanager
def _tail(platform: Platform, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`device tail` that listens already."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "roadstead", "device", "tail", *arguments],
        env=platform.environment | {"TERM": "dumb"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("listening")
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


def _line_with(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    return next(line for line in process.stdout if text in line)
