"""The store process: ordinary clients talk to it, it bounds what it takes on, and it loses nothing."""

import asyncio
import gzip
import signal
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import pytest
import pytest_asyncio
from clickhouse_connect.driver.exceptions import DatabaseError

from roadstead.adapters.chdb import ChdbEngine, serve
from roadstead.adapters.chdb.server import ClickHouseFace
from roadstead.adapters.clickhouse import Address, ClickHouseStore, HttpTransport
from roadstead.kernel.errors import Unavailable
from tests.adapters.conftest import Owner, StoreProcess, span, started
from tests.adapters.store_process import PASSWORD, USER

DAY = span("2026-01-10", "2026-01-11")


def connect(process: StoreProcess, **options: Any) -> Any:
    """An ordinary client."""
    credentials = {"username": USER, "password": PASSWORD} | options
    return clickhouse_connect.get_client(host="127.0.0.1", port=process.port, **credentials)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def table(process: StoreProcess) -> AsyncIterator[str]:
    """A table of the tests here."""
    client = await asyncio.to_thread(connect, process)
    client.command("CREATE TABLE plain (n UInt32, s String, t DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY n")
    yield "plain"
    client.close()


@pytest.mark.parametrize("compress", [False, True, "gzip", "zstd", "lz4"])
def test_an_ordinary_client_writes_and_reads(process: StoreProcess, table: str, compress: bool | str) -> None:
    client = connect(process, compress=compress)
    client.command(f"TRUNCATE TABLE {table}")
    moment = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    rows = [(number, "tide's \\ \n 🚢", moment) for number in range(1000)]

    assert client.insert(table, rows, column_names=["n", "s", "t"]).written_rows == 1000
    found = client.query(
        "SELECT n, s, toString(t) FROM plain WHERE n IN {numbers:Array(UInt32)} AND s = {s:String} ORDER BY n",
        parameters={"numbers": [5, 999], "s": rows[0][1]},
    )
    assert found.result_rows == [(number, rows[0][1], "2026-03-29 01:30:00.000") for number in (5, 999)]
    assert client.command(f"SELECT count() FROM {table}") == 1000
    assert client.query(f"SELECT n FROM {table} ORDER BY n LIMIT 2", settings={"max_threads": 1}).result_rows == [
        (0,), (1,),
    ]  # fmt: skip


def test_long_lists_of_values_find_their_way(process: StoreProcess) -> None:
    client = connect(process)
    numbers = list(range(100_000))
    assert client.query("SELECT length({numbers:Array(UInt32)})", parameters={"numbers": numbers}).first_row == (
        100_000,
    )


def test_settings_of_one_query_do_not_reach_the_next(process: StoreProcess) -> None:
    client = connect(process)
    asked = "SELECT getSetting('max_threads'), getSetting('max_block_size')"
    usual = client.query(asked).first_row
    assert client.query(asked, settings={"max_threads": 2, "max_block_size": 7}).first_row == (2, 7)
    assert [client.query(asked).first_row for _ in range(5)] == [usual] * 5


def test_an_export_arrives_whole(process: StoreProcess, tmp_path: Path) -> None:
    client = connect(process)
    content = client.raw_query("SELECT number AS n, toString(number) AS s FROM numbers(200000)", fmt="Parquet")

    assert content[:4] == content[-4:] == b"PAR1"
    (tmp_path / "export.parquet").write_bytes(content)
    asked = f"SELECT count(), sum(n), max(length(s)) FROM file('{tmp_path}/export.parquet', Parquet)"
    assert client.query(asked).first_row == (200_000, 19_999_900_000, 6)


@pytest.mark.parametrize(
    ("statement", "code"),
    [("SELECT nothing", 47), ("SELECT * FROM nowhere", 60), ("SELECT (", 62), ("SELECT {x:UInt8}", 456)],
)
def test_what_is_wrong_has_clickhouses_number(process: StoreProcess, statement: str, code: int) -> None:
    with pytest.raises(DatabaseError) as caught:
        connect(process).query(statement)
    assert caught.value.code == code


@pytest.mark.parametrize("credentials", [{"password": "wrong"}, {"username": "default"}, {"password": ""}])
def test_nobody_gets_in_without_the_password(process: StoreProcess, credentials: dict[str, str]) -> None:
    with pytest.raises(DatabaseError) as caught:
        connect(process, **credentials)
    assert caught.value.code == 516


