"""Channels and announcements for tests, and a sender beside them."""

import asyncio
import time as clock
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from prometheus_client import CollectorRegistry

from roadstead.core import notify
from roadstead.core.messages import Severity
from roadstead.core.notify import Announcement, Kind
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.ids import new_id
from roadstead.workers.deliveries import DeliverySender
from roadstead.workers.metrics import DeliveryMetrics
from tests.conftest import Tenant
from tests.dialects.native.fleet import ok

CHANNELS = "/api/v1/notification-channels"


async def add_channel(tenant: Tenant, url: str, **fields: Any) -> Any:
    """A webhook, as answered."""
    body = {"name": str(new_id()), "type": "WEBHOOK", "config": {"url": url}, **fields}
    return ok(await tenant.api.post(CHANNELS, json=body))


async def announce(tenant: Tenant, *channels: Any, **fields: Any) -> UUID:
    """An alert on some channels; answers its id."""
    alert_id = new_id()
    usual: dict[str, Any] = {
        "alert_id": alert_id,
        "event_id": new_id(),
        "kind": Kind.FIRED,
        "severity": Severity.WARNING,
        "title": "pump-1 is hot",
        "text": "temperature 91 > 90",
        "occurred_at": time.now(),
        "payload": {"value": 91.5, "device": {"name": "pump-1"}},
    }
    async with tenant.work() as work:
        await notify.announce(work, Announcement(**usual | fields), [UUID(channel["id"]) for channel in channels])
    return alert_id


async def deliveries(tenant: Tenant, channel: Any, **params: Any) -> list[Any]:
    """Those of a channel, oldest first."""
    found = ok(await tenant.api.get(f"{CHANNELS}/{channel['id']}/deliveries", params={"limit": 200, **params}))
    return list(reversed(found["items"]))


async def statuses(tenant: Tenant, channel: Any) -> list[str]:
    """Of the deliveries of a channel, oldest first."""
    return [delivery["status"] for delivery in await deliveries(tenant, channel)]


async def make_due(database: Database, tenant: Tenant) -> None:
    """Time passes for all that waits in an organization."""
    async with database.tx() as tx:
        await tx.run("UPDATE delivery SET due_at = now() WHERE tenant_id = %s AND status = 'PENDING'", tenant.tenant_id)


@asynccontextmanager
async def sending(
    database: Database, url: str, ports: Ports, *, at_a_time: int = 16, keep: bool = False
) -> AsyncIterator[None]:
    """A sender beside the test, with nothing to do that other tests have left, unless it shall `keep` it."""
    if not keep:
        async with database.tx() as tx:
            await tx.run("UPDATE delivery SET status = 'CANCELLED' WHERE status = 'PENDING'")
    sender = DeliverySender(database, url, ports, at_a_time=at_a_time, metrics=DeliveryMetrics(CollectorRegistry()))
    task = asyncio.create_task(sender.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], Awaitable[bool] | bool], *, within_s: float = 30) -> None:
    """Wait for a condition; fails when it does not come true."""
    deadline = clock.monotonic() + within_s
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert clock.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.02)
