"""The SQL of the connection log."""

from collections.abc import Sequence
from datetime import datetime

from roadstead.core.ports import Span
from roadstead.core.telemetry.connections import Connection
from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId


async def update_device(
    tx: Tx, device_id: DeviceId, *, gateway: str, online: bool, at: datetime
) -> tuple[str, bool] | None:
    """The device came or went, unless something newer is known; its status and whether it is online, if that is new."""
    rows = await tx.rows(
        """
        UPDATE device d SET
            online = n.online,
            online_gateway = CASE WHEN n.online THEN %s END,
            online_session = CASE WHEN n.online THEN 0 END,
            status = CASE
                WHEN d.status NOT IN ('PENDING', 'ACTIVE', 'OFFLINE') THEN d.status
                WHEN n.online THEN 'ACTIVE' ELSE 'OFFLINE' END,
            activated_at = coalesce(d.activated_at, n.at),
            connected_at = CASE WHEN n.online THEN n.at ELSE d.connected_at END,
            disconnected_at = CASE WHEN n.online THEN d.disconnected_at ELSE n.at END,
            last_seen_at = greatest(d.last_seen_at, date_trunc('minute', n.at))
        FROM (
            SELECT o.id, o.status AS was_status, o.online AS was_online, %s::boolean AS online, %s::timestamptz AS at
            FROM device o WHERE o.tenant_id = %s AND o.id = %s FOR UPDATE
        ) n
        WHERE d.tenant_id = %s AND d.id = n.id
            AND n.at >= greatest(coalesce(d.connected_at, 'epoch'), coalesce(d.disconnected_at, 'epoch'))
        RETURNING d.status, d.online, (d.status, d.online) IS DISTINCT FROM (n.was_status, n.was_online)
        """,
        gateway,
        online,
        at,
        tx.tenant,
        device_id,
        tx.tenant,
    )
    return next(((status, is_online) for status, is_online, is_news in rows if is_news), None)


async def select_connections(
    tx: Tx, device_id: DeviceId, span: Span, *, limit: int, newest_first: bool
) -> list[Connection]:
    """When a device came and went within a span."""
    order = "at DESC, session DESC, connected" if newest_first else "at, session, connected DESC"
    sql = f"""
        SELECT at, connected, reason, address, received, sent FROM device_connection
        WHERE tenant_id = %s AND device_id = %s AND at >= %s AND at < %s ORDER BY {order} LIMIT %s
    """
    return await tx.all(Connection, sql, tx.tenant, device_id, span.start, span.end, limit)


async def delete_connections(tx: Tx, device_ids: Sequence[DeviceId], span: Span) -> None:
    """Forget when devices came and went within a span."""
    sql = "DELETE FROM device_connection WHERE tenant_id = %s AND device_id = ANY (%s) AND at >= %s AND at < %s"
    await tx.run(sql, tx.tenant, list(device_ids), span.start, span.end)
