"""Applies what devices answer to what the platform has sent to them: soon, in order, and once."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from roadstead.bus import CONTROL, Batch, Bus, Consumer, stream_state
from roadstead.core import telemetry
from roadstead.core.downlinks import Answer, AnswerCodec
from roadstead.core.messages import Uplink
from roadstead.core.ports import Refusal, RefusalReason
from roadstead.core.telemetry import Quarantined
from roadstead.db import Database, Tx
from roadstead.kernel import time
from roadstead.workers.patience import patiently
from roadstead.workers.turns import Turn

log = structlog.get_logger()

_MOST_PACKS = 64
_MOST_BYTES = 1 << 20
_GATHER_S = 0.004

_uplinks = msgspec.msgpack.Decoder(list[Uplink]).decode

Handler = Callable[[Tx, Sequence[tuple[Uplink, Any]]], Awaitable[list[tuple[int, Refusal]]]]
"""Applies answers of one type, in order; says which of them it refuses. It may be given the same ones twice."""

_Place = tuple[int, int]
"""Sequence of the pack, and which message of it."""


class ControlWorker:
    """Works off the CONTROL stream: decodes with the dialect's codec, hands on by type, keeps what is refused.

    All of a batch is applied in one transaction, and acknowledged after that. A crash in between means once more, and
    once more does no harm: handlers know what they have taken, and entries in quarantine have ids made from where they
    came from. One worker works at a time; others wait in reserve.
    """

    def __init__(
        self,
        bus: Bus,
        database: Database,
        turn: Turn,
        codecs: Mapping[str, AnswerCodec],
        handlers: Mapping[type[Answer], Handler],
    ) -> None:
        """`codecs` by dialect; `handlers` by the type of what codecs read."""
        self._bus = bus
        self._database = database
        self._turn = turn
        self._codecs = codecs
        self._handlers = handlers
        self._epoch = ""

    async def run(self) -> None:
        """Until cancelled. Servers that are away are waited for; meanwhile the log grows."""
        while True:
            async with self._turn.taken() as lost:
                working = asyncio.create_task(self._work(), name="control")
                losing = asyncio.create_task(lost.wait())
                try:
                    await asyncio.wait([working, losing], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    working.cancel()
                    losing.cancel()
                    await asyncio.gather(working, losing, return_exceptions=True)
                if not working.cancelled():
                    working.result()

    async def _work(self) -> None:
        created_at = (await patiently("log", lambda: stream_state(self._bus, CONTROL))).created_at
        self._epoch = f"{time.to_millis(created_at):x}"
        consumer = Consumer(self._bus, CONTROL)
        try:
            async for batch in consumer.batches(most=_MOST_PACKS, most_bytes=_MOST_BYTES, wait_s=_GATHER_S):
                await self._apply(batch)
                await batch.ack()  # last, so that a crash above means once more, never less
        finally:
            await consumer.close()

    async def _apply(self, batch: Batch) -> None:
        answers: defaultdict[type[Answer], list[tuple[_Place, Uplink, Answer]]] = defaultdict(list)
        refused: list[tuple[_Place, Uplink, Refusal]] = []
        for pack in batch.packs:
            try:
                uplinks = _uplinks(pack.payload)
            except msgspec.DecodeError as error:
                log.error("pack cannot be read", stream=CONTROL, sequence=pack.sequence, reason=str(error))
                continue
            for index, uplink in enumerate(uplinks):
                place, said = (pack.sequence, index), self._read(uplink)
                if isinstance(said, Refusal):
                    refused.append((place, uplink, said))
                else:
                    answers[type(said)].append((place, uplink, said))
        await patiently("database", lambda: self._write(answers, refused))

    def _read(self, uplink: Uplink) -> Answer | Refusal:
        codec = self._codecs.get(uplink.dialect)
        if codec is None:
            detail = f"nobody here reads answers of the dialect {uplink.dialect}"
            return Refusal(RefusalReason.MALFORMED, detail, uplink.payload, whole=True)
        try:
            said = codec.read(uplink)
        except Exception as error:
            log.exception("answer cannot be read", tenant=uplink.tenant, dialect=uplink.dialect)
            detail = f"could not be read here: {type(error).__name__}"
            return Refusal(RefusalReason.MALFORMED, detail, uplink.payload, whole=True)
        if not isinstance(said, Refusal) and type(said) not in self._handlers:
            return Refusal(RefusalReason.MALFORMED, "nobody here takes such an answer", uplink.payload, whole=True)
        return said

    async def _write(
        self,
        answers: Mapping[type[Answer], Sequence[tuple[_Place, Uplink, Answer]]],
        refused: Sequence[tuple[_Place, Uplink, Refusal]],
    ) -> None:
        kept = list(refused)
        async with self._database.tx() as tx:
            for kind, said in answers.items():
                found = await self._handlers[kind](tx, [(uplink, answer) for _, uplink, answer in said])
                kept += [(said[index][0], said[index][1], refusal) for index, refusal in found]
            if kept:
                await telemetry.insert_quarantined(tx, [self._keep(*one) for one in kept])

    def _keep(self, place: _Place, uplink: Uplink, refusal: Refusal) -> Quarantined:
        id_ = telemetry.quarantine_id(uplink, CONTROL, self._epoch, *place)
        return Quarantined(id_, uplink, refusal)
