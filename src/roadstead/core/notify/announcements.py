"""Telling people: what rooms above announce, and what became of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from roadstead.core.notify import channel_store, delivery_store
from roadstead.core.notify.model import Announcement, Channel, Delivery
from roadstead.core.work import Work
from roadstead.kernel.errors import FieldProblem, Invalid
from roadstead.kernel.ids import new_id
from roadstead.kernel.page import Page, PageQuery


async def announce(work: Work, announcement: Announcement, channel_ids: Sequence[UUID]) -> None:
    """Write one delivery for each of these channels, in the caller's transaction; a worker sends them after the commit.

    Channels that are disabled, that want only what is more severe, or that are gone are passed over. Nothing is
    written when none is left. Without asking for rights.
    """
    channels = [
        channel
        for channel in await channel_store.hold_channels(work.tx, channel_ids)
        if channel.enabled and announcement.severity.rank >= channel.min_severity.rank
    ]
    if not channels:
        return
    announcement_id, now = new_id(), work.now()
    rows = [await _row(work, channel, now) for channel in channels]
    await delivery_store.insert_announcement(work.tx, announcement_id, announcement, now)
    await delivery_store.insert_deliveries(work.tx, announcement_id, announcement, rows)
    await delivery_store.wake_sender(work.tx)


async def _row(work: Work, channel: Channel, now: datetime) -> delivery_store.Row:
    due_at = now
    if channel.digest_minutes is not None:
        collecting_until = await delivery_store.select_digest_due(work.tx, channel.id)
        due_at = collecting_until or now + timedelta(minutes=channel.digest_minutes)
    in_digest = channel.digest_minutes is not None
    return delivery_store.Row(id=new_id(), channel_id=channel.id, created_at=now, due_at=due_at, in_digest=in_digest)


async def check_channels(work: Work, channel_ids: Sequence[UUID], *, pointer: str = "/channelIds") -> None:
    """Raises `Invalid` that names each id that is no channel of the organization. Without asking for rights."""
    known = {channel.id for channel in await channel_store.select_channels(work.tx, channel_ids)}
    problems = [
        FieldProblem(f"{pointer}/{index}", "invalid", "there is no such channel")
        for index, channel_id in enumerate(channel_ids)
        if channel_id not in known
    ]
    if problems:
        name = problems[0].pointer.lstrip("/").replace("/", ".")
        raise Invalid(f"{name}: {problems[0].detail}", fields=problems)


async def list_deliveries(work: Work, alert_id: UUID, page: PageQuery) -> Page[Delivery]:
    """What was made for an alert, newest first. Without asking for rights."""
    return await delivery_store.page_of_alert(work.tx, alert_id, page)
