"""The doctor: quiet about a healthy machine, exact about an ill one."""

import os
import socket
import time
from pathlib import Path

import msgspec
import psycopg
import pytest

from roadstead.settings import HttpSettings, HttpsSettings, MqttSettings, MqttsSettings, MqttWebsocketSettings, Settings
from roadstead.supervisor import doctor
from roadstead.supervisor.datadir import DataDir
from roadstead.supervisor.doctor import examine
from roadstead.supervisor.findings import Finding, Verdict
from roadstead.supervisor.servers import EmbeddedServers, Servers


def _settings(directory: Path, *, http: int = 0) -> Settings:
    return Settings(
        data_dir=directory,
        http=HttpSettings(host="127.0.0.1", port=http),
        https=HttpsSettings(port=0),
        mqtt=MqttSettings(port=0),
        mqtts=MqttsSettings(port=0),
        mqtt_websocket=MqttWebsocketSettings(port=0),
    )


async def _by_name(settings: Settings) -> dict[str, Finding]:
    return {finding.name: finding for finding in await examine(settings)}


async def test_a_directory_that_is_not_there_is_only_a_warning_and_stays_away(tmp_path: Path) -> None:
    found = await _by_name(_settings(tmp_path / "none"))
    assert found["data directory"].verdict is Verdict.WARN
    assert not (tmp_path / "none").exists()


async def test_running_servers_are_asked_for_what_durability_stands_on(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path):
        found = await _by_name(_settings(tmp_path))
    for name in ("PostgreSQL", "fsync", "synchronous_commit", "full_page_writes", "NATS", "sync_interval", "clock"):
        assert found[name].verdict is Verdict.OK, found[name]
    assert found["PostgreSQL's clock"].verdict is Verdict.OK
    assert found["platform"].detail == f"running (process {os.getpid()})"


async def test_a_database_that_may_lose_what_it_acknowledged_fails(servers: Servers, tmp_path: Path) -> None:
    async with await psycopg.AsyncConnection.connect(servers.database_url, autocommit=True) as connection:
        await connection.execute("CREATE ROLE careless LOGIN PASSWORD 'careless'")
        await connection.execute("ALTER ROLE careless SET synchronous_commit = off")
    password = servers.database_url.split(":")[2].split("@")[0]
    url = servers.database_url.replace(password, "careless").replace("//postgres", "//careless")
    found = await _by_name(msgspec.structs.replace(_settings(tmp_path), database_url=url))
    assert found["synchronous_commit"].verdict is Verdict.FAIL
    assert "ALTER SYSTEM SET synchronous_commit" in found["synchronous_commit"].advice


async def test_servers_elsewhere_that_do_not_answer_fail_by_name(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        dead = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = msgspec.structs.replace(
        _settings(tmp_path),
        database_url=f"postgresql://u:p@{dead}/x",
        nats_url=f"nats://{dead}",
        clickhouse_url=f"http://{dead}",
    )
    found = await _by_name(settings)
    for name, setting in (("PostgreSQL", "DATABASE"), ("NATS", "NATS"), ("ClickHouse", "CLICKHOUSE")):
        assert found[name].verdict is Verdict.FAIL
        assert f"ROADSTEAD_{setting}_URL" in found[name].advice


async def test_a_port_that_somebody_else_has_fails(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = await _by_name(_settings(tmp_path, http=port))
    assert found[f"port {port}"].verdict is Verdict.FAIL
    assert found[f"port {port}"].advice == "set ROADSTEAD_HTTP_PORT"


async def test_secrets_that_others_can_read_fail(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    file.touch()
    file.chmod(0o644)
    assert (await _by_name(_settings(tmp_path)))["credentials.json"].verdict is Verdict.FAIL
    file.chmod(0o600)
    assert (await _by_name(_settings(tmp_path)))["credentials.json"].verdict is Verdict.OK


async def test_a_clock_behind_our_own_files_fails(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    file.touch()
    os.utime(file, (time.time() + 3600, time.time() + 3600))
    assert (await _by_name(_settings(tmp_path)))["clock"].verdict is Verdict.FAIL


async def test_a_disk_that_fills_up_is_a_warning_and_a_full_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DataDir, "free_bytes", lambda self: doctor._COMFORTABLE_FREE_BYTES - 1)
    assert (await _by_name(_settings(tmp_path)))["disk"].verdict is Verdict.WARN
    monkeypatch.setattr(DataDir, "free_bytes", lambda self: 0)
    assert (await _by_name(_settings(tmp_path)))["disk"].verdict is Verdict.FAIL


async def test_where_files_are_kept_is_looked_at_when_it_is_elsewhere(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    assert "blobs" not in await _by_name(settings)
    there = msgspec.structs.replace(settings, blobs_url=f"file://{tmp_path}/files")
    assert (await _by_name(there))["blobs"].verdict is Verdict.OK
    nowhere = msgspec.structs.replace(settings, blobs_url="s3://b?region=x&endpoint=http://127.0.0.1:1&token=hush")
    nonsense = msgspec.structs.replace(settings, blobs_url="s3://b?bogus=1&token=hush")
    for wrong in (nowhere, nonsense):
        found = (await _by_name(wrong))["blobs"]
        assert found.verdict is Verdict.FAIL
        assert "hush" not in f"{found.detail} {found.advice}"
