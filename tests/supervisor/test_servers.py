"""The embedded servers: they start fast, keep what they were given, and get over every kind of violent end."""

import asyncio
import os
import shutil
import stat
import sys
import time
from pathlib import Path

import msgspec
import psutil
import psycopg
import pytest

from roadstead.settings import Settings
from roadstead.supervisor import postgres
from roadstead.supervisor.account import own_directory
from roadstead.supervisor.datadir import DataDir
from roadstead.supervisor.failures import StartError
from roadstead.supervisor.nats import connect_once
from roadstead.supervisor.servers import EmbeddedServers, Servers, at_hand, find_running

from .waiting import is_alive, kill, until

_OUTSIDE = """
import asyncio, sys
from pathlib import Path
from roadstead.supervisor import process
from roadstead.supervisor.servers import EmbeddedServers
if "orphans" in sys.argv:
    process._prctl = None
async def main():
    async with EmbeddedServers(Path(sys.argv[1])) as servers:
        print(servers.postgres.pid, servers.nats.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def _write(url: str, value: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        await connection.execute("INSERT INTO kept VALUES (%s)", [value])


async def _read(url: str) -> list[str]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("SELECT value FROM kept ORDER BY value")
        return [row[0] for row in await cursor.fetchall()]


async def _publish(url: str, value: bytes) -> None:
    client = await connect_once(url, timeout_s=5)
    try:
        stream = client.jetstream()
        await stream.add_stream(name="KEPT", subjects=["kept"])
        await stream.publish("kept", value)
    finally:
        await client.close()


async def _published(url: str) -> int:
    client = await connect_once(url, timeout_s=5)
    try:
        return (await client.jetstream().stream_info("KEPT")).state.messages
    finally:
        await client.close()


def _pids(servers: Servers) -> tuple[int, int]:
    assert servers.postgres is not None
    assert servers.nats is not None
    return servers.postgres.pid or 0, servers.nats.pid or 0


async def test_an_empty_directory_has_both_servers_within_three_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    async with EmbeddedServers(tmp_path / "data") as servers:
        assert time.monotonic() - began < 3
        await _write(servers.database_url, "one")


async def test_what_was_acknowledged_is_there_after_a_stop_and_a_start(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path) as servers:
        await _write(servers.database_url, "one")
        await _publish(servers.nats_url, b"one")
        first = servers.database_url, servers.nats_url
        pids = _pids(servers)
    assert not any(is_alive(pid) for pid in pids)

    async with EmbeddedServers(tmp_path) as servers:
        assert (servers.database_url, servers.nats_url) == first
        assert await _read(servers.database_url) == ["one"]
        assert await _published(servers.nats_url) == 1


async def test_servers_that_are_killed_come_back_by_themselves_with_their_data(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path) as servers:
        await _write(servers.database_url, "one")
        await _publish(servers.nats_url, b"one")
        before = _pids(servers)
        for pid in before:
            kill(pid)
        await until(lambda: all(pid not in (0, *before) for pid in _pids(servers)))

        await _write(servers.database_url, "two")
        assert await _read(servers.database_url) == ["one", "two"]
        assert await _published(servers.nats_url) == 1


@pytest.mark.parametrize("left_behind", ["", "orphans"], ids=["servers die with it", "servers outlive it"])
async def test_a_killed_supervisor_needs_no_person(tmp_path: Path, left_behind: str) -> None:
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _OUTSIDE, str(tmp_path), left_behind), stdout=asyncio.subprocess.PIPE
    )
    assert supervisor.stdout is not None
    pids = [int(word) for word in (await supervisor.stdout.readline()).split()]
    url = postgres.find_url(DataDir(tmp_path))
    assert url is not None
    await _write(url, "one")
    supervisor.kill()
    await supervisor.wait()

    async with EmbeddedServers(tmp_path) as servers:
        assert not any(is_alive(pid) for pid in pids)
        assert await _read(servers.database_url) == ["one"]


async def test_a_pid_file_that_names_a_stranger_does_not_stop_a_start(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path) as servers:
        await _write(servers.database_url, "one")
    (cluster,) = (tmp_path / "postgres").glob("[0-9]*")
    stranger = f"{os.getpid()}\n{cluster}\n1700000000\n5432\n/tmp\n\n  1  1\nready\n"
    (cluster / "postmaster.pid").write_text(stranger)

    async with EmbeddedServers(tmp_path) as servers:
        assert await _read(servers.database_url) == ["one"]


async def test_a_cluster_that_was_made_half_way_is_made_anew(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    own_directory(data.postgres, data.account())
    (data.postgres / "17.new" / "base").mkdir(parents=True)

    async with EmbeddedServers(tmp_path) as servers:
        await _write(servers.database_url, "one")
    assert not (data.postgres / "17.new").exists()


async def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    directory = tmp_path / ("long " * 30 + "name")
    async with EmbeddedServers(directory) as servers:
        await _write(servers.database_url, "one")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has an account to drop to")
async def test_as_root_the_servers_run_unprivileged_even_where_their_account_cannot_go() -> None:
    directory = Path("/root/.roadstead-test") / str(os.getpid())
    try:
        async with EmbeddedServers(directory) as servers:
            assert all(psutil.Process(pid).uids().effective != 0 for pid in _pids(servers))
            await _write(servers.database_url, "one")
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert directory.stat().st_uid == 0
    finally:
        shutil.rmtree(directory.parent)


async def test_the_database_is_durable_and_lets_nobody_in_without_the_password(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path) as servers:
        async with await psycopg.AsyncConnection.connect(servers.database_url) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
                cursor = await connection.execute(f"SHOW {setting}")
                assert await cursor.fetchone() == ("on",)
        password = (tmp_path / "postgres" / "password").read_text().strip()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await psycopg.AsyncConnection.connect(servers.database_url.replace(password, "wrong"))

    for secret in ("postgres/password", "nats/access.json", "nats/nats.conf"):
        assert stat.S_IMODE((tmp_path / secret).stat().st_mode) == 0o600


async def test_a_second_supervisor_is_refused_by_the_name_of_the_setting(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path) as servers:
        with pytest.raises(StartError, match=rf"process {os.getpid()}.*ROADSTEAD_DATA_DIR"):
            await EmbeddedServers(tmp_path).__aenter__()
        await _write(servers.database_url, "one")


async def test_data_of_another_major_version_is_left_alone(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    own_directory(data.postgres, data.account())
    (data.postgres / "12").mkdir()
    with pytest.raises(StartError, match="holds data of PostgreSQL 12"):
        await EmbeddedServers(tmp_path).__aenter__()


async def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DataDir, "free_bytes", lambda self: 5 * 2**20)
    with pytest.raises(StartError, match=r"only 5 MB are free.*ROADSTEAD_DATA_DIR"):
        await EmbeddedServers(tmp_path).__aenter__()


async def test_commands_find_the_running_servers_or_start_some(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with pytest.raises(StartError, match="nothing runs in"):
        find_running(settings)
    async with EmbeddedServers(settings.data_dir) as servers:
        found = find_running(settings)
        assert found.nats_url == servers.nats_url
        await _write(found.database_url, "one")
        async with at_hand(settings) as same:
            assert same.database_url == found.database_url
    async with at_hand(settings) as started:
        assert await _read(started.database_url) == ["one"]


async def test_commands_make_no_platform_where_there_is_none(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with pytest.raises(StartError, match="nothing runs in"):
        await at_hand(settings).__aenter__()
    named = msgspec.structs.replace(settings, database_url="postgresql://db.example/roadstead")
    async with at_hand(named) as same:
        assert same == named
    assert not settings.data_dir.exists()
