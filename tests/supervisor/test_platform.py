"""The whole of `roadstead up`, with a stand-in for what the roles do."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from functools import partial
from io import StringIO
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from rich.console import Console

from roadstead.settings import HttpSettings, HttpsSettings, MqttSettings, MqttsSettings, MqttWebsocketSettings, Settings
from roadstead.supervisor import banner, platform, role
from roadstead.supervisor.failures import StartError
from roadstead.supervisor.platform import Owner, Platform, Started, up
from roadstead.supervisor.servers import Servers

from .waiting import is_alive, kill, until

_COMMAND = (sys.executable, str(Path(__file__).parent / "fake_role.py"))


@pytest_asyncio.fixture
async def settings(servers: Servers, tmp_path: Path) -> Settings:
    """Free ports, a directory of their own, the test run's servers."""
    return msgspec.structs.replace(
        _on_free_ports(Settings(data_dir=tmp_path / "data", mqtt=MqttSettings(processes=2))),
        database_url=servers.database_url,
        nats_url=servers.nats_url,
    )


@pytest_asyncio.fixture
async def running(settings: Settings) -> AsyncIterator[Platform]:
    """A started platform."""
    started = Platform(settings, _prepare, command=_COMMAND)
    try:
        await started.start()
        yield started
    finally:
        await started.stop()


async def _prepare(settings: Settings) -> Owner:
    credentials = settings.data_dir / "credentials.json"
    credentials.write_text(settings.database_url)
    return Owner("owner@example.com", credentials, is_new=True)


