"""Servers that one would use instead, as their packages set them up; in directories of their own, gone afterwards."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import psycopg

from bench.platform import free_ports
from roadstead.supervisor.datadir import DataDir
from roadstead.supervisor.postgres import Postgres

_START_S = 30.0
_DATABASE = "bench"


class NotInstalled(Exception):
    """A program is not on this machine; `str(error)` says how to get it."""


@contextlib.asynccontextmanager
async def running_mosquitto(directory: Path, *, keeps_all: bool) -> AsyncIterator[int]:
    """Its port. Anybody is let in; `keeps_all`: without bounds on what waits for a subscriber. Else as installed."""
    (port,) = free_ports(1)
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "user root"]
    if keeps_all:
        lines += ["max_queued_messages 0", "max_inflight_messages 0"]
    settings = directory / "mosquitto.conf"
    settings.write_text("\n".join([*lines, ""]))
    async with _running(_find("mosquitto"), "-c", str(settings), port=port):
        yield port


@contextlib.asynccontextmanager
async def running_influx(directory: Path) -> AsyncIterator[str]:
    """The URL of an empty database of InfluxDB 1."""
    http, rpc = free_ports(2)
    environment = {
        "INFLUXDB_HTTP_BIND_ADDRESS": f"127.0.0.1:{http}",
        "INFLUXDB_BIND_ADDRESS": f"127.0.0.1:{rpc}",
        "INFLUXDB_META_DIR": str(directory / "meta"),
        "INFLUXDB_DATA_DIR": str(directory / "data"),
        "INFLUXDB_DATA_WAL_DIR": str(directory / "wal"),
        "INFLUXDB_REPORTING_DISABLED": "true",
        "INFLUXDB_HTTP_LOG_ENABLED": "false",
        "INFLUXDB_DATA_QUERY_LOG_ENABLED": "false",
    }
    empty = directory / "influxdb.conf"
    empty.write_text("")
    async with _running(_find("influxd"), "-config", str(empty), port=http, environment=environment):
        url = f"http://127.0.0.1:{http}?db={_DATABASE}"
        await asyncio.to_thread(_ask_influx, url, f"CREATE DATABASE {_DATABASE}")
        yield url


@contextlib.asynccontextmanager
async def running_postgres(directory: Path) -> AsyncIterator[str]:
    """The URL of an empty database, in the server that comes with the platform, with its settings."""
    server = Postgres(DataDir(directory))
    process = await server.start()
    try:
        yield server.url
    finally:
        await server.stop(process)


async def count_rows(url: str) -> int:
    """How many values are stored."""
    if url.startswith("http"):
        found = await asyncio.to_thread(_ask_influx, url, "SELECT count(value) FROM reading")
        series = json.loads(found)["results"][0].get("series")
        return int(series[0]["values"][0][1]) if series else 0
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("SELECT count(*) FROM reading")
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


def _ask_influx(url: str, question: str) -> bytes:
    body = urllib.parse.urlencode({"q": question}).encode()
    place, _, query = url.partition("?")
    with urllib.request.urlopen(f"{place}/query?{query}", body) as answer:
        content: bytes = answer.read()
    return content


def _find(program: str) -> str:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        package = {"influxd": "influxdb"}.get(program, program)
        raise NotInstalled(f"{program} is not on this machine: apt-get install {package}")
    return found


@contextlib.asynccontextmanager
async def _running(
    program: str, *arguments: str, port: int, environment: Mapping[str, str] | None = None
) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        env={**os.environ, **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _await_port(process, port)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _await_port(process: asyncio.subprocess.Process, port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if process.returncode is not None or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


@contextlib.asynccontextmanager
async def running_subscriber(how: str, broker_port: int, url: str) -> AsyncIterator[None]:
    """The program between the broker and the database."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.alternatives.subscriber", how, str(broker_port), url,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            raise RuntimeError("the subscriber did not start")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
