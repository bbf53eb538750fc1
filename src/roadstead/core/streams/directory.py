"""Keeps at hand which sensor a path of a device is, what its type says, in which sites it stands, in whose scope."""

import itertools
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from uuid import UUID

from roadstead.core import registry
from roadstead.core.ports import Ports
from roadstead.core.streams import store
from roadstead.core.streams.model import OccurrenceEvent
from roadstead.core.streams.store import KnownDevice, KnownType
from roadstead.core.types import TypeSchema
from roadstead.core.work import Work
from roadstead.db import Database
from roadstead.kernel import ids
from roadstead.kernel.actor import system_actor
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId, TenantId

_MOST_PLACED = 200_000
"""Answers about scopes and types are small; so many of each are kept at most."""

Key = tuple[TenantId, bytes]
"""A tenant and the 12 bytes of a device's id."""


class Directory:
    """A bounded cache, filled under the row policies of each tenant. Facts about a device make it forget the device."""

    def __init__(self, database: Database, ports: Ports, *, most: int = 20_000) -> None:
        self._database = database
        self._ports = ports
        self._most = most
        self._known: dict[Key, KnownDevice | None] = {}
        self._within: dict[tuple[TenantId, Filter], dict[bytes, bool]] = {}
        self._schemas: dict[Key, TypeSchema | None] = {}
        self._types: dict[tuple[UUID, int], TypeSchema] = {}
        """By id and version of the type: made once for all its devices."""
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

    # --- scopes and types --------------------------------------------------------------------------------------------

    def is_within(self, tenant: TenantId, scope: Filter, device: bytes) -> bool | None:
        """Whether a filter is true for a device; None: the database has to be asked."""
        return self._within.get((tenant, scope), {}).get(device)

    async def place(self, tenant: TenantId, scope: Filter, devices: AbstractSet[bytes]) -> None:
        """Ask the database about devices; as `learn`."""
        fresh = {(tenant, device) for device in devices}
        self._asking.append(fresh)
        try:
            async with self._database.tx(tenant) as tx:
                organization = await store.select_organization(tx, tenant)
                work = Work(system_actor(tenant, organization, name="live streams"), tx, self._ports)
                wanted = [DeviceId(ids.from_bytes(device)) for device in devices]
                found = set(map(ids.to_bytes, await registry.pick_devices(work, scope, wanted)))
        finally:
            self._asking = [asked for asked in self._asking if asked is not fresh]
        if sum(map(len, self._within.values())) > _MOST_PLACED:
            self._within.clear()
        self._within.setdefault((tenant, scope), {}).update((device, device in found) for _, device in fresh)

    def knows_schema(self, tenant: TenantId, device: bytes) -> bool:
        """Whether `schema_of` can tell."""
        return (tenant, device) in self._schemas

    def schema_of(self, tenant: TenantId, device: bytes) -> TypeSchema | None:
        """What the type of a device says of its values; None when it has none."""
        return self._schemas.get((tenant, device))

    async def learn_schemas(self, tenant: TenantId, devices: AbstractSet[bytes]) -> None:
        """Ask the database about devices; as `learn`."""
        fresh = {(tenant, device) for device in devices}
        self._asking.append(fresh)
        try:
            async with self._database.tx(tenant) as tx:
                found = await store.select_types(tx, tenant, list(devices))
        finally:
            self._asking = [asked for asked in self._asking if asked is not fresh]
        if len(self._schemas) > _MOST_PLACED:
            self._schemas.clear()
            self._types.clear()
        for key in fresh:
            type_ = found.get(key[1])
            self._schemas[key] = None if type_ is None else self._schema(type_)

    async def find_occurrence(self, tenant: TenantId, event_id: UUID) -> OccurrenceEvent | None:
        """What an event about a device says, if it is still there. `Unavailable` when the database is away."""
        async with self._database.tx(tenant) as tx:
            return await store.select_occurrence(tx, tenant, event_id)

    def _schema(self, type_: KnownType) -> TypeSchema:
        key = (type_.id, type_.version)
        if key not in self._types:
            self._types[key] = TypeSchema(type_.sections)
        return self._types[key]

    # --- forgetting --------------------------------------------------------------------------------------------------

    def forget(self, tenant: TenantId, device: bytes) -> None:
        """Ask again the next time."""
        key = (tenant, device)
        self._known.pop(key, None)
        self._schemas.pop(key, None)
        for (owner, _), devices in self._within.items():
            if owner == tenant:
                devices.pop(device, None)
        for fresh in self._asking:
            fresh.discard(key)

    def forget_types(self, tenant: TenantId) -> None:
        """Ask again about what the types of devices say, and about everything that filters may look at."""
        for key in [key for key in self._schemas if key[0] == tenant]:
            del self._schemas[key]
        for owner, scope in list(self._within):
            if owner == tenant:
                del self._within[owner, scope]
        for fresh in self._asking:
            fresh.difference_update([key for key in fresh if key[0] == tenant])

    def forget_all(self) -> None:
        """Ask again about everything."""
        self._known.clear()
        self._within.clear()
        self._schemas.clear()
        for fresh in self._asking:
            fresh.clear()

    def _bound(self) -> None:
        excess = len(self._known) - self._most
        if excess > 0:
            # The longest known go first, a share at a time so that this happens rarely.
            for key in list(itertools.islice(self._known, excess + self._most // 8)):
                del self._known[key]
