"""Tells those who wait for a command in this process what the facts say."""

import msgspec
import structlog

from roadstead.bus import FACTS, NEW, Bus, Reader
from roadstead.core.commands import CommandId, CommandNews
from roadstead.core.messages import CommandChanged, decode_fact, decode_facts
from roadstead.workers.patience import patiently

log = structlog.get_logger()

_NAME = CommandChanged.__name__.encode()


async def follow_commands(bus: Bus, news: CommandNews) -> None:
    """Until cancelled. A log that is away is waited for; whoever waits for a command looks by itself meanwhile."""
    reader = Reader(bus, FACTS, start=NEW)
    try:
        await patiently("log", reader.open)
        async for pack in reader.packs():
            try:
                facts = [decode_fact(one.fact) for one in decode_facts(pack.payload) if _NAME in one.fact]
            except msgspec.DecodeError as error:
                log.warning("fact not understood", sequence=pack.sequence, reason=str(error))
                continue
            for fact in facts:
                if isinstance(fact, CommandChanged):
                    news.tell(CommandId(fact.command_id))
    finally:
        await reader.close()
