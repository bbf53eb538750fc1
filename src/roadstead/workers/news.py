"""Tells those who wait for the end of a command in this process what the facts say."""

from roadstead.bus import FACTS, NEW, Bus, Follower
from roadstead.core.commands import FINAL, CommandId, CommandNews
from roadstead.core.messages import CommandChanged
from roadstead.workers.fact_packs import facts_in
from roadstead.workers.patience import patiently


async def follow_commands(bus: Bus, news: CommandNews) -> None:
    """Until cancelled. A log that is away is waited for; whoever waits for a command looks by itself meanwhile."""
    reader = Follower(bus, FACTS, start=NEW)
    try:
        await patiently("log", reader.open)
        async for pack in reader.packs():
            for _, fact in facts_in(pack):
                if isinstance(fact, CommandChanged) and fact.status in FINAL:
                    news.tell(CommandId(fact.command_id))
    finally:
        await reader.close()
