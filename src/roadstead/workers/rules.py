"""Evaluates alert rules: one process at a time, and another one in reserve."""

import asyncio
from datetime import timedelta

import structlog

from roadstead.bus import Bus
from roadstead.core import rules
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.workers.accepted_packs import AcceptedPacks
from roadstead.workers.metrics import RuleMetrics
from roadstead.workers.patience import patiently
from roadstead.workers.rule_evaluation import RuleEvaluation, StartOver, Superseded

log = structlog.get_logger()

_TAKEOVER = timedelta(seconds=10)


class RuleWorker:
    """Whoever starts evaluates, and whoever did is superseded: it waits in reserve, and takes over when nothing has
    been heard of the other for ten seconds."""

    def __init__(
        self, bus: Bus, database: Database, ports: Ports, packs: AcceptedPacks, *, metrics: RuleMetrics
    ) -> None:
        """`database` has the system duty."""
        self._bus = bus
        self._database = database
        self._ports = ports
        self._packs = packs
        self._metrics = metrics

    async def run(self) -> None:
        """Until cancelled. Servers that are away are waited for."""
        while True:
            try:
                await RuleEvaluation(self._bus, self._database, self._ports, self._packs, metrics=self._metrics).run()
            except StartOver as error:
                log.warning("rules are loaded anew", reason=str(error))
            except Superseded:
                log.warning("another process evaluates rules; waiting in reserve")
                await self._wait()

    async def _wait(self) -> None:
        while True:
            await asyncio.sleep(_TAKEOVER.total_seconds() / 4)
            if await patiently("database", self._is_vacant):
                return

    async def _is_vacant(self) -> bool:
        async with self._database.tx() as tx:
            return await rules.is_vacant(tx, _TAKEOVER)
