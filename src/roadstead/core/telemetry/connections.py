"""Which devices are connected, from what the doors say and from whether the doors themselves still live."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.messages import CONNECTED, DeviceStatusChanged, SessionNotice, encode_fact
from roadstead.db import Tx
from roadstead.kernel import ids, time
from roadstead.kernel.ids import DeviceId, TenantId


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """That a device came or went."""

    at: datetime
    connected: bool
    reason: str = ""
    """Why it went."""
    address: str = ""
    received: int | None = None
    """Messages that it had sent by then; None: nobody has counted them."""
    sent: int | None = None
    """Messages that it was sent."""


class Presence(msgspec.Struct):
    """What some notices about one device come to."""

    tenant: TenantId
    at: int
    """When the last of them was received, ms since 1970."""
    gateway: str
    session: int
    arrived: bool
    """A session began, so its gateway and number are the device's from now on."""
    online: bool


TOLD = "told"
"""Stands for the gateway of devices that somebody else says are connected, elsewhere."""

LogRow = tuple[TenantId, UUID, datetime, str, int, bool, str, str, int | None, int | None]
"""Tenant, device, when, gateway, session, whether it came, why it went, from where, and how many messages it had sent
and was sent."""


class Presences:
    """Notices about many devices, folded into what they come to."""

    def __init__(self) -> None:
        self._presences: dict[bytes, Presence] = {}
        self.log: list[LogRow] = []
        """Every notice."""

    def __len__(self) -> int:
        return len(self._presences)

    def add(self, tenant: TenantId, device: bytes, received: int, channel: str, notice: SessionNotice) -> None:
        """Take in a notice, in the order of the log. One of an older session changes nothing."""
        at, arrived = time.from_millis(received), channel == CONNECTED
        counts = (None, None) if arrived else (notice.received, notice.sent)
        place = (notice.gateway, notice.session)
        self.log.append(
            (tenant, ids.from_bytes(device), at, *place, arrived, notice.reason, _host(notice.address), *counts)
        )
        known = self._presences.get(device)
        if channel == CONNECTED:
            if known is not None and known.arrived and _is_older(notice, known):
                return
            self._presences[device] = Presence(tenant, received, notice.gateway, notice.session, True, True)
        elif known is None or not known.arrived:
            self._presences[device] = Presence(tenant, received, notice.gateway, notice.session, False, False)
        elif (known.gateway, known.session) == (notice.gateway, notice.session):
            known.online, known.at = False, received

    def rows(self) -> list[tuple[TenantId, UUID, str, int, bool, bool, datetime]]:
        """In order of the devices."""
        return [
            (
                one.tenant,
                ids.from_bytes(device),
                one.gateway,
                one.session,
                one.arrived,
                one.online,
                time.from_millis(one.at),
            )
            for device, one in sorted(self._presences.items())
        ]


async def update_presence(tx: Tx, presences: Presences) -> None:
    """Apply notices to the devices, emit what changed, and write all of them down. May run twice.

    A departure counts only for the session the device is known to have. OFFLINE is what an ACTIVE device is while it is
    not connected; states that an operator has set stay.
    """
    if not len(presences):
        return
    changed = await tx.rows(
        """
        UPDATE device d SET
            online = n.online,
            online_gateway = CASE WHEN n.online THEN n.gateway END,
            online_session = CASE WHEN n.online THEN n.session END,
            status = CASE
                WHEN d.status NOT IN ('PENDING', 'ACTIVE', 'OFFLINE') THEN d.status
                WHEN n.online THEN 'ACTIVE' ELSE 'OFFLINE' END,
            activated_at = coalesce(d.activated_at, n.at),
            connected_at = CASE WHEN n.arrived THEN n.at ELSE d.connected_at END,
            disconnected_at = CASE WHEN n.online THEN d.disconnected_at ELSE n.at END,
            last_seen_at = greatest(d.last_seen_at, date_trunc('minute', n.at))
        FROM (
            SELECT n.*, o.online AS was_online, o.status AS was_status
            FROM unnest(%s::integer[], %s::uuid[], %s::text[], %s::bigint[], %s::boolean[], %s::boolean[],
                        %s::timestamptz[])
                 AS n (tenant_id, id, gateway, session, arrived, online, at)
            JOIN device o USING (tenant_id, id)
            WHERE CASE WHEN n.arrived
                THEN o.online_gateway IS DISTINCT FROM n.gateway OR o.online_session <= n.session
                ELSE o.online_gateway = n.gateway AND o.online_session = n.session END
            FOR UPDATE OF o
        ) n
        WHERE d.tenant_id = n.tenant_id AND d.id = n.id
        RETURNING d.tenant_id, d.id, d.status, d.online,
            (d.status, d.online) IS DISTINCT FROM (n.was_status, n.was_online)
        """,
        *(list(column) for column in zip(*presences.rows(), strict=True)),
    )
    _tell(tx, (row[:4] for row in changed if row[4]))
    await insert_log(tx, presences.log)


