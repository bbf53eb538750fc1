"""Bindings beside their oracle: people bind, devices come and report, workers work out documents; and they die."""

import asyncio
import hashlib
from collections import Counter
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core import configuration, registry
from roadstead.core.configuration import (
    ArtefactDraft,
    ArtefactId,
    BindingDraft,
    BindingId,
    ConfigurationSource,
    DeviceDocument,
    TargetType,
)
from roadstead.core.downlinks import CONFIGURATION, ConfigurationPart, ConfigurationReport, Downlink, Hearer
from roadstead.core.messages import ConfigurationReported, DesiredStateChanged, DownlinkQueued, Uplink, decode_fact
from roadstead.core.registry import DeviceChange, DeviceGroupDraft, TagSelector
from roadstead.db import Database
from roadstead.kernel import ids, time
from roadstead.kernel.ids import DeviceId
from roadstead.workers.configuration import ConfigurationWorker
from tests.conftest import Tenant
from tests.core.configuration.oracle import DEVICES, NAMES, Oracle, Place, Said
from tests.dialects.native.fleet import MOTOR, PUMP, add_device, ok
from tests.mortal import despite

_CONTENTS = range(3)
_KINDS = {
    "C": TargetType.COMPONENT,
    "D": TargetType.DEVICE,
    "G": TargetType.DEVICE_GROUP,
    "P": TargetType.DEVICE_PROFILE,
    "S": TargetType.SENSOR_PROFILE,
}


def _hash(content: int | None) -> str:
    return "0" * 64 if content is None else hashlib.sha256(msgspec.json.encode(content)).hexdigest()


