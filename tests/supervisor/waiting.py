"""Waiting for something to become true, without guessing how long it takes."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path


async def until(condition: Callable[[], bool], *, timeout_s: float = 30.0) -> None:
    """Returns when the condition holds; fails the test when it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs (one that nobody has reaped yet does not)."""
    try:
        with Path(f"/proc/{pid}/stat").open("rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def kill(pid: int) -> None:
    """As hard as it goes."""
    os.kill(pid, 9)
