"""Keeping a program running: started, watched, started again with a growing pause, stopped."""

import asyncio
import time
from signal import Signals
from typing import Protocol

import structlog

from roadstead.supervisor.failures import StartError
from roadstead.supervisor.process import Process, rotate_log

log = structlog.get_logger()

STEADY_S = 60.0
"""After so long without an end, the next pause is the shortest again."""

_LOG_CHECK_S = 60.0


class Program(Protocol):
    """Something that can be started again and again."""

    @property
    def name(self) -> str:
        """What it is called in logs and messages."""

    async def start(self) -> Process:
        """Start it; returns once it is ready. Leaves nothing running when it raises (`StartError`) or is cancelled."""

    async def stop(self, process: Process) -> None:
        """End it in the way that suits it."""


class Supervised:
    """One program that is kept running between `start` and `stop`."""

    def __init__(self, program: Program, *, first_pause_s: float = 0.2, longest_pause_s: float = 30.0) -> None:
        self._program = program
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.restarts = 0

    @property
    def name(self) -> str:
        """The program's name."""
        return self._program.name

    @property
    def pid(self) -> int | None:
        """Its process now; None while it is down."""
        return self._process.pid if self._process is not None and self._process.is_running else None

    async def start(self) -> None:
        """Start it for the first time: here a failure is told, not retried. Raises `StartError`."""
        self._process = await self._program.start()
        self._keeper = asyncio.create_task(self._keep_running(self._process), name=f"keep {self.name}")

    async def restart(self) -> None:
        """End it in its own way; it is started again as after any other end."""
        if self._process is not None:
            await self._program.stop(self._process)

    async def stop(self) -> None:
        """End it and let it rest. May be called at any time, twice too."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])
        process, self._process = self._process, None
        if process is not None:
            await self._program.stop(process)

    async def _keep_running(self, process: Process) -> None:
        pause_s = self._first_pause_s
        while True:
            began = time.monotonic()
            code = await self._wait(process)
            if time.monotonic() - began >= STEADY_S:
                pause_s = self._first_pause_s
            log.warning("process ended", name=self.name, reason=_explain(process, code), again_in_s=pause_s)
            started: Process | None = None
            while started is None:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._longest_pause_s)
                started = await self._try_start(pause_s)
            self._process = process = started
            self.restarts += 1
            log.info("process started again", name=self.name, pid=process.pid)

    async def _try_start(self, pause_s: float) -> Process | None:
        try:
            return await self._program.start()
        except StartError as error:
            log.error("process does not start", name=self.name, reason=str(error), again_in_s=pause_s)
            return None

    async def _wait(self, process: Process) -> int:
        """Its exit code; meanwhile its log is kept small."""
        while True:
            try:
                async with asyncio.timeout(_LOG_CHECK_S):
                    return await process.wait()
            except TimeoutError:
                rotate_log(process.log)


def _explain(process: Process, code: int) -> str:
    """Why it ended; what it said before it was killed is no reason."""
    if code < 0:
        return f"{process.name} was ended by {Signals(-code).name} (see {process.log})"
    return str(process.explain(f"ended with code {code}"))
