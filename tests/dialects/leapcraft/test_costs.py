"""What reads of one device cost among ten thousand: counted in statements, for a busy machine changes times only."""

import re
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import msgspec
import psycopg
import pytest
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore, HttpTransport
from roadstead.core.messages import Reading
from roadstead.kernel.time import to_millis
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.leapcraft.contract import Client
from tests.dialects.native.test_readings import report

_DEVICES = 10_000
_FLEET = """
    INSERT INTO device (tenant_id, id, space_id, ordinal, name, external_id, status, created_at, updated_at)
    SELECT %(tenant)s, gen_random_uuid(), space.id, 100 + i, 'unit ' || i, 'ext-' || i, 'ACTIVE', now(), now()
    FROM space, generate_series(1, %(count)s) i WHERE space.tenant_id = %(tenant)s
"""
_SENSORS = """
    INSERT INTO sensor (tenant_id, id, device_id, key, path, name, value_type, created_at, updated_at)
    SELECT tenant_id, gen_random_uuid(), id, 'co2', 'co2', 'co2', 'DOUBLE', now(), now()
    FROM device WHERE tenant_id = %s
"""
_WHOLE_TABLE = re.compile(r"Seq Scan on (device|sensor|device_state)\b")


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    """Somebody of acme, which has ten thousand devices with a sensor each; one of them has said something."""
    made = (await acme.api.post("/api/v1/devices", json={"name": "node", "externalId": "node-1"})).json()
    async with acme.edge.system_database.tx() as tx:
        await tx.connection.execute(cast(Any, _FLEET), {"tenant": acme.tenant_id, "count": _DEVICES})
        await tx.run(_SENSORS, acme.tenant_id)
        await tx.run("ANALYZE device")
        await tx.run("ANALYZE sensor")
    await report(acme, UUID(made["id"]), Reading("co2", to_millis(datetime(2021, 5, 26, tzinfo=UTC)), 550.0))
    client = Client(acme)
    await client.sign_in()
    return client


@pytest.mark.parametrize(
    ("query", "statements", "questions"),
    [
        ("type=latest", 8, 0),
        ("type=averages&resolution=daily&from=2021-05-01T00:00:00.000&to=2021-06-01T00:00:00.000", 8, 1),
    ],
)
async def test_a_device_among_ten_thousand_is_read_with_few_statements(
    client: Client, acme: Tenant, monkeypatch: pytest.MonkeyPatch, query: str, statements: int, questions: int
) -> None:
    url = f"/v1/telemetry/node-1?{query}"
    assert (await client.http.get(url)).status_code == 200

    executed: list[tuple[str, Any]] = []
    asked: list[str] = []
    execute, ask = psycopg.AsyncConnection.execute, HttpTransport.query

    async def count_statement(self: Any, text: Any, params: Any = None, **kwargs: Any) -> Any:
        executed.append((str(text), params))
        return await execute(self, text, params, **kwargs)

    async def count_question(self: Any, sql: str, *args: Any) -> Any:
        asked.append(sql)
        return await ask(self, sql, *args)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", count_statement)
    monkeypatch.setattr(HttpTransport, "query", count_question)
    answer = await client.http.get(url)
    monkeypatch.undo()
    assert "550" in answer.text
    print(f"{len(executed)} statements, {len(asked)} questions to the store")
    assert len(executed) <= statements
    assert len(asked) == questions

    async with acme.edge.system_database.tx() as tx:
        for text, params in executed:
            if text.lstrip().startswith("SELECT") and "set_config" not in text:
                lines = await (await tx.connection.execute(cast(Any, f"EXPLAIN {text}"), params)).fetchall()
                plan = "\n".join(str(line[0]) for line in lines)
                assert not _WHOLE_TABLE.search(plan), f"{text}\n{plan}"
