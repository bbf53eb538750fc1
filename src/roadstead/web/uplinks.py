"""The way of HTTP requests into the log, shared fairly: no organization can use all of it."""

from roadstead.core.messages import Uplink, size_of_uplink
from roadstead.kernel.errors import TooMany
from roadstead.kernel.ids import TenantId
from roadstead.kernel.pace import Pace
from roadstead.web.edge import Uplinks


class FairUplinks:
    """`Uplinks` of which each organization has a part, and a pace if there is one."""

    def __init__(self, uplinks: Uplinks, *, tenant_bytes: int, bytes_per_s: int) -> None:
        """`tenant_bytes`: what one organization may have on its way at a time; `bytes_per_s` 0: any number."""
        self._uplinks = uplinks
        self._most = tenant_bytes
        self._bytes_per_s = bytes_per_s
        self._waiting: dict[TenantId, int] = {}
        self._paces: dict[TenantId, Pace] = {}

    async def put(self, *items: Uplink) -> int:
        """Returns when all, which are of one organization, are on the log: see `Uplinks`.

        Raises `TooMany` when the organization has as much on its way as it may, and `Unavailable` when some may not be
        there.
        """
        if not items:
            return 0
        tenant, size = items[0].tenant, sum(map(size_of_uplink, items))
        waiting = self._waiting.get(tenant, 0)
        # What is alone is taken whatever its size: the body of a request has bounds of its own.
        if waiting and waiting + size > self._most:
            raise TooMany("this organization has as much on its way as it may", retry_after_s=1)
        self._keep_pace(tenant, size)
        self._waiting[tenant] = waiting + size
        try:
            return await self._uplinks.put(*items)
        finally:
            self._waiting[tenant] -= size
            if not self._waiting[tenant]:
                del self._waiting[tenant]

    def _keep_pace(self, tenant: TenantId, size: int) -> None:
        if not self._bytes_per_s:
            return
        pace = self._paces.setdefault(tenant, Pace(self._bytes_per_s))
        if pace.owed_s > 0:
            raise TooMany(
                f"this organization sends more than {self._bytes_per_s} bytes a second", retry_after_s=pace.owed_s
            )
        pace.take(size)
