"""The composition root: puts the pieces of each role together, and prepares a fresh platform."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Literal

import prometheus_client
import structlog

from roadstead.app.administration import administer, administer_organization
from roadstead.app.first_start import FirstOwner, prepare
from roadstead.app.logs import set_up_logs
from roadstead.app.parts import Parts, open_parts, remote_store
from roadstead.app.running import raise_file_limit, spare_collector, stop_signal
from roadstead.settings import Settings

__all__ = ["FirstOwner", "Role", "administer", "administer_organization", "prepare", "run_role"]

log = structlog.get_logger()

Role = Literal["api", "gateway", "store", "worker"]


async def run_role(role: Role, settings: Settings, *, store: tuple[int, str] | None, ready: Callable[[], None]) -> None:
    """Run one role until SIGTERM. `ready` is called once, when it does what it is there for.

    `store`: port and password of the embedded telemetry store that the store role shall offer. A failure is logged and
    ends the process.
    """
    set_up_logs(settings.log_level, role)
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    raise_file_limit()
    told = stop_signal()

    def begin() -> None:
        spare_collector()
        ready()

    try:
        await _run(role, settings, store, told, begin)
    except Exception as error:
        log.critical("the role failed", exc_info=error)
        sys.exit(1)


async def _run(
    role: Role, settings: Settings, store: tuple[int, str] | None, told: asyncio.Event, ready: Callable[[], None]
) -> None:
    if role == "store":
        from roadstead.app.store import run_store

        await run_store(settings, store, told, ready)
        return
    run = _load(role)
    async with open_parts(settings, name=role, telemetry=remote_store(settings)) as parts:
        await run(parts, told, ready)


def _load(role: Role) -> Callable[[Parts, asyncio.Event, Callable[[], None]], Awaitable[None]]:
    """A process loads its own role only: the store's engine alone is larger than all the rest of a process."""
    if role == "api":
        from roadstead.app.api import run_api

        return run_api
    if role == "gateway":
        from roadstead.app.gateway import run_gateway

        return run_gateway
    from roadstead.app.worker import run_worker

    return run_worker
