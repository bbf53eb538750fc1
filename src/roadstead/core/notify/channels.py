"""What can be done with channels."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from roadstead.core.messages import Severity
from roadstead.core.notify import channel_store, delivery_store
from roadstead.core.notify.config import Config, read_config
from roadstead.core.notify.model import (
    Announcement,
    Channel,
    ChannelChange,
    ChannelDraft,
    ChannelType,
    Delivery,
    DeliveryStatus,
    Kind,
    NewSecret,
    Secrets,
)
from roadstead.core.notify.sending import open_secrets, seal_secrets
from roadstead.core.operation import operation
from roadstead.core.work import Work, check_version
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.filter import And, Filter, equals
from roadstead.kernel.ids import new_id
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.ALERTS_READ)
async def list_channels(
    work: Work, *, type_: ChannelType | None, enabled: bool | None, sort: str | None, page: PageQuery
) -> Page[Channel]:
    """Channels, sorted by `name` or `createdAt`."""
    parts: list[Filter] = []
    if type_ is not None:
        parts.append(equals("type", type_.value))
    if enabled is not None:
        parts.append(equals("enabled", enabled))
    return await channel_store.list_channels(work.tx, And(tuple(parts)), sort, page)


@operation(Grant.ALERTS_READ)
async def get_channel(work: Work, channel_id: UUID) -> Channel:
    """One channel; what is secret is not shown."""
    channel = await channel_store.select_channel(work.tx, channel_id)
    if channel is None:
        raise NotFound("notification channel", channel_id)
    return channel


@operation(Grant.ALERTS_WRITE)
async def create_channel(work: Work, draft: ChannelDraft) -> NewSecret:
    """Add a channel. A webhook without a secret gets one, shown this once."""
    config = _check(work, draft, Secrets())
    now = work.now()
    channel = Channel(
        id=new_id(),
        name=draft.name,
        type=draft.type,
        enabled=draft.enabled,
        config=config.shown,
        min_severity=draft.min_severity,
        digest_minutes=draft.digest_minutes,
        quiet_hours=draft.quiet_hours,
        last_delivery_at=None,
        last_error=None,
        created_at=now,
        updated_at=now,
        version=1,
    )
    if not await channel_store.insert_channel(work.tx, channel, seal_secrets(work.ports, config.secrets)):
        raise Conflict.taken("notification channel", "name", channel.name)
    work.record("notification-channel.create", channel.id, after=channel)
    return NewSecret(channel, config.made)


@operation(Grant.ALERTS_WRITE)
async def change_channel(work: Work, channel_id: UUID, change: ChannelChange, *, expected: int | None) -> NewSecret:
    """Change some fields; the configuration is merged, unless the type changes. A secret that is null is made anew."""
    before = await _lock(work, channel_id, expected)
    sent = change.sent()
    if change.config is not UNSET and sent.get("type", before.type) is before.type:
        sent["config"] = _merge(before, change.config)
    fields = {name: sent.get(name, getattr(before, name)) for name in ChannelDraft.__struct_fields__}
    return await _write(work, before, ChannelDraft(**fields))


@operation(Grant.ALERTS_WRITE)
async def replace_channel(work: Work, channel_id: UUID, draft: ChannelDraft, *, expected: int | None) -> NewSecret:
    """Change all fields; what the draft leaves out goes back to its default. What is sealed stays until it is sent."""
    return await _write(work, await _lock(work, channel_id, expected), draft)


@operation(Grant.ALERTS_WRITE)
async def delete_channel(work: Work, channel_id: UUID, *, expected: int | None) -> None:
    """Delete a channel. What it has not sent is not sent any more; what it has is still told at the alerts."""
    channel = await _lock(work, channel_id, expected)
    await delivery_store.cancel_deliveries(work.tx, channel_id, "the channel was deleted")
    await channel_store.delete_channel(work.tx, channel_id)
    work.record("notification-channel.delete", channel_id, before=channel)


@operation(Grant.ALERTS_WRITE)
async def begin_test(work: Work, channel_id: UUID) -> UUID:
    """Have a test message sent at once, whatever the channel's hours, digest and severity; it need not be enabled.

    Answers the id of the delivery: a worker sends it after the commit, once, and `load_delivery` tells what came of it.
    """
    channel = await _lock(work, channel_id, None)
    now, announcement_id, delivery_id = work.now(), new_id(), new_id()
    test = Announcement(
        alert_id=None,
        event_id=None,
        kind=Kind.TEST,
        severity=Severity.INFO,
        title=f"This is a test of the channel '{channel.name}'",
        text=f"{work.actor.name} has sent it to see whether it arrives. It has.",
        occurred_at=now,
    )
    row = delivery_store.Row(id=delivery_id, channel_id=channel_id, created_at=now, due_at=now, in_digest=False)
    await delivery_store.insert_announcement(work.tx, announcement_id, test, now)
    await delivery_store.insert_deliveries(work.tx, announcement_id, test, [row])
    await delivery_store.wake_sender(work.tx)
    work.record("notification-channel.test", channel_id)
    return delivery_id


@operation(Grant.ALERTS_READ)
async def list_channel_deliveries(
    work: Work, channel_id: UUID, statuses: Sequence[DeliveryStatus], page: PageQuery
) -> Page[Delivery]:
    """What the channel has sent, or will, newest first; of all statuses when none is named."""
    await get_channel(work, channel_id)
    return await delivery_store.page_of_channel(work.tx, channel_id, statuses, page)


@operation(Grant.ALERTS_WRITE)
async def resend_delivery(work: Work, channel_id: UUID, delivery_id: UUID) -> Delivery:
    """Send it again, by itself, with all its attempts; one that waits goes at once. It keeps its id, by which a
    receiver who has it already can tell. Raises `Conflict` when the channel is disabled."""
    channel = await _lock(work, channel_id, None)
    before = await load_delivery(work, channel_id, delivery_id)
    if not channel.enabled:
        raise Conflict("the channel is disabled", code="invalid-state")
    await delivery_store.update_due(work.tx, delivery_id, work.now())
    await delivery_store.wake_sender(work.tx)
    after = await load_delivery(work, channel_id, delivery_id)
    work.record("notification-channel.resend", channel_id, before=before, after=after)
    return after


async def load_delivery(work: Work, channel_id: UUID, delivery_id: UUID) -> Delivery:
    """One delivery of a channel, without asking for rights."""
    delivery = await delivery_store.select_delivery(work.tx, channel_id, delivery_id)
    if delivery is None:
        raise NotFound("delivery", delivery_id)
    return delivery


def _merge(before: Channel, patch: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch (RFC 7396) of the configuration. Templates are replaced; a secret that is null is made anew."""
    merged = {**before.config, **patch}
    headers = patch.get("headers")
    if isinstance(headers, Mapping):
        known = {**before.config.get("headers", {}), **headers}
        merged["headers"] = {name: value for name, value in known.items() if value is not None}
    return {name: value for name, value in merged.items() if value is not None or name == "secret"}


