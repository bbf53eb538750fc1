"""From events to mail: once for each event and mailing."""

from collections.abc import Sequence
from uuid import UUID

import psycopg
import structlog

from roadstead.core import events, notify, registry
from roadstead.core.events import Event
from roadstead.core.mailings import store
from roadstead.core.mailings.model import Hit, Mailing
from roadstead.core.messages import AnyFact, EventRaised
from roadstead.core.notify import Announcement, Kind
from roadstead.core.ports import Ports
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import system_actor
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter_json import read_filter
from roadstead.kernel.ids import DeviceId, TenantId, new_id

log = structlog.get_logger()


async def follow_events(tx: Tx, ports: Ports, facts: Sequence[tuple[TenantId, AnyFact]]) -> None:
    """Write down what these facts mean for mailings of all organizations, and have mail sent with the commit.

    To be told of a fact twice does no harm: a mailing hears of an event once. Organizations that may not work send
    nothing.
    """
    raised: dict[TenantId, dict[UUID, str]] = {}
    for tenant, fact in facts:
        if isinstance(fact, EventRaised) and fact.event_type is not None and fact.device_id is not None:
            raised.setdefault(tenant, {})[fact.event_id] = fact.event_type
    interested = await store.select_interested(tx, list(raised)) if raised else {}
    for tenant, organization in interested.items():
        tx.tenant = tenant
        work = Work(system_actor(tenant, organization, name="mailings"), tx, ports)
        try:
            async with tx.savepoint():
                await _follow(work, raised[tenant])
        except (psycopg.DataError, psycopg.IntegrityError, Invalid):
            # Nothing that one organization does may stop the mail of the others.
            log.exception("events cannot be followed", tenant=tenant, events=len(raised[tenant]))


async def _follow(work: Work, raised: dict[UUID, str]) -> None:
    listening = await store.lock_listening(work.tx, sorted(set(raised.values())))
    if not listening:
        return
    happened = await events.load_events(work, list(raised))
    for mailing in listening:
        last = mailing.last_sent_at
        for device_id, event in await _concerning(work, mailing, happened):
            debounced = mailing.is_debounced(event, last)
            if await store.insert_hit(work.tx, _hit(mailing, device_id, event, debounced=debounced)) and not debounced:
                last = event.created_at
                await notify.announce(work, _announce(mailing, event), [mailing.channel_id])
        if last is not None and last != mailing.last_sent_at:
            await store.update_last_sent(work.tx, mailing.id, last)


async def _concerning(work: Work, mailing: Mailing, happened: Sequence[Event]) -> list[tuple[DeviceId, Event]]:
    """The events that a mailing is about, with their devices, in the order in which they were written down."""
    in_order = sorted(happened, key=lambda event: (event.created_at, event.id))
    wanted = [(event.device_id, event) for event in in_order if event.device_id is not None and mailing.wants(event)]
    if mailing.devices is None or not wanted:
        return wanted
    device_ids = sorted({device_id for device_id, _ in wanted})
    within = await registry.pick_devices(work, read_filter(mailing.devices), device_ids)
    return [(device_id, event) for device_id, event in wanted if device_id in within]


def _hit(mailing: Mailing, device_id: DeviceId, event: Event, *, debounced: bool) -> Hit:
    return Hit(
        id=new_id(),
        mailing_id=mailing.id,
        event_id=event.id,
        event_type=event.type,
        device_id=device_id,
        occurred_at=event.occurred_at,
        data=event.data,
        debounced=debounced,
        at=time.now(),
    )


def _announce(mailing: Mailing, event: Event) -> Announcement:
    return Announcement(
        alert_id=None,
        event_id=event.id,
        kind=Kind.EVENT,
        severity=event.severity,
        title=mailing.subject or event.type,
        text=mailing.body,
        occurred_at=event.occurred_at,
        payload={"eventType": event.type, "deviceId": str(event.device_id), "value": event.data},
    )
