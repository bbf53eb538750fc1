"""Configurations for tests: artefacts, bindings, the work that workers do, and devices that report."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from roadstead.core import configuration
from roadstead.core.configuration import ConfigurationSource, DeviceDocument
from roadstead.core.downlinks import ConfigurationPart, ConfigurationReport, Hearer
from roadstead.core.messages import AnyFact, Uplink, decode_fact
from roadstead.kernel import ids, time
from roadstead.kernel.ids import DeviceId
from roadstead.workers.configuration import ConfigurationWorker
from tests.conftest import Tenant
from tests.dialects.native.fleet import ok

ARTEFACTS = "/api/v1/config-artefacts"
BINDINGS = "/api/v1/desired-state-bindings"


async def add_artefact(tenant: Tenant, name: str, content: Any, **fields: Any) -> Any:
    """A version, as answered."""
    return ok(await tenant.api.post(ARTEFACTS, json={"name": name, "content": content, **fields}))


async def bind(tenant: Tenant, artefact: Any, target_type: str, target: Any, **fields: Any) -> Any:
    """A binding of an artefact to a target (its shape, or its name), as answered."""
    target_id = target if isinstance(target, str) else target["id"]
    body = {"targetType": target_type, "targetId": target_id, "configArtefactId": artefact["id"], **fields}
    return ok(await tenant.api.put(BINDINGS, json=body))


async def work_off(tenant: Tenant) -> None:
    """What the workers do, until nothing is left to do."""
    edge = tenant.edge
    facts = await facts_of(tenant)
    async with edge.system_database.tx() as tx:
        await tx.run("DELETE FROM outbox WHERE tenant_id = %s", tenant.tenant_id)
        await configuration.note_facts(tx, [(tenant.tenant_id, fact) for fact in facts])
    worker = ConfigurationWorker(edge.system_database, edge.ports, asyncio.Event())
    while await worker.work_once():
        pass


async def facts_of(tenant: Tenant) -> list[AnyFact]:
    """What has happened and was not worked off."""
    async with tenant.edge.system_database.tx() as tx:
        rows = await tx.rows("SELECT fact FROM outbox WHERE tenant_id = %s ORDER BY id", tenant.tenant_id)
    return [decode_fact(bytes(fact)) for (fact,) in rows]


async def desired(tenant: Tenant, device: Any) -> dict[tuple[str, str], Any]:
    """The content a device shall have by component key and name."""
    state = await desired_state(tenant, device)
    return {(entry.get("componentKey", ""), entry["artefactName"]): entry["content"] for entry in state["entries"]}


async def desired_state(tenant: Tenant, device: Any) -> Any:
    """What the API says of a device."""
    return ok(await tenant.api.get(f"/api/v1/devices/{device['id']}/desired-state"))


async def deliver(tenant: Tenant, device: Any, session: str) -> DeviceDocument | None:
    """What a session of the device is handed."""
    source = ConfigurationSource(tenant.edge.ports)
    hearer = Hearer(tenant.tenant_id, DeviceId(UUID(device["id"])), session)
    async with tenant.edge.system_database.tx() as tx:
        downlinks = await source.claim(tx, [hearer], most=50)
    if not downlinks:
        return None
    async with tenant.edge.system_database.tx() as tx:
        await source.note_arrived(tx, downlinks)
    assert isinstance(downlinks[0].body, DeviceDocument)
    return downlinks[0].body


async def report(
    tenant: Tenant, device: Any, entries: Sequence[dict[str, Any]], *, version: int | None = None, at: int | None = None
) -> None:
    """What a device says, as the control worker hands it on."""
    uplink = Uplink(
        tenant.tenant_id,
        ids.to_bytes(UUID(device["id"])),
        "native",
        "config/reported",
        at or time.to_millis(time.now()),
        b"",
    )
    said = ConfigurationReport(version, [ConfigurationPart(**entry) for entry in entries])
    async with tenant.edge.system_database.tx() as tx:
        assert await configuration.take_reports(tx, [(uplink, said)]) == []


def saying(entry: Any, status: str, **fields: Any) -> dict[str, Any]:
    """What a device says of an entry of its document."""
    return {
        "artefact_name": entry.artefact_name,
        "component_key": entry.component_key,
        "version": entry.version,
        "hash": entry.hash,
        "status": status,
        **fields,
    }
