"""Statements that delete points, and the record that keeps them deleted.

A point that was received before an erasure may still be on its way: in a batch being written, or in the log and
written again after a crash. So an erasure is recorded first; the delete comes second; and whoever has written a batch
looks for erasures younger than its oldest point and deletes again. Whatever the order, nothing of it survives. Points
received after an erasure are news and stay, even if they speak of the time that was erased.
"""

import msgspec

from roadstead.adapters.clickhouse.queries import VIEW, Query
from roadstead.kernel.ids import TenantId


class Erasure(msgspec.Struct, frozen=True, array_like=True):
    """What was deleted: the points of a device in a time, received until `erased_at`. Times in ms since 1970."""

    tenant: TenantId
    device: str
    """24 hex digits."""
    path: str | None
    """None: of all paths."""
    start: int
    end: int
    erased_at: int

    @property
    def _where(self) -> str:
        path = "" if self.path is None else " AND path = {path:String}"
        return f"""
            device = toFixedString(unhex({{device:String}}), 12){path}
            AND at >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC')
            AND at < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
            AND received <= fromUnixTimestamp64Milli({{erased_at:Int64}}, 'UTC')
        """

    @property
    def _parameters(self) -> dict[str, str | int]:
        parameters = msgspec.structs.asdict(self)
        return {name: value for name, value in parameters.items() if value is not None}

    def record(self) -> Query:
        """Remember it."""
        path = "NULL" if self.path is None else "{path:String}"
        sql = f"""
            INSERT INTO erasure SELECT fromUnixTimestamp64Milli({{erased_at:Int64}}, 'UTC'), {{tenant:UInt32}},
            toFixedString(unhex({{device:String}}), 12), {path}, fromUnixTimestamp64Milli({{start:Int64}}, 'UTC'),
            fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
        """
        return Query(sql.strip(), self._parameters)

    def count(self) -> Query:
        """How many points it takes."""
        sql = f"SELECT count() FROM (SELECT path FROM {VIEW} WHERE {self._where} GROUP BY path, at)"
        return Query(sql, self._parameters)

    def delete(self) -> Query:
        """Take them; when this has run no read sees them."""
        return Query(f"DELETE FROM point WHERE tenant = {{tenant:UInt32}} AND {self._where}", self._parameters)


def select_erasures(since: int) -> Query:
    """Erasures of points received at `since` or later, as `Erasure`."""
    sql = """
        SELECT tenant, lower(hex(device)), path, toUnixTimestamp64Milli(start), toUnixTimestamp64Milli(end),
               toUnixTimestamp64Milli(erased_at)
        FROM erasure WHERE erased_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    """
    return Query(sql, {"since": since})


def count_older(tenant: TenantId, before: int) -> Query:
    """One, when a tenant has points from before an instant, else none."""
    sql = f"""
        SELECT count() FROM (SELECT 1 FROM {VIEW} WHERE at < fromUnixTimestamp64Milli({{before:Int64}}, 'UTC') LIMIT 1)
    """
    return Query(sql, {"tenant": tenant, "before": before})


def delete_older(tenant: TenantId, before: int) -> Query:
    """Rewrite the parts that hold a tenant's points from before an instant; goes on in the background.

    Never drops a partition: other tenants' points may arrive in it at any time.
    """
    sql = """
        ALTER TABLE point DELETE WHERE tenant = {tenant:UInt32}
        AND at < fromUnixTimestamp64Milli({before:Int64}, 'UTC') SETTINGS mutations_sync = 0
    """
    return Query(sql.strip(), {"tenant": tenant, "before": before})
