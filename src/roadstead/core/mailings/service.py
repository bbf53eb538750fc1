"""What can be done with mailings."""

from collections.abc import Sequence
from uuid import UUID

from roadstead.core import notify, registry
from roadstead.core.mailings import store
from roadstead.core.mailings.model import Hit, Mailing, MailingDraft
from roadstead.core.notify import ChannelChange, ChannelDraft, ChannelType
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import NotFound
from roadstead.kernel.filter_json import spell_filter
from roadstead.kernel.ids import new_id
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.ALERTS_READ)
async def list_mailings(work: Work, page: PageQuery) -> Page[Mailing]:
    """All mailings, newest first."""
    return await store.page_mailings(work.tx, page)


@operation(Grant.ALERTS_READ)
async def get_mailing(work: Work, mailing_id: UUID) -> Mailing:
    """One mailing."""
    return _found(await store.select_mailing(work.tx, mailing_id), mailing_id)


@operation(Grant.ALERTS_WRITE, changes=False)
async def hold_mailing(work: Work, mailing_id: UUID) -> Mailing:
    """One mailing, which nobody else changes while this work goes on."""
    return _found(await store.lock_mailing(work.tx, mailing_id), mailing_id)


@operation(Grant.ALERTS_WRITE)
async def create_mailing(work: Work, draft: MailingDraft) -> Mailing:
    """Add a mailing, with a channel of its own."""
    await _check(work, draft)
    mailing_id, now = new_id(), work.now()
    made = await notify.create_channel(
        work,
        ChannelDraft(
            name=f"Mail about events, {mailing_id}",
            type=ChannelType.EMAIL,
            config={"recipients": draft.recipients},
            enabled=draft.active,
        ),
    )
    mailing = Mailing(
        id=mailing_id,
        channel_id=made.channel.id,
        recipients=draft.recipients,
        active=draft.active,
        subject=draft.subject,
        body=draft.body,
        debounce_minutes=draft.debounce_minutes,
        event_types=draft.event_types,
        rule_id=draft.rule_id,
        devices=None if draft.devices is None else spell_filter(draft.devices),
        notes=draft.notes,
        last_sent_at=None,
        created_at=now,
        updated_at=now,
    )
    await store.insert_mailing(work.tx, mailing)
    work.record("mailing.create", mailing.id, after=mailing)
    return mailing


@operation(Grant.ALERTS_WRITE)
async def replace_mailing(work: Work, mailing_id: UUID, draft: MailingDraft) -> Mailing:
    """Change all of it; what the draft leaves out goes back to its default. It has not been told less for that."""
    before = _found(await store.lock_mailing(work.tx, mailing_id), mailing_id)
    await _check(work, draft)
    after = Mailing(
        id=before.id,
        channel_id=before.channel_id,
        recipients=draft.recipients,
        active=draft.active,
        subject=draft.subject,
        body=draft.body,
        debounce_minutes=draft.debounce_minutes,
        event_types=draft.event_types,
        rule_id=draft.rule_id,
        devices=None if draft.devices is None else spell_filter(draft.devices),
        notes=draft.notes,
        last_sent_at=before.last_sent_at,
        created_at=before.created_at,
        updated_at=work.now(),
    )
    if (after.recipients, after.active) != (before.recipients, before.active):
        config = {"recipients": after.recipients}
        change = ChannelChange(type=ChannelType.EMAIL, config=config, enabled=after.active)
        await notify.change_channel(work, after.channel_id, change, expected=None)
    await store.update_mailing(work.tx, after)
    work.record("mailing.update", mailing_id, before=before, after=after)
    return after


@operation(Grant.ALERTS_WRITE)
async def delete_mailing(work: Work, mailing_id: UUID) -> None:
    """Delete a mailing with its channel. What it has not sent is not sent any more."""
    mailing = _found(await store.lock_mailing(work.tx, mailing_id), mailing_id)
    await notify.delete_channel(work, mailing.channel_id, expected=None)
    work.record("mailing.delete", mailing_id, before=mailing)


@operation(Grant.ALERTS_READ)
async def list_hits(work: Work, mailing_ids: Sequence[UUID], page: PageQuery) -> Page[Hit]:
    """What has led to mail, or would have, newest first; of all mailings when none is named."""
    return await store.page_hits(work.tx, mailing_ids, page)


async def _check(work: Work, draft: MailingDraft) -> None:
    draft.check()
    if draft.devices is not None:
        await registry.pick_devices(work, draft.devices, [])


def _found(mailing: Mailing | None, mailing_id: UUID) -> Mailing:
    if mailing is None:
        raise NotFound("notification", mailing_id)
    return mailing
