"""The whole platform, started as a user starts it: `roadstead up` in a process of its own."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest

PORT_SETTINGS = ("HTTP", "HTTPS", "MQTT", "MQTTS", "MQTT_WEBSOCKET")
ROLES = ("api", "gateway", "store", "worker")
SERVERS = ("postgres", "nats-server")
READY = "Roadstead is ready"


class Platform:
    """`roadstead up` on ports and in a directory of its own. At the end of a `with` nothing of it runs any more."""

    def __init__(
        self,
        directory: Path,
        *,
        command: Sequence[str] = (sys.executable, "-m", "roadstead"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`command`: what `up` is appended to; `environment`: instead of ours."""
        self.directory = directory
        inherited = os.environ if environment is None else environment
        self.environment = {name: value for name, value in inherited.items() if not name.startswith("ROADSTEAD_")}
        self.environment["ROADSTEAD_DATA_DIR"] = str(directory)
        self.ports: dict[str, int] = {}
        self.move()
        self._command = tuple(command)
        self._output = directory.parent / f"{directory.name}.out"
        self._process: psutil.Popen | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            end(self.family())

    def move(self) -> None:
        """From the next start on it has other ports."""
        self.ports = dict(zip(PORT_SETTINGS, free_ports(len(PORT_SETTINGS)), strict=True))
        self.environment |= {f"ROADSTEAD_{name}_PORT": str(port) for name, port in self.ports.items()}

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://localhost:{self.ports['HTTP']}"

    def start(self, *, timeout_s: float = 60) -> float:
        """Returns when it says that it is ready; how many seconds that took."""
        before = self.output().count(READY)
        began = time.monotonic()
        self.launch()
        wait_until(lambda: self._is_ready(before), timeout_s=timeout_s, pause_s=0.01)
        return time.monotonic() - began

    def launch(self) -> psutil.Popen:
        """Does not wait for anything."""
        with self._output.open("ab") as output:
            self._process = psutil.Popen(
                [*self._command, "up"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
        return self._process

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, or kill it; its exit code."""
        self.supervisor.send_signal(number)
        code: int = self.supervisor.wait(60)
        return code

    @property
    def supervisor(self) -> psutil.Popen:
        """The process of `roadstead up`."""
        assert self._process is not None
        return self._process

    def family(self) -> list[psutil.Process]:
        """The supervisor and everything below it."""
        try:
            return [self.supervisor, *self.supervisor.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def find(self, name: str) -> list[psutil.Process]:
        """The processes of a role, or of a server by its program."""
        found = []
        for child in self.supervisor.children():
            try:
                words = child.cmdline()
            except psutil.Error:
                continue
            if words[-2:] == ["run", name] or (words and Path(words[0]).name == name):
                found.append(child)
        return found

    def output(self) -> str:
        """All that it has printed."""
        return self._output.read_text() if self._output.exists() else ""

    def log_lines(self, role: str) -> Iterator[dict[str, Any]]:
        """What a role has written down so far."""
        for line in (self.directory / "logs" / f"{role}.log").read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)

    @property
    def credentials(self) -> dict[str, str]:
        """What it wrote down for the first owner."""
        found: dict[str, str] = json.loads((self.directory / "credentials.json").read_text())
        return found

    def client(self, key: str | None = None) -> httpx.Client:
        """A client with the first owner's key, or another."""
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {key or self.credentials['apiKey']}"}, timeout=20
        )

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `roadstead ...` beside it, as a user would."""
        return subprocess.run(
            [*self._command, *arguments],
            env=self.environment | {"TERM": "dumb"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd="/",
        )

    def _is_ready(self, before: int) -> bool:
        if self.supervisor.poll() is not None:
            raise AssertionError(f"roadstead up ended:\n{self.output()}")
        return self.output().count(READY) > before


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that the kernel hands out to whoever connects somewhere."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(10_000, 20_000), 10_000):
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("all ports are in use")


def wait_until(condition: Callable[[], Any], *, timeout_s: float = 10, pause_s: float = 0.02) -> Any:
    """The first true answer of a condition; fails when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause_s)
    return answer


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill them, the first one first; returns when all are gone."""
    killed = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            killed.append(process)
    psutil.wait_procs(killed, timeout=10)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that all tests share which only use it."""
    with Platform(tmp_path_factory.mktemp("platform") / "data") as running:
        running.environment["ROADSTEAD_LIGHTELLIGENCE_PORTAL_REDIRECT_URIS"] = "https://app.test/callback"
        running.start()
        yield running
        assert running.stop() == 0
