"""Starting, stopping and starting again: what whoever runs the platform goes through."""

import json
import os
import signal
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.journeys.devices import Device, register, sensor_of, values_of
from tests.journeys.users import Guest, find_guest
from tests.platform import Platform, wait_until

DAY = ("2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z")


@pytest.mark.timeout(180)
def test_stop_and_start_again(tmp_path: Path) -> None:
    with Platform(tmp_path / "data") as platform:
        _live(platform, tmp_path)


def _live(platform: Platform, directory: Path) -> None:
    # An empty directory. A port that is taken is told with its setting; nothing is left of the attempt.
    with socket.create_server(("127.0.0.1", platform.ports["MQTTS"])):
        assert platform.launch().wait(30) == 1
    assert f"port {platform.ports['MQTTS']} for MQTT over TLS is in use" in platform.output()
    assert "set ROADSTEAD_MQTTS_PORT" in platform.output()
    assert "Traceback" not in platform.output()

    assert platform.start() < 30
    first = dict(platform.credentials)
    assert stat.S_IMODE((platform.directory / "credentials.json").stat().st_mode) == 0o600
    identity = register(platform.url, first["apiKey"], "stays")
    device = Device(identity, directory).use_tls().connect(platform.ports["MQTTS"])
    device.report({"sensorId": "t", "timestamp": DAY[0], "value": 1.5})

    # A second one in the same directory is refused, and the first one does not notice.
    intruder = Platform(platform.directory)
    assert intruder.launch().wait(30) == 1
    assert "already runs in" in intruder.output()

    # Ctrl-C, as a terminal sends it. The device is told; nothing is left running.
    family = platform.family()
    assert len(family) > 7
    os.killpg(platform.supervisor.pid, signal.SIGINT)
    assert platform.supervisor.wait(30) == 0
    assert device.cut_off.wait(5)
    device.close()
    _gone, alive = psutil.wait_procs(family, timeout=5)
    assert not alive, alive
    for port in platform.ports.values():
        with socket.create_server(("127.0.0.1", port)):
            pass

    # The second start, from the same data on other ports: same owner, same device, same certificate, same readings.
    platform.move()
    platform.start(timeout_s=20)
    assert platform.credentials == first | {"url": platform.url}
    assert stat.S_IMODE((platform.directory / "credentials.json").stat().st_mode) == 0o600
    device = Device(identity, directory).use_tls().connect(platform.ports["MQTTS"])
    assert not device.answer.is_failure
    device.report({"sensorId": "t", "timestamp": "2026-05-01T00:00:01Z", "value": 2.5})
    with platform.client() as api:
        sensor = sensor_of(api, identity.device_id, "t")
        wait_until(lambda: values_of(api, sensor, *DAY) == [1.5, 2.5])
    device.close()
    assert platform.stop() == 0
    assert "Traceback" not in platform.output()

    # While it is down, a command starts what it needs and stops it again.
    listed = platform.command("device", "list")
    assert (listed.returncode, "is 'roadstead up' running?" in listed.stderr) == (1, True)
    keys = platform.command("key", "list", "--json")
    assert keys.returncode == 0, keys.stderr
    assert first["apiKey"].startswith(json.loads(keys.stdout)[0]["prefix"])
    assert not [process for process in psutil.process_iter() if _works_in(process, platform.directory)]


def _works_in(process: psutil.Process, directory: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(directory)
    except psutil.Error:
        return False


@pytest.mark.timeout(180)
def test_an_ordinary_user_runs_all_of_it() -> None:
    guest = find_guest()
    if guest is None:
        pytest.skip("we are an ordinary user ourselves, or there is no account that can run this Python")
    with (
        _home_of(guest) as home,
        Platform(home / "data", command=guest.command, environment=guest.environment(home)) as platform,
    ):
        platform.start()
        assert {process.uids().real for process in platform.family()} == {guest.uid}
        done = platform.command("device", "simulate", "--devices", "2", "--rows", "50")
        assert done.returncode == 0, done.stderr
        assert "all 100 values equal what was sent" in done.stdout
        assert platform.stop() == 0


@contextmanager
def _home_of(guest: Guest) -> Iterator[Path]:
    """A directory of theirs; those of the test run are closed to others."""
    with tempfile.TemporaryDirectory(prefix="roadstead-home-", dir="/tmp") as name:
        os.chown(name, guest.uid, guest.gid)
        yield Path(name)
