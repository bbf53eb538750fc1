"""Fires timers."""

import asyncio
from collections import Counter
from functools import partial
from typing import Protocol
from uuid import uuid4

import structlog

from roadstead.core import timers
from roadstead.core.messages import Uplink
from roadstead.core.ports import Ports
from roadstead.core.telemetry import Intake
from roadstead.core.timers import Claim, Outcome, Query, Report
from roadstead.core.work import Work
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.actor import system_actor
from roadstead.kernel.errors import RoadsteadError, Unavailable
from roadstead.kernel.ids import TenantId
from roadstead.workers.patience import patiently

log = structlog.get_logger()

_AT_A_TIME = 64
_OF_TENANT = 8
_RUN_S = 30.0
"""However long something takes: half of a lease."""
_GOODBYE_S = 5.0


class Uplinks(Protocol):
    """The way into the log of device messages."""

    async def put(self, *items: Uplink) -> object:
        """Returns when all are on the log. Raises `Unavailable` when some may not be there."""


class TimerWorker:
    """Leases what is due, does it, writes down what came of it and when it is due again. Several may run side by side.

    A lease is committed before anything is done, and the outcome after: who dies in between gives the lease back by
    time, and it is done once more, not more often. While a timer fires it is not due, so it never overtakes itself.
    One tenant has 8 of the 64 places of a worker at most.
    """

    def __init__(
        self, database: Database, ports: Ports, intake: Intake, uplinks: Uplinks, *, every_s: float = 0.25
    ) -> None:
        """`database` has the system duty."""
        self._database = database
        self._ports = ports
        self._intake = intake
        self._uplinks = uplinks
        self._every_s = every_s
        self._busy: Counter[TenantId] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled; what is on its way then gets a few seconds. A database that is away is waited for."""
        try:
            while True:
                try:
                    await self.look()
                except Unavailable as error:
                    log.warning("timers wait", reason=str(error))
                await asyncio.sleep(self._every_s)
        finally:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_GOODBYE_S)
            for task in self._tasks:
                task.cancel()

    async def look(self) -> int:
        """Begin with what is due, as far as there are places; says how many."""
        places = _AT_A_TIME - self._busy.total()
        if places <= 0:
            return 0
        async with self._database.tx() as tx:
            claims = await timers.claim_due(
                tx, time.now(), uuid4(), most=places, most_of_tenant=_OF_TENANT, busy=self._busy
            )
        for claim in claims:
            self._busy[claim.tenant_id] += 1
            task = asyncio.create_task(self._take_turn(claim), name=f"timer {claim.id}")
            self._tasks.add(task)
            task.add_done_callback(partial(self._end_turn, claim))
        return len(claims)

    def _end_turn(self, claim: Claim, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._busy[claim.tenant_id] -= 1
        self._busy += Counter()  # forgets who has none
        if not task.cancelled() and task.exception() is not None:
            log.error("a timer could not be settled", timer=str(claim.id), exc_info=task.exception())

    async def _take_turn(self, claim: Claim) -> None:
        outcome = await self._fire(claim)
        await patiently("database", partial(self._settle, claim, outcome))

    async def _fire(self, claim: Claim) -> Outcome:
        if claim.tries > timers.MOST_TRIES:
            return Outcome(error="the platform stopped while this was done, twice")
        try:
            async with asyncio.timeout(_RUN_S):
                match timers.unseal(self._ports, claim.sealed):
                    case Query() as query:
                        return await timers.send_query(self._ports, claim, query)
                    case Report() as report:
                        return await self._report(claim, report)
        except TimeoutError:
            return Outcome(error=f"not done within {_RUN_S:g} s")
        except RoadsteadError as error:
            return Outcome(error=str(error))
        except Exception as error:
            # A defect of ours, or a master key that is gone: it must not stop the other timers.
            log.error("a timer could not be fired", timer=str(claim.id), exc_info=error)
            return Outcome(error="could not be done; the log of the platform says why")

    async def _report(self, claim: Claim, report: Report) -> Outcome:
        actor = system_actor(claim.tenant_id, claim.organization_id, name="timer")
        async with self._database.tx(claim.tenant_id) as tx:
            taken = await timers.take_report(Work(actor, tx, self._ports), self._intake, claim, report)
            if taken.refused:
                return Outcome(error=taken.refused[0].refusal.detail)
            await self._uplinks.put(taken.uplink)
        return Outcome()

    async def _settle(self, claim: Claim, outcome: Outcome) -> None:
        async with self._database.tx() as tx:
            await timers.settle(tx, claim, outcome, time.now())
