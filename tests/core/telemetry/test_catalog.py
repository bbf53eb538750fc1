"""What is known of devices: never older than what others were told to forget."""

import asyncio
from typing import Any

import pytest

from roadstead.core.telemetry import DeviceCatalog, descriptions
from roadstead.db import Database
from roadstead.kernel import ids
from tests.conftest import Tenant
from tests.fleet import add_device


async def test_what_is_forgotten_while_two_ask_is_kept_by_neither(
    acme: Tenant, system_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = ids.to_bytes(await add_device(system_database, acme.tenant_id))
    gates = [asyncio.Event(), asyncio.Event()]
    waiting = iter(gates)
    select = descriptions.select_described

    async def select_late(*arguments: Any) -> dict[bytes, Any]:
        found = await select(*arguments)
        await next(waiting).wait()
        return dict(found)

    monkeypatch.setattr(descriptions, "select_described", select_late)
    catalog = DeviceCatalog(system_database)
    asking = [asyncio.create_task(catalog.learn({device: acme.tenant_id})) for _ in gates]
    # The second to ask is answered first; what the first one finds is stale by the time it is.
    gates[1].set()
    await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    catalog.forget(device)
    gates[0].set()
    await asyncio.gather(*asking)
    assert device not in catalog._known