async def insert_log(tx: Tx, rows: Sequence[LogRow]) -> None:
    """Write down when devices came and went; what is written there already, or about devices that are gone, is not."""
    await tx.run(
        """
        INSERT INTO device_connection (tenant_id, device_id, at, gateway, session, connected, reason, address,
                                       received, sent)
        SELECT n.* FROM unnest(%s::integer[], %s::uuid[], %s::timestamptz[], %s::text[], %s::bigint[], %s::boolean[],
                               %s::text[], %s::text[], %s::bigint[], %s::bigint[])
            AS n (tenant_id, device_id, at, gateway, session, connected, reason, address, received, sent)
        JOIN device d ON d.tenant_id = n.tenant_id AND d.id = n.device_id
        ON CONFLICT DO NOTHING
        """,
        *(list(column) for column in zip(*rows, strict=True)),
    )


async def select_living_gateways(tx: Tx, lapse_s: float) -> set[str]:
    """The gateways that have said within `lapse_s` that they live."""
    sql = "SELECT gateway FROM gateway_lease WHERE heartbeat_at > now() - make_interval(secs => %s)"
    return {gateway for (gateway,) in await tx.rows(sql, lapse_s)}


async def end_sessions_of_the_dead(tx: Tx, lapse_s: float) -> set[str]:
    """Devices that are connected only according to gateways that live no more are off line; says which gateways.

    They keep the gateway's name, so that they come back with it if it was only cut off.
    """
    ended = await tx.rows(
        """
        UPDATE device d SET online = false, status = CASE status WHEN 'ACTIVE' THEN 'OFFLINE' ELSE status END,
            disconnected_at = now()
        WHERE online AND online_gateway <> %s AND NOT EXISTS (
            SELECT FROM gateway_lease l
            WHERE l.gateway = d.online_gateway AND l.heartbeat_at > now() - make_interval(secs => %s)
        )
        RETURNING tenant_id, id, status, online, online_gateway
        """,
        TOLD,
        lapse_s,
    )
    _tell(tx, (row[:4] for row in ended))
    return {gateway for *_, gateway in ended}


async def resume_sessions(tx: Tx, gateways: Collection[str]) -> int:
    """These gateways live after all, and with them the sessions that were taken for dead; says how many."""
    resumed = await tx.rows(
        """
        UPDATE device SET online = true, status = CASE status WHEN 'OFFLINE' THEN 'ACTIVE' ELSE status END
        WHERE NOT online AND online_gateway = ANY (%s::text[])
        RETURNING tenant_id, id, status, online
        """,
        list(gateways),
    )
    _tell(tx, resumed)
    return len(resumed)


def _tell(tx: Tx, changed: Iterable[tuple[Any, ...]]) -> None:
    at = time.now()
    for tenant, device, status, online in changed:
        tx.emit(TenantId(tenant), at, encode_fact(DeviceStatusChanged(DeviceId(device), status, online)))


def _is_older(notice: SessionNotice, known: Presence) -> bool:
    return notice.gateway == known.gateway and notice.session < known.session


def _host(address: str) -> str:
    """Without the port."""
    return address.rpartition(":")[0].strip("[]")
