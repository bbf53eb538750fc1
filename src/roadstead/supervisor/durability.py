"""What "acknowledged means durable" asks of servers: the doctor shows what they tell, a start insists on it."""

import asyncio

import httpx
import msgspec
import psycopg
import structlog
from nats.aio.client import Client
from nats.js.api import PersistMode, StorageType, StreamInfo

from roadstead.settings import Settings
from roadstead.supervisor import nats
from roadstead.supervisor.datadir import DataDir
from roadstead.supervisor.failures import StartError
from roadstead.supervisor.findings import Finding, Verdict
from roadstead.supervisor.postgres import DURABLE_SETTINGS

log = structlog.get_logger()

UNSAFE = "unsafe"
"""Name of the finding that durability is not insisted on."""

_TIMEOUT_S = 5
_PAUSE_S = 2.0
_ENOUGH_REPLICAS = 3
_MOST_SERVERS = 64
_REMOTE_COMMITS = ("remote_write", "remote_apply")
"""For `synchronous_commit`, `on` stands for the local disk; the stronger remote kinds are as good."""


class Unreachable(StartError):
    """A server does not say how durable it is, because it is not there."""


class _JetStreamConfig(msgspec.Struct):
    sync_always: bool = False
    sync_interval: int = 0


class _JetStream(msgspec.Struct):
    config: _JetStreamConfig | None = None


class _Variables(msgspec.Struct):
    jetstream: _JetStream = msgspec.field(default_factory=_JetStream)


async def check_durability(settings: Settings) -> list[Finding]:
    """What keeps these servers, which must be running, from promising durability, as warnings.

    Raises `StartError` for the first thing that breaks the promise, unless the settings say `unsafe`; `Unreachable`.
    """
    weak = [finding for finding in await _look(settings) if finding.verdict is not Verdict.OK]
    for finding in weak:
        if finding.verdict is Verdict.FAIL and not settings.unsafe:
            raise StartError(
                f"{finding.name} is {finding.detail}: {finding.advice} "
                "(--unsafe starts all the same, and acknowledged data can then be lost)"
            )
        log.warning("acknowledged data may be lost", what=finding.name, found=finding.detail, advice=finding.advice)
    if settings.unsafe:
        weak.append(say_unsafe())
        log.warning("durability is not insisted on: ROADSTEAD_UNSAFE is set")
    return weak


async def await_durability(settings: Settings) -> None:
    """`check_durability` of servers that may have to be waited for."""
    while True:
        try:
            await check_durability(settings)
        except Unreachable as error:
            log.warning("waiting for a server", reason=str(error))
            await asyncio.sleep(_PAUSE_S)
        else:
            return


def say_unsafe() -> Finding:
    """That nobody insists on durability."""
    advice = "without --unsafe and ROADSTEAD_UNSAFE it starts only on servers that keep what they acknowledge"
    return Finding(UNSAFE, Verdict.WARN, "durability is not insisted on", advice)


async def _look(settings: Settings) -> list[Finding]:
    try:
        async with await psycopg.AsyncConnection.connect(
            settings.database_url, autocommit=True, connect_timeout=_TIMEOUT_S
        ) as connection:
            findings = await look_at_postgres(connection)
    except psycopg.Error as error:
        raise Unreachable(f"PostgreSQL cannot be asked: {error}".strip()) from error
    try:
        client = await nats.connect_once(settings.nats_url, timeout_s=_TIMEOUT_S)
        try:
            findings += await look_at_nats(client, settings)
        finally:
            await client.close()
    except nats.NATS_FAILURES as error:
        raise Unreachable(f"NATS cannot be asked: {str(error) or type(error).__name__}") from error
    return findings


async def look_at_postgres(connection: psycopg.AsyncConnection) -> list[Finding]:
    """Of the settings that hold for this login."""
    findings = []
    for setting, wanted in DURABLE_SETTINGS.items():
        cursor = await connection.execute("SELECT current_setting(%s)", [setting])
        value = str((await cursor.fetchone() or [""])[0])
        good = value == wanted or (setting == "synchronous_commit" and value in _REMOTE_COMMITS)
        advice = "" if good else f"ALTER SYSTEM SET {setting} = {wanted}: acknowledged data can be lost without it"
        findings.append(Finding(setting, Verdict.OK if good else Verdict.FAIL, value, advice))
    return findings


async def look_at_nats(client: Client, settings: Settings) -> list[Finding]:
    """Of its streams as they are, and of the server: ours, or one whose system account we may ask."""
    streams = await client.jetstream().streams_info()
    findings = [_look_at_stream(stream) for stream in streams]
    replicas = min((stream.config.num_replicas or 1 for stream in streams), default=settings.nats_replicas)
    return [*findings, await _look_at_sync(settings, min(replicas, settings.nats_replicas))]


def _look_at_stream(stream: StreamInfo) -> Finding:
    name, config = f"stream {stream.config.name}", stream.config
    if config.storage == StorageType.MEMORY:
        return Finding(name, Verdict.FAIL, "in memory", "make it anew with storage 'file'")
    if config.persist_mode == PersistMode.ASYNC:
        return Finding(name, Verdict.FAIL, "written asynchronously", "make it anew with the persist mode 'default'")
    replicas = config.num_replicas or 1
    return Finding(name, Verdict.OK, "1 replica" if replicas == 1 else f"{replicas} replicas")


async def _look_at_sync(settings: Settings, replicas: int) -> Finding:
    """A server tells its clients nothing of this; only its system account may ask."""
    name, advice = "sync_interval", "set 'sync_interval: always' for JetStream, or keep each stream three times"
    if replicas >= _ENOUGH_REPLICAS:
        return Finding(name, Verdict.OK, f"not needed with {replicas} replicas on different machines")
    url = settings.nats_system_url
    if not url and settings.data_dir.is_dir():
        url = nats.find_system_url(DataDir(settings.data_dir), settings.nats_url) or ""
    if not url:
        advice = f"{advice}; to have it checked, set ROADSTEAD_NATS_SYSTEM_URL to a user of its system account"
        return Finding(name, Verdict.WARN, "not visible from here", advice)
    answers = [msgspec.convert(one, _Variables) for one in await nats.ask_system(url, "VARZ", most=_MOST_SERVERS)]
    if not answers:
        return Finding(name, Verdict.WARN, "not told by the system account", advice)
    configurations = [answer.jetstream.config for answer in answers if answer.jetstream.config is not None]
    weak = [one for one in configurations if not one.sync_always]
    if weak:
        return Finding(name, Verdict.FAIL, f"{weak[0].sync_interval / 1e9:g} s", advice)
    return Finding(name, Verdict.OK, "always")


async def look_at_store(client: httpx.AsyncClient, url: str) -> list[Finding]:
    """Whether the tables behind this URL are synced at every insert. Raises `httpx.HTTPError`."""
    from roadstead.adapters.clickhouse.schema import SELECT_WEAK_TABLES  # not at a start: it loads a driver

    answer = await client.get(url, params={"query": f"{SELECT_WEAK_TABLES} FORMAT TabSeparated"})
    answer.raise_for_status()
    return [
        Finding(
            f"table {table}",
            Verdict.FAIL,
            "not synced at every insert",
            f"ALTER TABLE {table} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1",
        )
        for table in answer.text.split()
    ]
