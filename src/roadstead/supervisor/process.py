"""One child process: started, watched, its last words kept, stopped."""

import asyncio
import ctypes
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

import msgspec

from roadstead.supervisor.account import Account
from roadstead.supervisor.failures import StartError, explain, explain_log

MOST_LOG_BYTES = 20 * 1024 * 1024
_TAIL_BYTES = 4096
_PR_SET_PDEATHSIG = 1

# Looked up before any fork: between fork and exec as little as possible may happen.
_prctl: Callable[..., int] | None = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, and how."""

    name: str
    arguments: tuple[str, ...]
    log: Path
    """Gets what it prints, both streams."""
    environment: Mapping[str, str]
    directory: Path = Path("/")
    descriptors: tuple[int, ...] = ()
    """Open files that the child keeps, under the same numbers."""
    account: Account | None = None
    """Whom it runs as; None: ourselves."""
    death_signal: Signals = SIGKILL
    """What it gets when the thread that started it dies, however that happens (Linux)."""


class Process:
    """A running child in a session of its own, so that Ctrl-C reaches only us and we decide on the order of the end."""

    def __init__(self, command: Command) -> None:
        """Raises `StartError` when there is nothing to run or no right to."""
        self.name = command.name
        self.log = command.log
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        account = command.account
        try:
            rotate_log(self.log)
            output = self.log.open("ab")
        except OSError as error:
            raise explain(error, self.log) from error
        try:
            with output:
                self._log_start = output.tell()
                self._popen = subprocess.Popen(  # noqa: S603 - our own commands
                    command.arguments,
                    cwd=command.directory,
                    env=dict(command.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=command.descriptors,
                    user=account.uid if account else None,
                    group=account.gid if account else None,
                    extra_groups=[] if account else None,
                    preexec_fn=_die_with(os.getpid(), command.death_signal),  # noqa: PLW1509 - one system call, no locks
                )
        except OSError as error:
            who = f" as the account '{account.name}'" if account else ""
            raise StartError(f"{self.name} cannot be started{who}: {error}") from error
        threading.Thread(target=self._watch, name=f"watch {self.name}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """Whether its end has not been noticed yet."""
        return not self._ended.done()

    async def wait(self) -> int:
        """Its exit code, once it has ended; negative: the signal that ended it."""
        return await asyncio.shield(self._ended)

    def signal(self, number: Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self.is_running:
            # Not `Popen.send_signal`: that reaps a process that has just ended, and `_watch` would never hear of it.
            os.kill(self._popen.pid, number)

    async def stop(self, number: Signals = SIGTERM, *, timeout_s: float = 10.0) -> int:
        """Ask it to end, make it end when it does not; its exit code."""
        self.signal(number)
        try:
            async with asyncio.timeout(timeout_s):
                return await self.wait()
        except TimeoutError:
            self.signal(SIGKILL)
            return await self.wait()

    def last_words(self) -> str:
        """The end of what it printed since it was started."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(size - _TAIL_BYTES, self._log_start if self._log_start <= size else 0))
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    def explain(self, what: str) -> StartError:
        """One sentence on why it went down."""
        return explain_log(self.name, what, self.log, self.last_words())

    def _watch(self) -> None:
        # Not reaped here (WNOWAIT): until the loop's thread does it, the process id cannot become somebody else's,
        # so that a signal never hits a stranger.
        os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT)
        try:
            self._loop.call_soon_threadsafe(self._reap)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._popen.wait()

    def _reap(self) -> None:
        code = self._popen.wait()
        if not self._ended.done():
            self._ended.set_result(code)


def _die_with(parent: int, number: Signals) -> Callable[[], None] | None:
    prctl = _prctl
    if prctl is None:
        return None

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask_the_kernel


def rotate_log(log: Path) -> None:
    """Move a log that has grown large aside. Truncated in place, for its writer keeps it open (in append mode)."""
    try:
        if log.stat().st_size > MOST_LOG_BYTES:
            shutil.copyfile(log, log.with_name(log.name + ".1"))
            os.truncate(log, 0)
    except FileNotFoundError:
        pass
