"""Nothing starts on servers that can lose what they have acknowledged, unless somebody says that this is wanted."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import nats
import psycopg
import pytest

from roadstead.settings import Settings
from roadstead.supervisor.durability import check_durability
from roadstead.supervisor.failures import StartError
from roadstead.supervisor.findings import Verdict
from roadstead.supervisor.servers import Servers
from tests.platform import free_ports

from .waiting import until


@pytest.fixture
def settings(servers: Servers, tmp_path: Path) -> Settings:
    """Servers that are ours, as `up` has started them."""
    data = Path(str(servers._nats._data.path))
    return Settings(data_dir=data, database_url=servers.database_url, nats_url=servers.nats_url)


@asynccontextmanager
async def foreign_nats(directory: Path, *, sync: str) -> AsyncIterator[tuple[str, str]]:
    """A NATS of somebody else: its URL, and that of its system account."""
    (port,) = free_ports(1)
    configuration = {
        "host": "127.0.0.1",
        "port": port,
        "authorization": {"users": [{"user": "we", "password": "x"}]},
        "accounts": {"$SYS": {"users": [{"user": "system", "password": "x"}]}},
        "jetstream": {"store_dir": str(directory)} | ({"sync_interval": sync} if sync else {}),
    }
    file = directory / "nats.conf"
    file.write_bytes(msgspec.json.encode(configuration))
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "nats-server"), "-c", str(file), "-l", str(directory / "nats.log")
    )
    log = directory / "nats.log"
    try:
        await until(lambda: log.exists() and "Server is ready" in log.read_text())
        yield f"nats://we:x@127.0.0.1:{port}", f"nats://system:x@127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def weaken(settings: Settings, name: str) -> Settings:
    """The same servers by a login that is careless."""
    async with await psycopg.AsyncConnection.connect(settings.database_url, autocommit=True) as connection:
        await connection.execute(f"DROP ROLE IF EXISTS {name}")
        await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        await connection.execute(f"ALTER ROLE {name} SET synchronous_commit = off")
    password = settings.database_url.split(":")[2].split("@")[0]
    url = settings.database_url.replace(password, name).replace("//postgres", f"//{name}")
    return msgspec.structs.replace(settings, database_url=url)


async def test_our_own_servers_are_durable(settings: Settings) -> None:
    assert await check_durability(settings) == []


async def test_a_database_that_acknowledges_before_it_has_written_is_refused_by_name(settings: Settings) -> None:
    careless = await weaken(settings, "rash")
    with pytest.raises(StartError, match=r"synchronous_commit is off: ALTER SYSTEM .*--unsafe"):
        await check_durability(careless)

    found = await check_durability(msgspec.structs.replace(careless, unsafe=True))
    assert [(one.name, one.verdict) for one in found] == [
        ("synchronous_commit", Verdict.FAIL),
        ("unsafe", Verdict.WARN),
    ]


@pytest.mark.parametrize(
    ("sync", "asked", "verdict"),
    [("", True, Verdict.FAIL), ("always", True, None), ("always", False, Verdict.WARN)],
    ids=["every two minutes", "always", "not visible"],
)
async def test_a_nats_of_others_is_asked_through_its_system_account(
    settings: Settings, tmp_path: Path, sync: str, asked: bool, verdict: Verdict | None
) -> None:
    async with foreign_nats(tmp_path, sync=sync) as (url, system_url):
        foreign = msgspec.structs.replace(settings, nats_url=url, nats_system_url=system_url if asked else "")
        if verdict is Verdict.FAIL:
            with pytest.raises(StartError, match="sync_interval is 120 s: set 'sync_interval: always'"):
                await check_durability(foreign)
        found = await check_durability(msgspec.structs.replace(foreign, unsafe=verdict is Verdict.FAIL))
    assert [one.verdict for one in found if one.name == "sync_interval"] == ([verdict] if verdict else [])


@pytest.mark.parametrize(("option", "words"), [("memory", "in memory"), ("async", "written asynchronously")])
async def test_a_stream_that_somebody_has_made_careless_is_refused(
    settings: Settings, tmp_path: Path, option: str, words: str
) -> None:
    async with foreign_nats(tmp_path, sync="always") as (url, system_url):
        client = await nats.connect(url)
        kind = {"storage": "memory"} if option == "memory" else {"storage": "file", "persist_mode": "async"}
        stream = {"name": "UPLINK", "subjects": ["uplink.*"], "retention": "limits", "num_replicas": 1} | kind
        await client.request("$JS.API.STREAM.CREATE.UPLINK", msgspec.json.encode(stream))
        await client.close()
        foreign = msgspec.structs.replace(settings, nats_url=url, nats_system_url=system_url)
        with pytest.raises(StartError, match=f"stream UPLINK is {words}"):
            await check_durability(foreign)
