"""A role as a child process: `roadstead run ROLE`, ready when it says so."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from roadstead.settings import Settings
from roadstead.supervisor import notify
from roadstead.supervisor.datadir import DataDir
from roadstead.supervisor.ports import Access
from roadstead.supervisor.process import Command, Process
from roadstead.supervisor.wiring import Wiring, role_environment

# -P: a file of the working directory never stands in for a module.
ROADSTEAD_COMMAND = (sys.executable, "-P", "-m", "roadstead")
_STOP_TIMEOUT_S = 10.0
_READY_TIMEOUT_S = 120.0


class Role:
    """Starts and stops one process of a role."""

    def __init__(
        self,
        role: str,
        settings: Settings,
        data: DataDir,
        *,
        name: str = "",
        store: Access | None = None,
        command: Sequence[str] = ROADSTEAD_COMMAND,
    ) -> None:
        """`name`: tells several processes of one role apart. `store`: only for the store role, where it listens."""
        self._role = role
        self._name = name or role
        self._settings = settings
        self._data = data
        self._store = store
        self._command = tuple(command)

    @property
    def name(self) -> str:
        """Its name in logs and messages, and that of its log."""
        return self._name

    async def start(self) -> Process:
        """Returns when the role says that it is ready. Raises `StartError`."""
        if self._store is not None:
            # Opened on a full disk, the embedded store writes halves of its own files over whole ones.
            self._data.check_space()
        listen, speak = os.pipe()
        try:
            try:
                process = self._spawn(speak)
            finally:
                os.close(speak)
            try:
                await _wait_until_ready(process, listen)
            except BaseException:
                await self.stop(process)
                raise
        finally:
            os.close(listen)
        return process

    async def stop(self, process: Process) -> None:
        """Lets it finish what it has in hand."""
        await process.stop(signal.SIGTERM, timeout_s=_STOP_TIMEOUT_S)

    def _spawn(self, speak: int) -> Process:
        wiring = Wiring(store=self._store, notify_fd=speak)
        return Process(
            Command(
                name=self._name,
                arguments=(*self._command, "run", self._role),
                environment=role_environment(os.environ, self._settings, wiring),
                log=self._data.logs / f"{self._name}.log",
                directory=self._data.path,
                descriptors=(speak,),
            )
        )


async def _wait_until_ready(process: Process, listen: int) -> None:
    """Until it writes its line. A pipe that closes without one says nothing yet: its end or the clock will."""
    loop = asyncio.get_running_loop()
    said: asyncio.Future[None] = loop.create_future()

    def hear() -> None:
        loop.remove_reader(listen)
        if os.read(listen, len(notify.MESSAGE)) == notify.MESSAGE and not said.done():
            said.set_result(None)

    loop.add_reader(listen, hear)
    ended = asyncio.create_task(process.wait())
    try:
        waiters: list[asyncio.Future[Any]] = [said, ended]
        await asyncio.wait(waiters, timeout=_READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if said.done():
            return
        if ended.done():
            raise process.explain(f"ended with code {ended.result()} before it was ready")
        raise process.explain(f"is not ready after {_READY_TIMEOUT_S:.0f} s")
    finally:
        loop.remove_reader(listen)
        ended.cancel()
