"""Buffers: up to where somebody has listened, so that the next time goes on from there."""

from datetime import timedelta

from roadstead.core.operation import operation
from roadstead.core.streams import store
from roadstead.core.streams.model import Position
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant

BUFFER_LIFE = timedelta(days=2)
"""Whoever stays away for longer begins anew; the log keeps what was accepted for as long."""


@operation(Grant.READINGS_READ)
async def find_buffer(work: Work, name: str) -> Position | None:
    """Up to where the buffer of this name was read; None when there is none, or not any more."""
    return await store.select_buffer(work.tx, name, work.now() - BUFFER_LIFE)


@operation(Grant.READINGS_READ)
async def keep_buffer(work: Work, name: str, position: Position) -> None:
    """The buffer of this name was read up to here."""
    await store.upsert_buffer(work.tx, name, position, work.now())
