"""Carries facts from the outbox to the FACTS stream: at least once, in the order they were written."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

import psycopg
import structlog

from roadstead.bus.publisher import Publisher
from roadstead.core.messages import FactMessage, encode_facts
from roadstead.db import Database, Tx
from roadstead.kernel import time
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import TenantId
from roadstead.kernel.waiting import happens

log = structlog.get_logger()

_CHANNEL = "roadstead_outbox"
_GATHER_S = 0.008
"""Between two turns: what comes meanwhile shares the next one."""
_MOST = 500
_MOST_BYTES = 262_144
"""Of the facts of one pack."""
_LOOK_ANYWAY_S = 1.0


class OutboxRelay:
    """One relay works at a time: an advisory lock makes a second one wait in reserve."""

    def __init__(self, database: Database, database_url: str, publisher: Publisher) -> None:
        self._database = database
        self._url = database_url
        self._publisher = publisher
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. A database or a bus that is away is waited for."""
        listener = asyncio.create_task(self._listen())
        try:
            while True:
                try:
                    carried = await self._carry()
                except Unavailable as error:
                    log.warning("outbox waits", reason=str(error))
                    carried = 0
                if carried:
                    await asyncio.sleep(_GATHER_S)
                if carried < _MOST:
                    await happens(self._news, _LOOK_ANYWAY_S)
                    self._news.clear()
        finally:
            listener.cancel()

    async def _carry(self) -> int:
        async with self._database.tx() as tx:
            messages = await _take(tx)
            # All under way at once: they are stored in this order, unless the log refuses one of them.
            await asyncio.gather(*map(self._tell, _packs(messages)))
            return len(messages)

    async def _tell(self, pack: Sequence[FactMessage]) -> None:
        name = f"facts-{pack[0].id}-{pack[-1].id}"
        await self._publisher.put("facts.pack", encode_facts(pack), message_id=name)

    async def _listen(self) -> None:
        # A dropped connection costs a second at most: the relay looks anyway.
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {_CHANNEL}")
                    async for _ in connection.notifies():
                        self._news.set()
            await asyncio.sleep(_LOOK_ANYWAY_S)


def _packs(messages: Sequence[FactMessage]) -> Iterator[list[FactMessage]]:
    """As many of them together as one message of the log may well hold: each is synced by itself."""
    pack: list[FactMessage] = []
    size = 0
    for message in messages:
        if pack and size + len(message.fact) > _MOST_BYTES:
            yield pack
            pack, size = [], 0
        pack.append(message)
        size += len(message.fact)
    if pack:
        yield pack


async def _take(tx: Tx) -> list[FactMessage]:
    """The oldest ones, gone with the commit; none while it is another relay's turn.

    The commit waits for no disk: what it has not kept is told once more, and may be.
    """
    sql = """
        WITH turn AS MATERIALIZED (
            SELECT pg_try_advisory_xact_lock(hashtext('roadstead outbox')) AS is_ours,
                set_config('synchronous_commit', 'off', true)
        ), taken AS (
            DELETE FROM outbox WHERE id = ANY (ARRAY(
                SELECT o.id FROM turn, outbox o WHERE turn.is_ours ORDER BY o.id LIMIT %s
            ))
            RETURNING id, tenant_id, at, fact
        )
        SELECT * FROM taken ORDER BY id
    """
    rows = await tx.rows(sql, _MOST)
    return [FactMessage(id_, TenantId(tenant), time.to_millis(at), bytes(fact)) for id_, tenant, at, fact in rows]
