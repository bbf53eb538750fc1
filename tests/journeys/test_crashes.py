"""`kill -9` of anything, at any time, and a restart: nothing that was acknowledged is lost or doubled."""

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from tests.journeys.devices import register, sensor_of, values_of
from tests.journeys.writers import HttpWriter, MqttWriter, Writer
from tests.platform import ROLES, SERVERS, Platform, end, wait_until

START = datetime(2026, 4, 1, tzinfo=UTC)
SPAN = (START.isoformat(), (START + timedelta(days=1)).isoformat())


@pytest.mark.timeout(180)
def test_nothing_acknowledged_is_lost_or_doubled_whoever_is_killed(tmp_path: Path) -> None:
    with Platform(tmp_path / "data") as platform:
        platform.start()
        key = platform.credentials["apiKey"]
        writers: list[Writer] = [
            MqttWriter(platform, register(platform.url, key, "by-mqtt"), tmp_path, start=START),
            HttpWriter(platform, register(platform.url, key, "by-http"), start=START),
        ]

        # One after the other, while both go on sending.
        for victim in (*ROLES, *SERVERS):
            killed = platform.find(victim)
            assert killed
            end(killed)
            _await_progress(writers)
            wait_until(_is_back(platform, victim, killed), timeout_s=30)

        # The supervisor takes everything else along, in its own time.
        platform.stop(signal.SIGKILL)
        platform.start(timeout_s=20)
        _await_progress(writers)

        # A power cut: all at once. Afterwards the process id in PostgreSQL's file is that of a stranger.
        end(platform.family())
        (pid_file,) = platform.directory.glob("postgres/*/postmaster.pid")
        _, *lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(os.getpid()), *lines]) + "\n")
        platform.start(timeout_s=20)
        _await_progress(writers)

        with platform.client() as api:
            for writer in writers:
                _check(api, writer)
        assert platform.stop() == 0

        # All of that was nothing that a role did not expect.
        for role in ROLES:
            assert not [line for line in platform.log_lines(role) if line["level"] in {"error", "critical"}]


def _check(api: httpx.Client, writer: Writer) -> None:
    """What it was promised is there, once, and nothing else."""
    sent = writer.finish()
    sensor = sensor_of(api, writer.identity.device_id, "n")
    wait_until(lambda: len(values_of(api, sensor, *SPAN)) >= sent, timeout_s=20)
    assert values_of(api, sensor, *SPAN) == list(range(sent))
    latest = f"/api/v1/readings/sensor/{sensor}/latest"
    wait_until(lambda: api.get(latest).json()["value"] == sent - 1, timeout_s=20)
    span = {"from": SPAN[0], "to": SPAN[1]}
    assert api.get(f"/api/v1/readings/sensor/{sensor}/stats", params=span).json()["count"] == sent


def _await_progress(writers: list[Writer]) -> None:
    """Returns when each has been told of more."""
    before = [writer.acknowledged for writer in writers]

    def has_more() -> bool:
        return all(writer.acknowledged >= old + 20 for writer, old in zip(writers, before, strict=True))

    wait_until(has_more, timeout_s=30)


def _is_back(platform: Platform, name: str, killed: list[psutil.Process]) -> Callable[[], bool]:
    return lambda: any(process not in killed for process in platform.find(name))
