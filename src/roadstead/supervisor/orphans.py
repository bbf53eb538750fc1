"""Servers that outlived their supervisor."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from roadstead.supervisor.failures import StartError

_PATIENCE_S = 30.0


def processes_in(directory: Path) -> list[int]:
    """Processes whose working directory this is. Our servers work in their data directory, all their children too.

    Better than a pid file, which names a stranger once its number is given out again (quickly so in containers).
    """
    try:
        here = directory.stat()
        entries = list(Path("/proc").glob("[0-9]*/cwd"))
    except OSError:
        return []
    found = []
    for entry in entries:
        try:
            if os.path.samestat(entry.stat(), here):
                found.append(int(entry.parent.name))
        except OSError:  # ended meanwhile, or another account's
            continue
    return found


async def end_orphans(directory: Path, program: str, *, gently: signal.Signals) -> None:
    """End every `program` that works in this directory. Only for who holds the lock of the data directory.

    `gently` goes to the first of each family; its children end with it. What is there after half a minute is killed.
    """
    orphans = _running(directory, program)
    for pid in orphans:
        if _parent(pid) not in orphans:
            _send(pid, gently)
    deadline = time.monotonic() + _PATIENCE_S
    while orphans := _running(directory, program):
        if time.monotonic() > deadline + _PATIENCE_S:
            raise StartError(f"{program} of an earlier run does not end (processes {orphans}): end it, then try again")
        if time.monotonic() > deadline:
            for pid in orphans:
                _send(pid, signal.SIGKILL)
        await asyncio.sleep(0.02)


def _running(directory: Path, program: str) -> list[int]:
    return [pid for pid in processes_in(directory) if _name(pid) == program]


def _name(pid: int) -> str:
    """The program of a process, empty for a zombie. PostgreSQL's children rewrite theirs to `postgres: ...`."""
    try:
        first = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    except OSError:
        return ""
    return "postgres" if first.startswith("postgres:") else Path(first).name


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