def _check(work: Work, draft: ChannelDraft, known: Secrets) -> Config:
    problems = draft.check()
    if problems:
        name = problems[0].pointer.lstrip("/").replace("/", ".")
        raise Invalid(f"{name}: {problems[0].detail}", fields=problems)
    return read_config(work.ports, draft.type, draft.config, known)


async def _lock(work: Work, channel_id: UUID, expected: int | None) -> Channel:
    channel = await channel_store.lock_channel(work.tx, channel_id)
    if channel is None:
        raise NotFound("notification channel", channel_id)
    check_version(channel.version, expected)
    return channel


async def _write(work: Work, before: Channel, draft: ChannelDraft) -> NewSecret:
    known = Secrets()
    if draft.type is before.type:
        known = open_secrets(work.ports, await channel_store.select_sealed(work.tx, before.id))
    config = _check(work, draft, known)
    if await channel_store.is_name_taken(work.tx, draft.name, before.id):
        raise Conflict.taken("notification channel", "name", draft.name)
    fields = {name: getattr(draft, name) for name in ChannelDraft.__struct_fields__}
    fields |= {"config": config.shown, "updated_at": work.now(), "version": before.version + 1}
    after = msgspec.structs.replace(before, **fields)
    if not await channel_store.update_channel(work.tx, after, seal_secrets(work.ports, config.secrets)):
        raise Conflict.taken("notification channel", "name", draft.name)
    if not after.enabled:
        await delivery_store.cancel_deliveries(work.tx, after.id, "the channel was disabled")
    elif after.quiet_hours != before.quiet_hours:
        await delivery_store.release_held(work.tx, after.id, work.now())
        await delivery_store.wake_sender(work.tx)
    work.record("notification-channel.update", after.id, before=before, after=after)
    return NewSecret(after, config.made)
