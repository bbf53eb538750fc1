"""Keeps at hand what devices are checked against, and learns what is new."""

import itertools
from collections.abc import Mapping, Sequence

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
        answer = {device: self._known[device] for device in devices if device in self._known} | found
        if None not in forgotten:
            self._known.update((device, known) for device, known in found.items() if device not in forgotten)
            self._bound()
        return answer

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
        for forgotten in self._asking:
            forgotten.add(None)

    def _bound(self) -> None:
        excess = len(self._known) - self._most
        if excess > 0:
            # The longest known go first, a share at a time so that this happens rarely.
            for device in list(itertools.islice(self._known, excess + self._most // 8)):
                del self._known[device]
