"""How much was said by devices and to them, and counting it."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from roadstead.core.messages import AnyFact, CommandChanged, EventRaised, Fact
from roadstead.core.metering import store
from roadstead.core.metering.model import Counts, Payload
from roadstead.core.operation import operation
from roadstead.core.ports import Span
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import DeviceId, SpaceId, TenantId

Totals = dict[str, dict[str, int]]
"""By kind (`Payload`), then by source such as `device.mqtt`."""


@operation(Grant.DEVICES_READ)
async def count_payloads(
    work: Work,
    span: Span,
    *,
    space_id: SpaceId | None = None,
    device_id: DeviceId | None = None,
    in_bytes: bool = False,
) -> Totals:
    """How many messages there were in the hours that begin in a span: of the organization, a space, or a device."""
    devices = None if device_id is None else [device_id]
    rows = await store.select_totals(
        work.tx, work.tenant_id, span, space_id=space_id, devices=devices, in_bytes=in_bytes
    )
    totals: Totals = {}
    for _, kind, source, number in rows:
        totals.setdefault(kind, {})[source] = number
    return totals


@operation(Grant.DEVICES_READ)
async def chart_payloads(
    work: Work,
    span: Span,
    resolution: timedelta,
    *,
    space_id: SpaceId | None = None,
    device_id: DeviceId | None = None,
    in_bytes: bool = False,
) -> list[tuple[datetime, int]]:
    """How many messages of all kinds there were in each stretch, hours or whole days, that has some."""
    devices = None if device_id is None else [device_id]
    return await store.select_chart(
        work.tx, work.tenant_id, span, resolution, space_id=space_id, devices=devices, in_bytes=in_bytes
    )


async def load_totals_of_devices(work: Work, span: Span, device_ids: Sequence[DeviceId]) -> dict[UUID, Totals]:
    """The same by device, without asking for rights."""
    rows = await store.select_totals(work.tx, work.tenant_id, span, space_id=None, devices=device_ids, in_bytes=False)
    totals: dict[UUID, Totals] = defaultdict(dict)
    for device, kind, source, number in rows:
        totals[device].setdefault(kind, {})[source] = number
    return totals


# --- for the workers -------------------------------------------------------------------------------------------------


COUNTED: tuple[type[Fact], ...] = (CommandChanged, EventRaised)
"""What `count_facts` looks at."""


async def count_facts(tx: Tx, facts: Sequence[tuple[TenantId, AnyFact]], *, lost: bool) -> None:
    """Count what facts are about: commands that were given, and events."""
    counts, now = Counts(), time.now().astimezone(UTC)
    handed = [
        (tenant, fact.command_id, fact.device_id)
        for tenant, fact in facts
        if isinstance(fact, CommandChanged) and fact.status == "PENDING"
    ]
    askers = await store.select_askers(tx, [(tenant, id_) for tenant, id_, _ in handed]) if handed else {}
    for tenant, command_id, device_id in handed:
        who, size_bytes = askers.get(command_id, ("user", 0))
        counts.add(tenant, device_id, now, Payload.DEVICE_COMMAND, f"{who}.rest", size_bytes=size_bytes)
    for tenant, fact in facts:
        if isinstance(fact, EventRaised) and fact.event_type is not None:
            counts.add(tenant, fact.device_id, now, Payload.EVENT, "application.rest")
    if counts:
        await store.add_counts(tx, counts)
