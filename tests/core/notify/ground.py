"""Deliveries beside their oracle: what is announced, endpoints that come and go, and senders that die."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from prometheus_client import CollectorRegistry

from roadstead.core import notify
from roadstead.core.messages import Severity
from roadstead.core.notify import Announcement, ChannelChange, ChannelDraft, ChannelType, Kind, QuietHours
from roadstead.core.ports import Post, Reply
from roadstead.db import Database
from roadstead.kernel.errors import Conflict, Forbidden, Unavailable
from roadstead.kernel.ids import new_id
from roadstead.workers.deliveries import DeliverySender
from roadstead.workers.metrics import DeliveryMetrics
from tests.clock import Clock
from tests.conftest import Tenant
from tests.core.notify.oracle import (
    CHANNELS,
    COLLECTING,
    DIGEST_MINUTES,
    QUIET_FROM,
    QUIET_UNTIL,
    SLEEPING,
    Oracle,
    Seen,
)
from tests.mortal import ALL_DONE, Crash, Mortal

_HOURS = QuietHours(start=f"{QUIET_FROM:02}:00", end=f"{QUIET_UNTIL:02}:00", time_zone="UTC")


class Endpoints:
    """Servers of others: `ports.Outgoing`. Each is up, down, away, or nobody may speak to it."""

    def __init__(self, oracle: Oracle) -> None:
        self.step: Callable[[], None] = lambda: None
        self.posts: Counter[tuple[int, str]] = Counter()
        """How often a channel was told of something (an alert; of a test, its id)."""
        self.keys: dict[tuple[int, str], set[str]] = {}
        """Under which ids."""
        self.bodies: dict[str, set[bytes]] = {}
        self._oracle = oracle

    def check_url(self, url: str) -> str | None:
        """All are good."""
        return None

    async def post(self, post: Post) -> Reply:
        """Told; between that and the answer one can die, too."""
        channel, body, key = int(post.url[-1]), json.loads(post.body), post.headers["Idempotency-Key"]
        self.step()
        for one in body.get("items", [body]):
            self.posts[channel, one.get("alertId", key)] += 1
            self.keys.setdefault((channel, one.get("alertId", key)), set()).add(key)
        if "items" not in body:
            self.bodies.setdefault(key, set()).add(post.body)
        self.step()
        match self._oracle.endpoints[channel]:
            case "up":
                return Reply(200, "")
            case "down":
                return Reply(503, "")
            case "away":
                raise Unavailable("nobody answers")
        raise Forbidden("it lies inside")


class Ground:
    """Four channels of an organization, and all that was announced."""

    def __init__(self, tenant: Tenant, clock: Clock) -> None:
        self.tenant = tenant
        self.clock = clock
        self.oracle = Oracle(clock)
        self.database = tenant.edge.system_database
        self.endpoints = Endpoints(self.oracle)
        self.ports = msgspec.structs.replace(tenant.edge.ports, outgoing=self.endpoints)
        self.channels: list[UUID] = []
        self.made: list[tuple[UUID, str]] = []
        """Ids of the deliveries, and what they tell of."""

    async def add_channels(self) -> None:
        """Those that the oracle knows."""
        for index in CHANNELS:
            draft = ChannelDraft(
                name=f"channel {index}",
                type=ChannelType.WEBHOOK,
                config={"url": f"http://127.0.0.1/{index}"},
                digest_minutes=DIGEST_MINUTES if index in COLLECTING else None,
                quiet_hours=_HOURS if index in SLEEPING else None,
            )
            async with self.tenant.work() as work:
                self.channels.append((await notify.create_channel(work, draft)).channel.id)

    async def happen(self, event: tuple[Any, ...]) -> None:
        """One event, on both sides."""
        match event:
            case ("announce", channels, critical):
                await self._announce(channels, critical=critical)
            case ("test", channel):
                async with self.tenant.work() as work:
                    id_ = await notify.begin_test(work, self.channels[channel])
                self.made.append((id_, str(id_)))
                self.oracle.test(channel)
            case ("resend", index) if self.made:
                index %= len(self.made)
                assert await self._resend(index) == self.oracle.resend(index)
            case ("switch", channel, enabled):
                async with self.tenant.work() as work:
                    change = ChannelChange(enabled=enabled)
                    await notify.change_channel(work, self.channels[channel], change, expected=None)
                self.oracle.switch(channel, enabled=enabled)
            case ("endpoint", channel, state):
                self.oracle.endpoints[channel] = state
            case ("pass", seconds):
                self.clock.pass_(seconds)

    async def _announce(self, channels: list[int], *, critical: bool) -> None:
        alert_id = new_id()
        announcement = Announcement(
            alert_id=alert_id,
            event_id=new_id(),
            kind=Kind.FIRED,
            severity=Severity.CRITICAL if critical else Severity.WARNING,
            title="pump-1 is hot",
            text="temperature 91 > 90",
            occurred_at=self.clock(),
        )
        async with self.tenant.work() as work:
            await notify.announce(work, announcement, [self.channels[channel] for channel in channels])
        async with self.database.tx() as tx:
            rows: dict[UUID, UUID] = dict(
                await tx.rows("SELECT channel_id, id FROM delivery WHERE alert_id = %s", alert_id)
            )
        taken = [channel for channel in sorted(set(channels)) if self.oracle.announce(channel, critical=critical)]
        assert rows.keys() == {self.channels[channel] for channel in taken}
        self.made += [(rows[self.channels[channel]], str(alert_id)) for channel in taken]

    async def _resend(self, index: int) -> bool:
        channel = self.channels[self.oracle.all[index].channel]
        try:
            async with self.tenant.work() as work:
                await notify.resend_delivery(work, channel, self.made[index][0])
        except Conflict:
            return False
        return True

    # --- whoever sends -----------------------------------------------------------------------------------------------

    async def look(self, death: int | None = None) -> None:
        """What the sender does; it may die, and is begun anew."""
        if death is not None and death != ALL_DONE:
            mortal = Mortal(self.database, death)
            self.endpoints.step = mortal.step
            try:
                await self._send(mortal)
            except Crash:
                self.oracle.survive(await self._seen())
            self.endpoints.step = lambda: None
        await self._send(self.database)
        self.oracle.look()

    async def _send(self, database: Database) -> None:
        metrics = DeliveryMetrics(CollectorRegistry())
        sender = DeliverySender(database, "", self.ports, at_a_time=16, metrics=metrics)
        for _ in range(30):
            async with database.tx() as tx:
                waiting = [one for one in await notify.list_waiting(tx) if one.tenant_id == self.tenant.tenant_id]
            if not waiting:
                return
            for one in waiting:
                await sender._take_turn(one)
        raise AssertionError("the sender does not come to rest")

    async def _seen(self) -> dict[int, Seen]:
        async with self.database.tx() as tx:
            rows = await tx.rows(
                "SELECT id, status, attempts, lease IS NOT NULL, due_at FROM delivery WHERE tenant_id = %s",
                self.tenant.tenant_id,
            )
        found = {row[0]: row[1:] for row in rows}
        assert len(found) == len(self.made)
        seen = {}
        for index, (id_, about) in enumerate(self.made):
            status, attempts, leased, due = found[id_]
            posts = self.endpoints.posts[self.oracle.all[index].channel, about]
            seen[index] = Seen(status, attempts, leased, due, posts)
        return seen

    async def compare(self) -> None:
        """Both sides have come to the same; receivers can tell what they have heard before."""
        seen = await self._seen()
        for index, one in enumerate(self.oracle.all):
            row = seen[index]
            assert (row.status, row.attempts, row.posts) == (one.status, one.attempts, one.posts), one
            if one.status == "PENDING":
                assert row.leased == one.leased, one
                assert abs(row.due - one.due) < timedelta(seconds=1), one
        own = {(one.channel, about): str(id_) for one, (id_, about) in zip(self.oracle.all, self.made, strict=True)}
        for told, keys in self.endpoints.keys.items():
            assert len(keys - {own[told]}) <= (told[0] in COLLECTING)
        assert all(len(bodies) == 1 for bodies in self.endpoints.bodies.values())
