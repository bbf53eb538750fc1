"""A NATS server of one's own for each test: it can be killed and started again on the same store."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest_asyncio

from roadstead.bus import Bus, connect, ensure_streams, plan_streams

_BINARY = Path(sys.executable).parent / "nats-server"


class NatsServer:
    """nats-server as a child process, every message fsynced."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = _free_port()
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"nats://127.0.0.1:{self._port}"
        (directory / "nats.conf").write_text(
            f"listen: 127.0.0.1:{self._port}\n"
            f'jetstream {{ store_dir: "{directory}/jetstream", sync_interval: always }}\n'
        )

    async def start(self) -> None:
        """Begin; does not wait until it is ready."""
        self._process = await asyncio.create_subprocess_exec(
            str(_BINARY), "-c", str(self._directory / "nats.conf"), "-l", str(self._directory / "nats.log")
        )

    async def kill(self) -> None:
        """As a crash would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """In order."""
        await self._end(signal.SIGTERM)

    async def freeze(self) -> None:
        """Connections stay, nothing answers."""
        assert self._process is not None
        threads = Path(f"/proc/{self._process.pid}/task")
        os.kill(self._process.pid, signal.SIGSTOP)
        await eventually(lambda: all(_is_stopped(thread) for thread in threads.iterdir()))

    def thaw(self) -> None:
        """Answer again."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    async def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()
        self._process = None


def _is_stopped(thread: Path) -> bool:
    return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def eventually(condition: Callable[[], bool | Awaitable[bool]], *, within_s: float = 15) -> None:
    """Wait until the condition holds; fail when it does not in time."""
    async with asyncio.timeout(within_s):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.005)


@asynccontextmanager
async def connected(server: NatsServer) -> AsyncIterator[Bus]:
    """A connection to a server, with the platform's streams, small ones."""
    bus = await connect(server.url, name="test", timeout_s=10)
    try:
        await ensure_streams(bus, plan_streams(uplink_bytes=64 << 20, accepted_bytes=64 << 20, facts_bytes=1 << 20))
        yield bus
    finally:
        await bus.close()


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A running server with an empty store."""
    server = NatsServer(tmp_path)
    await server.start()
    yield server
    await server.kill()


@pytest_asyncio.fixture
async def own_bus(server: NatsServer) -> AsyncIterator[Bus]:
    """A connection to the test's own server."""
    async with connected(server) as bus:
        yield bus
