"""Running a role: until it is told to stop, or until a part of it fails."""

import asyncio
import gc
import resource
import signal
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


def raise_file_limit() -> None:
    """Every connection is an open file: use as many as the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def spare_collector() -> None:
    """Look for garbage in cycles more rarely, and never among what is there now. Call it when everything is loaded.

    We make few cycles, but very many objects that live for a batch: with Python's defaults the store spends up to a
    quarter of its time on looking through all that it holds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    return told


async def run_until_stopped(told: asyncio.Event, *jobs: Coroutine[Any, Any, object]) -> None:
    """Run jobs side by side until told to stop. When one of them fails, all end and its failure is raised:
    the supervisor starts the process anew, from a state that is known."""
    tasks = [asyncio.create_task(job) for job in jobs]
    stopping = asyncio.create_task(told.wait())
    try:
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            task.result()
            log.warning("a part of the role ended by itself", part=task.get_name())
    finally:
        for task in (stopping, *tasks):
            task.cancel()
        await asyncio.gather(stopping, *tasks, return_exceptions=True)