@pytest_asyncio.fixture
async def face(engine: ChdbEngine, tmp_path: Path) -> ClickHouseFace:
    """The HTTP face, with little room."""
    return ClickHouseFace(
        engine, user=USER, password=PASSWORD, scratch=tmp_path, most_requests=2, most_bytes=10_000
    )  # fmt: skip


@pytest_asyncio.fixture
async def http(face: ClickHouseFace) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of it who says the password."""
    transport = httpx.ASGITransport(face)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://store", auth=(USER, PASSWORD)) as client:
        yield client


async def test_more_than_it_can_do_is_turned_away(http: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(http.post("/", content="SELECT sleep(0.2)") for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503]
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["x-clickhouse-exception-code"] == "202"
    assert "retry-after" in refused.headers
    assert (await http.post("/", content="SELECT 1")).text == "1\n"


async def test_a_body_has_a_limit_packed_and_unpacked(http: httpx.AsyncClient) -> None:
    large = b"SELECT '" + b"x" * 20_000 + b"'"
    assert (await http.post("/", content=large)).status_code == 413
    packed = await http.post("/", content=gzip.compress(large), headers={"content-encoding": "gzip"})
    assert packed.status_code == 413
    damaged = await http.post("/", content=b"no gzip", headers={"content-encoding": "gzip"})
    assert damaged.status_code == 400
    unknown = await http.post("/", content=b"SELECT 1", headers={"content-encoding": "br"})
    assert unknown.status_code == 400


async def test_it_says_that_it_is_there(http: httpx.AsyncClient) -> None:
    assert (await http.get("/ping", auth=None)).text == "Ok.\n"
    assert (await http.get("/")).text == "Ok.\n"
    assert (await http.get("/", params={"query": "SELECT 2"})).text == "2\n"
    assert (await http.get("/play")).status_code == 404


async def test_a_port_in_use_is_an_error_that_says_so(engine: ChdbEngine, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            async with serve(engine, host="127.0.0.1", port=port, user=USER, password=PASSWORD, scratch=tmp_path):
                pytest.fail("it listens where another does")


async def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged = 0
    async with started(tmp_path) as first:
        store = ClickHouseStore(first.transport())
        await store.prepare()
        owner, other = Owner(store), Owner(store)

        async def write() -> None:
            nonlocal acknowledged
            for minute in range(10_000):
                for one in (owner, other):
                    await one.write("t", *((60_000 * minute + place, float(place)) for place in range(100)))
                acknowledged += 1
                if acknowledged == 20:
                    first.process.send_signal(signal.SIGKILL)

        with pytest.raises(Unavailable):
            await write()
        await first.process.wait()
        with pytest.raises(Unavailable):
            await store.ready()
        await store.close()

    async with started(tmp_path) as second:
        store = ClickHouseStore(second.transport())
        await store.ready()
        for one in (owner, other):
            assert await store.count(one.id, one.series("t")) in {acknowledged * 100, acknowledged * 100 + 100}
        await store.close()


async def test_a_store_that_is_away_for_a_while_is_found_again(tmp_path: Path) -> None:
    async with started(tmp_path) as first:
        url = first.url
        store = ClickHouseStore(HttpTransport(Address.parse(url)))
        await store.prepare()
        owner = Owner(store)
        await owner.write("t", ("2026-01-10 08:00", 1.0))
    with pytest.raises(Unavailable):
        await owner.read("t", DAY)

    engine_elsewhere = await StoreProcess.start(tmp_path, port=first.port)
    assert await owner.read("t", DAY) == [1.0]
    await engine_elsewhere.stop()
    await store.close()


@pytest.mark.parametrize("url", ["clickhouse://host", "http://", "http://host/db?sharded=1", "host:8123"])
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="ClickHouse URL") as caught:
        Address.parse(url.replace("://", "://me:secret@"))
    assert "secret" not in str(caught.value)


def test_a_url_names_everything_there_is_to_know() -> None:
    found = Address.parse("https://me:a%2Fb%40@ch.example/fleet?cluster=main&replicated=1")
    assert found == Address("ch.example", 8443, True, "me", "a/b@", "fleet", "main", True)
    assert Address.parse("http://ch") == Address("ch", 8123, False, "default", "", "default", "", False)
