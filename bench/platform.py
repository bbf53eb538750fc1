"""The whole platform as a user starts it, on free ports and in a directory of its own."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from bench.processes import roles_below
from roadstead.adapters.clickhouse import Address, HttpTransport
from roadstead.settings import Settings, read_settings
from roadstead.supervisor.datadir import DataDir
from roadstead.supervisor.ports import find_access
from roadstead.supervisor.servers import find_running
from roadstead.supervisor.wiring import store_url

_DOORS = ("HTTP", "HTTPS", "MQTT", "MQTTS", "MQTT_WEBSOCKET")
_READY = b"Roadstead is ready"
_START_S, _STOP_S = 60.0, 60.0


class PlatformFailed(Exception):
    """It did not start, or something is wrong with it."""


class Platform:
    """A running platform."""

    def __init__(self, directory: Path, environment: Mapping[str, str], process: asyncio.subprocess.Process) -> None:
        self.directory = directory
        self._environment = environment
        self._process = process

    @property
    def ports(self) -> dict[str, int]:
        """By the name in the setting: HTTP, MQTT, ..."""
        return {name: int(self._environment[f"ROADSTEAD_{name}_PORT"]) for name in _DOORS}

    @property
    def roles(self) -> dict[str, list[int]]:
        """Its processes."""
        return roles_below(self._process.pid)

    @property
    def credentials(self) -> dict[str, str]:
        """What it wrote down for the first owner."""
        found: dict[str, str] = json.loads((self.directory / "credentials.json").read_text())
        return found

    @property
    def settings(self) -> Settings:
        """With the URLs of its servers."""
        access = find_access(DataDir(self.directory).store_access)
        if access is None:
            raise PlatformFailed("the store has not said where it listens")
        environment = dict(self._environment) | {"ROADSTEAD_CLICKHOUSE_URL": store_url(access)}
        return find_running(read_settings(environment))

    def open_store(self) -> HttpTransport:
        """A way to the telemetry store, past the platform."""
        return HttpTransport(Address.parse(self.settings.clickhouse_url))

    async def stop(self) -> None:
        """In order; killed when that takes too long."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_S)
        except TimeoutError:
            self._process.kill()
            raise PlatformFailed("the platform did not stop when it was told to") from None


@contextlib.asynccontextmanager
async def running_platform(root: Path, **settings: object) -> AsyncIterator[Platform]:
    """Started on an empty directory below `root`, gone afterwards with all its data.

    `settings`: by variable without its prefix, for instance `MQTT_PROCESSES=2`.
    """
    with tempfile.TemporaryDirectory(prefix="roadstead-bench-", dir=root) as directory:
        started = await start_platform(Path(directory) / "data", **settings)
        try:
            yield started
        finally:
            await started.stop()


async def start_platform(directory: Path, **settings: object) -> Platform:
    """Returns when it says that it is ready."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROADSTEAD_")}
    environment |= {f"ROADSTEAD_{name}_PORT": str(port) for name, port in zip(_DOORS, free_ports(5), strict=True)}
    environment |= {"ROADSTEAD_DATA_DIR": str(directory), "ROADSTEAD_LOG_LEVEL": "warning"}
    environment |= {"ROADSTEAD_LIMITS_REQUESTS_PER_MINUTE": "0", "ROADSTEAD_LIMITS_SIGN_INS_PER_MINUTE": "0"}
    environment |= {f"ROADSTEAD_{name}": str(value) for name, value in settings.items()}
    log = directory.with_suffix(".out")
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "roadstead", "up",
            env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + _START_S
    while _READY not in log.read_bytes():
        if process.returncode is not None or time.monotonic() > deadline:
            if process.returncode is None:
                process.kill()
            raise PlatformFailed(f"the platform did not start:\n{log.read_text()}")
        await asyncio.sleep(0.02)
    return Platform(directory, environment, process)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