class Ground:
    """Three devices of an organization, two groups, a profile, and all that is bound to them."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.oracle = Oracle()
        self.database = tenant.edge.system_database
        self.devices: list[UUID] = []
        self._targets: dict[str, UUID] = {}
        self._artefacts: dict[tuple[str, int], ArtefactId] = {}
        self._bindings: dict[tuple[str, str], BindingId] = {}
        self._sessions = 0
        self._session: dict[int, int] = {}
        self._facts = 0
        self._told: Counter[tuple[str, UUID]] = Counter()

    async def begin(self) -> None:
        """What there is before anything is bound."""
        async with self.database.tx() as tx:
            # What other tests have left is none of its business.
            await tx.run("DELETE FROM config_due")
            await tx.run("DELETE FROM config_sweep")
        for target, path, body in (("S", "sensor-profiles", MOTOR), ("P", "device-profiles", PUMP)):
            self._targets[target] = UUID(ok(await self.tenant.api.post(f"/api/v1/{path}", json=body))["id"])
        for number in DEVICES:
            device = await add_device(self.tenant, f"pump-{number}", deviceProfile="pump")
            self.devices.append(UUID(device["id"]))
            self._targets[f"D{number}"] = self.devices[-1]
        async with self.database.tx() as tx:
            sql = "SELECT id FROM component WHERE tenant_id = %s AND device_id = %s"
            self._targets["C0"] = await tx.value(sql, self.tenant.tenant_id, self.devices[0])
        async with self.tenant.work() as work:
            for name in ("G0", "G1"):
                draft = DeviceGroupDraft(name=name, selector=TagSelector(match_tags={name: "1"}))
                self._targets[name] = (await registry.create_group(work, draft)).id
            for name in NAMES:
                for content in _CONTENTS:
                    made = await configuration.create_artefact(work, ArtefactDraft(name=name, content=content))
                    self._artefacts[name, content] = made.artefact.id
        await self.work()

    async def happen(self, event: tuple[Any, ...], death: int | None) -> None:
        """One event, on both sides; whoever is at it may die."""
        match event:
            case ("bind", target, name, content, priority):
                draft = BindingDraft(
                    target_type=_KINDS[target[0]],
                    target=str(self._targets[target]),
                    artefact_id=self._artefacts[name, content],
                    priority=priority,
                )
                async with self.tenant.work() as work:
                    put = await configuration.put_binding(work, draft, expected=None)
                assert put.is_new == ((target, name) not in self.oracle.bound)
                self._bindings[target, name] = put.binding.id
                self.oracle.bind(target, name, content, priority)
            case ("unbind", index) if self.oracle.bound:
                place = list(self.oracle.bound)[index % len(self.oracle.bound)]
                async with self.tenant.work() as work:
                    await configuration.delete_binding(work, self._bindings[place], expected=None)
                self.oracle.unbind(*place)
            case ("tag", device, group, on):
                async with self.tenant.work() as work:
                    change = DeviceChange(tags={group: "1" if on else None})
                    await registry.change_device(work, DeviceId(self.devices[device]), change, expected=None)
                tags = self.oracle.tags[device]
                (tags.add if on else tags.discard)(group)
            case ("profile", device, on):
                async with self.tenant.work() as work:
                    change = DeviceChange(profile="pump@1.0" if on else None)
                    await registry.change_device(work, DeviceId(self.devices[device]), change, expected=None)
                (self.oracle.tags[device].add if on else self.oracle.tags[device].discard)("P")
            case ("resend", index) if self.oracle.bound:
                await self.work()
                place = list(self.oracle.bound)[index % len(self.oracle.bound)]
                async with self.tenant.work() as work:
                    await configuration.resend_binding(work, self._bindings[place])
                self.oracle.resend(*place)
                await self.work(death)
            case ("obey", device):
                await self.work()
                await self._reach("come", device, arrives=True, death=death)
                for place in list(self.oracle.documents[device]):
                    await self._report(device, place, "it", "ACCEPTED", death)
            case ("come" | "nudge" as how, device, arrives):
                await self.work()
                await self._reach(how, device, arrives=arrives, death=death)
            case ("report", device, place, about, status):
                await self.work()
                await self._report(device, place, about, status, death)

    async def _reach(self, how: str, device: int, *, arrives: bool, death: int | None) -> None:
        source = ConfigurationSource(self.tenant.edge.ports)
        if how == "come":
            self._session.pop(device, None)

        async def carry(database: Database) -> list[Downlink]:
            # Who has died has no sessions any more: the device comes to another one.
            session = self._session.pop(device, None) or self._next_session()
            hearer = Hearer(self.tenant.tenant_id, DeviceId(self.devices[device]), f"gateway/{session}")
            async with database.tx() as tx:
                found = await source.claim(tx, [hearer], most=50)
            if found and arrives:
                async with database.tx() as tx:
                    await source.note_arrived(tx, found)
            self._session[device] = session
            return found

        found, died = await despite(death, self.database, carry)
        is_told = self.oracle.reach(device, self._session[device], arrives=arrives)
        if not died:
            assert bool(found) == is_told
        for downlink in found:
            body = downlink.body
            assert isinstance(body, DeviceDocument)
            told = {
                (entry.component_key, entry.artefact_name): (entry.content, entry.version, entry.hash)
                for entry in body.entries
            }
            assert body.version == self.oracle.versions[device]
            assert told == {
                place: (str(content).encode(), version, _hash(content))
                for place, (content, version) in self.oracle.documents[device].items()
            }

    def _next_session(self) -> int:
        self._sessions += 1
        return self._sessions

    async def _report(self, device: int, place: Place, about: str, status: str, death: int | None) -> None:
        content, version = self.oracle.documents[device].get(place, (0, 1))
        said = Said(
            content if about == "it" else None if about == "nothing" else (content + 1) % 3,
            99 if about == "other" else version,
            status,
        )
        raw, now = ids.to_bytes(self.devices[device]), time.to_millis(time.now())
        uplink = Uplink(self.tenant.tenant_id, raw, "native", "config/reported", now, b"")
        part = ConfigurationPart(
            component_key=place[0],
            artefact_name=place[1],
            version=said.version,
            hash=_hash(said.content),
            status=said.status,  # type: ignore[arg-type]
        )

        async def take(database: Database) -> None:
            async with database.tx() as tx:
                assert await configuration.take_reports(tx, [(uplink, ConfigurationReport(None, [part]))]) == []

        await despite(death, self.database, take)
        self.oracle.report(device, place, said)

    # --- the worker --------------------------------------------------------------------------------------------------

    async def work(self, death: int | None = None) -> None:
        """Facts are followed, and all that they call for is worked off in batches of one; whoever is at it may die."""
        facts = await self._hear()

        async def note(database: Database) -> None:
            async with database.tx() as tx:
                await configuration.note_facts(tx, [(self.tenant.tenant_id, fact) for fact in facts])

        async def work(database: Database) -> None:
            worker = ConfigurationWorker(database, self.tenant.edge.ports, asyncio.Event())
            worker._most = 1
            for _ in range(100):
                if not await worker.work_once():
                    return
            raise AssertionError("the worker does not come to rest")

        await despite(death, self.database, note)
        await despite(death, self.database, work)
        for device in DEVICES:
            self.oracle.settle(device)

    async def _hear(self) -> list[Any]:
        sql = "SELECT id, fact FROM outbox WHERE tenant_id = %s AND id > %s ORDER BY id"
        async with self.database.tx() as tx:
            rows = await tx.rows(sql, self.tenant.tenant_id, self._facts)
        facts = [decode_fact(bytes(fact)) for _, fact in rows]
        self._facts = rows[-1][0] if rows else self._facts
        for fact in facts:
            match fact:
                case DesiredStateChanged() | ConfigurationReported():
                    self._told[type(fact).__name__, fact.device_id] += 1
                case DownlinkQueued() if fact.kind == CONFIGURATION:
                    self._told.update(("DownlinkQueued", device) for device in fact.device_ids)
        return facts

    # --- what has come of it -----------------------------------------------------------------------------------------

    async def compare(self) -> None:
        """Both sides have come to the same, nothing is left to be done, and everything was told once."""
        tenant_id, oracle = self.tenant.tenant_id, self.oracle
        await self._hear()
        async with self.database.tx() as tx:
            entries = await tx.rows(
                """
                SELECT device_id, component_key, artefact_name, hash, desired_version, status, drifts, binding_id
                FROM config_entry WHERE tenant_id = %s
                """,
                tenant_id,
            )
            documents = await tx.rows(
                "SELECT device_id, document_version, arrived_version FROM device_configuration WHERE tenant_id = %s",
                tenant_id,
            )
            sql = "SELECT (SELECT count(*) FROM config_due) + (SELECT count(*) FROM config_sweep)"
            left = await tx.value(sql)
        places = {binding: (target, name) for (target, name), binding in self._bindings.items()}
        assert {row[:3]: (*row[3:7], places[row[7]][0]) for row in entries} == {
            (self.devices[device], *place): (
                _hash(content),
                version,
                oracle.status(device, place),
                oracle.drifts(device, place),
                oracle.holds[device][place].target,
            )
            for device in DEVICES
            for place, (content, version) in oracle.documents[device].items()
        }
        found = {device: (version, arrived) for device, version, arrived in documents}
        assert left == 0
        for number, device in enumerate(self.devices):
            version = oracle.versions[number]
            assert found.get(device, (0, None)) == (version, oracle.arrived[number])
            assert self._told["DesiredStateChanged", device] == version
            assert self._told["DownlinkQueued", device] == version + oracle.resends[number]
            assert self._told["ConfigurationReported", device] == oracle.reports[number]
        await self._compare_bindings()

    async def _compare_bindings(self) -> None:
        async with self.tenant.work() as work:
            for (target, name), bound in self.oracle.bound.items():
                binding = await configuration.get_binding(work, self._bindings[target, name])
                counts = self.oracle.statuses_of(bound)
                drifting = counts.pop("drifting", 0)
                found = {
                    "PENDING": binding.pending,
                    "IN_PROGRESS": binding.in_progress,
                    "ACCEPTED": binding.accepted,
                    "REJECTED": binding.rejected,
                    "FAILED": binding.failed,
                }
                assert {status: number for status, number in found.items() if number} == +counts
                assert binding.status == (next(iter(counts), "PENDING") if len(counts) < 2 else "MIXED")
                assert (binding.drifting, binding.desired_version) == (drifting, bound.version)
                assert binding.is_settled