def _free_ports() -> Iterator[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
    for one in sockets:
        with closing(one):
            yield one.getsockname()[1]


def _on_free_ports(settings: Settings) -> Settings:
    http, https, mqtt, mqtts, websocket = list(_free_ports())
    return msgspec.structs.replace(
        settings,
        http=HttpSettings(host="127.0.0.1", port=http),
        https=HttpsSettings(port=https),
        mqtt=msgspec.structs.replace(settings.mqtt, host="127.0.0.1", port=mqtt),
        mqtts=MqttsSettings(port=mqtts),
        mqtt_websocket=MqttWebsocketSettings(port=websocket),
    )


def _told(settings: Settings, role: str) -> dict[str, str]:
    return dict(json.loads((settings.data_dir / f"{role}.environment").read_text()))


async def test_every_role_runs_and_knows_the_servers(running: Platform, settings: Settings) -> None:
    assert set(running.children) == {"store", "api", "worker", "gateway-1", "gateway-2"}
    for role_ in ("store", "api", "worker", "gateway"):
        told = _told(settings, role_)
        assert told["ROADSTEAD_DATABASE_URL"] == settings.database_url
        assert told["ROADSTEAD_NATS_URL"] == settings.nats_url
        assert told["ROADSTEAD_MQTT_PORT"] == str(settings.mqtt.port)
        assert told["ROADSTEAD_DATA_DIR"] == str(settings.data_dir)

    store = _told(settings, "store")
    assert store["ROADSTEAD_CLICKHOUSE_URL"] == ""
    url = f"http://roadstead:{store['ROADSTEAD_STORE_PASSWORD']}@127.0.0.1:{store['ROADSTEAD_STORE_PORT']}"
    assert _told(settings, "api")["ROADSTEAD_CLICKHOUSE_URL"] == url
    assert "ROADSTEAD_STORE_PASSWORD" not in _told(settings, "api")


async def test_a_killed_role_comes_back_and_the_others_stay(running: Platform) -> None:
    pids = {name: child.pid for name, child in running.children.items()}
    gateway = pids["gateway-1"]
    assert gateway is not None
    kill(gateway)
    await until(lambda: running.children["gateway-1"].pid not in (None, gateway))
    assert running.children["api"].pid == pids["api"]


async def test_the_store_is_the_last_role_to_stop(settings: Settings) -> None:
    platform_ = Platform(settings, _prepare, command=_COMMAND)
    started = await platform_.start()
    await platform_.stop()
    assert not any(is_alive(pid) for pid in started.processes.values())
    stopped = (settings.data_dir / "stopped").read_text().split()
    assert sorted(stopped[:-1]) == ["api", "gateway", "gateway", "worker"]
    assert stopped[-1] == "store"


async def test_a_role_that_crashes_at_once_stops_the_start_with_its_own_words(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "worker.crash").touch()
    platform_ = Platform(settings, _prepare, command=_COMMAND)
    with pytest.raises(StartError, match=r"worker ended with code 1.*the worker was told to crash.*worker\.log"):
        await platform_.start()
    await platform_.stop()
    assert all(child.pid is None for child in platform_.children.values())


async def test_a_role_that_never_gets_ready_is_ended(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(role, "_READY_TIMEOUT_S", 0.5)
    settings.data_dir.mkdir()
    (settings.data_dir / "api.mute").touch()
    platform_ = Platform(settings, _prepare, command=_COMMAND)
    with pytest.raises(StartError, match="api is not ready after"):
        await platform_.start()
    await platform_.stop()


@pytest.mark.parametrize(
    ("field", "variable"),
    [
        ("http", "ROADSTEAD_HTTP_PORT"),
        ("https", "ROADSTEAD_HTTPS_PORT"),
        ("mqtt", "ROADSTEAD_MQTT_PORT"),
        ("mqtts", "ROADSTEAD_MQTTS_PORT"),
        ("mqtt_websocket", "ROADSTEAD_MQTT_WEBSOCKET_PORT"),
    ],
)
async def test_a_port_in_use_is_told_with_its_setting(
    settings: Settings, field: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "_PORT_PATIENCE_S", 0.0)
    with socket.create_server(("127.0.0.1", getattr(settings, field).port)):
        platform_ = Platform(settings, _prepare, command=_COMMAND)
        with pytest.raises(StartError, match=rf"in use by .*process {os.getpid()}.*set {variable} "):
            await platform_.start()
        await platform_.stop()


async def test_a_second_platform_in_the_same_directory_is_refused(running: Platform, settings: Settings) -> None:
    second = Platform(_on_free_ports(settings), _prepare, command=_COMMAND)
    with pytest.raises(StartError, match="ROADSTEAD_DATA_DIR"):
        await second.start()
    await second.stop()
    assert all(child.pid for child in running.children.values())


async def test_a_signal_stops_all_of_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "Platform", partial(Platform, command=_COMMAND))
    announced: list[Started] = []

    def announce(started: Started) -> None:
        announced.append(started)
        os.kill(os.getpid(), signal.SIGTERM)

    await asyncio.wait_for(up(settings, _prepare, announce=announce), timeout=30)
    (started,) = announced
    assert len(started.processes) == 5
    assert not any(is_alive(pid) for pid in started.processes.values())


async def test_a_signal_while_it_starts_stops_it_too(settings: Settings) -> None:
    async def prepare(_: Settings) -> Owner:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
        raise AssertionError

    await asyncio.wait_for(up(settings, prepare, announce=lambda _: pytest.fail("not ready")), timeout=30)


async def test_with_nothing_given_it_brings_its_own_servers(tmp_path: Path) -> None:
    own = Platform(_on_free_ports(Settings(data_dir=tmp_path / "data")), _prepare, command=_COMMAND)
    try:
        started = await own.start()
        assert set(started.processes) == {"store", "api", "worker", "gateway", "postgres", "nats"}
        assert (tmp_path / "data" / "credentials.json").read_text() == started.settings.database_url
        pids = started.processes
    finally:
        await own.stop()
    assert not any(is_alive(pid) for pid in pids.values())


def test_the_banner_says_where_to_go(tmp_path: Path) -> None:
    owner = Owner("owner@example.com", tmp_path / "credentials.json", is_new=True)
    text = StringIO()
    banner.show(Started(Settings(data_dir=tmp_path), owner, 2.5, {}), Console(file=text, width=200))
    said = text.getvalue()
    for word in (
        "http://localhost:8080",
        "/api/docs",
        "1883",
        "8883 (TLS)",
        "8083",
        owner.email,
        str(owner.credentials),
    ):
        assert word in said
    assert "roadstead device simulate --devices 20" in said
