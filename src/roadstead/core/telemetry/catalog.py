"""Keeps at hand what devices are checked against, and learns what is new."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from roadstead.core.messages import SensorsChanged, encode_fact
from roadstead.core.telemetry import descriptions
from roadstead.core.telemetry.rules import Described, NewSensor, Rule
from roadstead.db import Database
from roadstead.kernel import ids, time
from roadstead.kernel.ids import DeviceId, TenantId

DeviceKey = bytes
"""The 12 free bytes of a device's id."""


class DeviceCatalog:
    """A bounded cache of described devices. Whoever changes what it holds emits a fact that makes it forget.

    `database` has the system duty: devices of all tenants are asked for together, and each row says whose it is.
    """

    def __init__(self, database: Database, *, most: int = 200_000) -> None:
        self._database = database
        self._most = most
        self._known: dict[DeviceKey, Described] = {}
        self._aliases: dict[tuple[TenantId, str], DeviceKey] = {}
        """Which devices had these; what is known of them says whether they still do."""
        self.forwarding: set[DeviceKey] = set()
        """Devices that may have parents who shall have what they report: what is known of them says it."""
        self._asking: list[set[DeviceKey | None]] = []
        """For each question under way: what was forgotten meanwhile, so that its answer may be stale. None: all."""

    async def learn(self, devices: Mapping[DeviceKey, TenantId]) -> Mapping[DeviceKey, Described]:
        """What is known of at least these devices, from the cache or the database; without those that do not exist.

        `Unavailable` when the database is needed and away.
        """
        missing = {device: tenant for device, tenant in devices.items() if device not in self._known}
        if not missing:
            return self._known
        forgotten: set[DeviceKey | None] = set()
        self._asking.append(forgotten)
        try:
            async with self._database.tx() as tx:
                found = await descriptions.select_described(tx, missing)
        finally:
            # By identity: what two questions were told to forget may be equal.
            self._asking = [other for other in self._asking if other is not forgotten]
        self.forwarding.update(device for device, known in found.items() if known.parents)
        answer = {device: self._known[device] for device in devices if device in self._known} | found
        if None not in forgotten:
            self._known.update((device, known) for device, known in found.items() if device not in forgotten)
            self._bound()
        return answer

    async def resolve(
        self, wanted: Collection[tuple[TenantId, UUID | str]]
    ) -> Mapping[tuple[TenantId, UUID | str], tuple[DeviceKey, Described]]:
        """The devices that have these ids or aliases in their tenants; without those that do not exist.

        `Unavailable` when the database is needed and away.
        """
        keys: dict[tuple[TenantId, UUID | str], DeviceKey] = {}
        strange: list[tuple[TenantId, str]] = []
        for tenant, name in wanted:
            if isinstance(name, str):
                key = self._find_alias(tenant, name)
                if key is None:
                    strange.append((tenant, name))
                else:
                    keys[tenant, name] = key
            elif ids.is_ours(name):
                keys[tenant, name] = ids.to_bytes(name)
        if strange:
            async with self._database.tx() as tx:
                found = await descriptions.select_aliases(tx, strange)
            if len(self._aliases) + len(found) > self._most:
                self._aliases.clear()
            for place, device in found.items():
                keys[place] = self._aliases[place] = ids.to_bytes(device)
        described = await self.learn({key: tenant for (tenant, _), key in keys.items()})
        return {
            (tenant, name): (key, described[key])
            for (tenant, name), key in keys.items()
            if key in described and described[key].tenant == tenant
        }

    def _find_alias(self, tenant: TenantId, alias: str) -> DeviceKey | None:
        """The device that had it when it was asked for last, if it still has it."""
        key = self._aliases.get((tenant, alias))
        known = self._known.get(key) if key is not None else None
        return key if known is not None and alias in known.aliases else None

    async def create(self, wanted: Sequence[tuple[TenantId, DeviceKey, NewSensor, Rule]]) -> None:
        """Bring sensors into being, each of them once however many ask; afterwards their devices are known anew."""
        async with self._database.tx() as tx:
            created = await descriptions.insert_sensors(tx, wanted, time.now())
            for tenant, device in created:
                tx.emit(tenant, time.now(), encode_fact(SensorsChanged(DeviceId(ids.from_bytes(device)))))
        for _, device, _, _ in wanted:
            self.forget(device)

    def forget(self, device: DeviceKey) -> None:
        """Ask the database about this device the next time."""
        self._known.pop(device, None)
        self.forwarding.discard(device)
        for forgotten in self._asking:
            forgotten.add(device)

    def forget_tenant(self, tenant: TenantId) -> None:
        """Ask the database about the tenant's devices the next time."""
        self._known = {device: known for device, known in self._known.items() if known.tenant != tenant}
        for forgotten in self._asking:
            forgotten.add(None)

    def forget_all(self) -> None:
        """Ask the database about everything."""
        self._known.clear()
        self.forwarding.clear()
        for forgotten in self._asking:
            forgotten.add(None)

    def _bound(self) -> None:
        excess = len(self._known) - self._most
        if excess > 0:
            # The longest known go first, a share at a time so that this happens rarely.
            for device in list(itertools.islice(self._known, excess + self._most // 8)):
                del self._known[device]
