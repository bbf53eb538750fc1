"""Keeps at hand which sensor a path of a device is, and in which sites the device stands."""

import itertools
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from roadstead.core.streams import store
from roadstead.core.streams.store import KnownDevice
from roadstead.db import Database
from roadstead.kernel.ids import TenantId

Key = tuple[TenantId, bytes]
"""A tenant and the 12 bytes of a device's id."""


class Directory:
    """A bounded cache, filled under the row policies of each tenant. Facts about a device make it forget the device."""

    def __init__(self, database: Database, *, most: int = 20_000) -> None:
        self._database = database
        self._most = most
        self._known: dict[Key, KnownDevice | None] = {}
        self._asking: list[set[Key]] = []
        """For each question under way, by several readers at once: what it asks for and nobody has forgotten since."""

    def find(self, tenant: TenantId, device: bytes) -> KnownDevice | None:
        """What was learned of a device; None when it does not exist."""
        return self._known.get((tenant, device))

    def lacks(self, tenant: TenantId, device: bytes, paths: AbstractSet[str] = frozenset()) -> bool:
        """Whether the database has to be asked about the device, or about one of these paths of it."""
        key = (tenant, device)
        if key not in self._known:
            return True
        known = self._known[key]
        return known is not None and not paths <= known.channels.keys() | known.strange

    async def learn(self, tenant: TenantId, wanted: Mapping[bytes, AbstractSet[str]]) -> None:
        """Ask the database about devices. Paths that are no sensors are remembered as such.

        What was forgotten while we asked is still lacking afterwards. `Unavailable` when the database is away.
        """
        fresh = {(tenant, device) for device in wanted}
        self._asking.append(fresh)
        try:
            async with self._database.tx(tenant) as tx:
                found = await store.select_known(tx, tenant, list(wanted))
        finally:
            self._asking = [asked for asked in self._asking if asked is not fresh]
        for device, paths in wanted.items():
            known = found.get(device)
            if known is not None:
                known.strange |= paths - known.channels.keys()
            if (tenant, device) in fresh:
                self._known[tenant, device] = known
        self._bound()

    def forget(self, tenant: TenantId, device: bytes) -> None:
        """Ask again the next time."""
        key = (tenant, device)
        self._known.pop(key, None)
        for fresh in self._asking:
            fresh.discard(key)

    def forget_all(self) -> None:
        """Ask again about everything."""
        self._known.clear()
        for fresh in self._asking:
            fresh.clear()

    def _bound(self) -> None:
        excess = len(self._known) - self._most
        if excess > 0:
            # The longest known go first, a share at a time so that this happens rarely.
            for key in list(itertools.islice(self._known, excess + self._most // 8)):
                del self._known[key]
