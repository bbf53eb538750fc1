"""What one would put together instead of the platform, under the load of `ingest`, side by side in one run."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from bench.alternatives.servers import (
    count_rows,
    running_influx,
    running_mosquitto,
    running_postgres,
    running_subscriber,
)
from bench.context import Context
from bench.devices import make_fleet
from bench.load.crew import Crew
from bench.load.messages import VALUES
from bench.load.plan import Device, MqttPlan
from bench.platform import running_platform
from bench.result import Figure, Result
from bench.rows.ingest import DEVICES, plans_for
from bench.store import await_empty_log, check, sizes

_IN_FLIGHT = 10
_BACKLOG_BYTES = 32 << 20
_QUIET_S = 5.0
"""When nothing more is stored for so long, nothing more will be."""


class Contender(msgspec.Struct, frozen=True):
    """Something to be put together."""

    name: str
    how: str
    """What the subscriber does."""
    keeps_all: bool = True
    """The broker may hold any number of messages for it; as installed it holds a thousand and drops the rest."""


_OTHERS = [
    Contender("Mosquitto as installed, batches into PostgreSQL", "batch", keeps_all=False),
    Contender("Mosquitto, batches into PostgreSQL, unsynced", "batch"),
    Contender("Mosquitto, a commit for each message into PostgreSQL", "commit"),
    Contender("Mosquitto, batches into InfluxDB", "influx"),
]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of what one contender was sent."""

    acknowledged: float
    """Messages a second."""
    stored: float
    """Messages a second, while they came."""
    at_risk: float
    """Messages that were acknowledged and are on no disk when the last one was, % of them."""
    lost: float
    """Messages that were acknowledged and are never there, % of them."""


async def run_alternatives(context: Context) -> Result:
    """The same load for Mosquitto with a small subscriber and PostgreSQL or InfluxDB, and for the platform."""
    found = {each.name: await _measure(context, each) for each in _OTHERS}
    found["Roadstead, synced before PUBACK"] = await _measure_platform(context)
    figures = []
    for name, outcome in found.items():
        figures += [
            Figure(name=f"{name}: acknowledged", unit="messages/s", runs=[outcome.acknowledged]),
            Figure(name="  stored meanwhile", unit="messages/s", runs=[outcome.stored]),
            Figure(name="  acknowledged and on no disk at the end", unit="%", runs=[outcome.at_risk]),
            Figure(name="  acknowledged and never there", unit="%", runs=[outcome.lost]),
        ]
    return Result(
        row="alternatives",
        figures=figures,
        notes=[
            f"{DEVICES:,} connections, {_IN_FLIGHT} messages in flight each, {VALUES} values a message,"
            f" {context.seconds:g} s; brokers and databases as Debian sets them up, PostgreSQL as we do",
            "Mosquitto acknowledges what it holds in memory; but for the first line it may hold any number of messages",
            "The small program checks no values, knows no tenants, and every device may write in every other's name",
        ],
    )


async def _measure(context: Context, contender: Contender) -> Outcome:
    with _directory(context) as directory:
        async with (
            _database(contender.how, directory) as url,
            running_mosquitto(directory, keeps_all=contender.keeps_all) as port,
            running_subscriber(contender.how, port, url),
        ):
            devices = [Device(f"device-{number}", f"devices/device-{number}/readings") for number in range(DEVICES)]
            async with Crew(_plans(context, devices, port)) as crew:
                began = time.monotonic()
                await crew.begin()
                load = await crew.measure(context.seconds)
                acknowledged = sum((await crew.stop()).acknowledged)
                messages, took_s = await count_rows(url) / VALUES, time.monotonic() - began
            # What the broker still holds would all be written some time: that takes longer than anybody waits here.
            last = messages if contender.keeps_all else await _await_quiet(url) / VALUES
    return Outcome(
        acknowledged=load.rate,
        stored=messages / took_s,
        at_risk=100 * max(1 - messages / acknowledged, 0.0),
        lost=0.0 if contender.keeps_all else 100 * max(1 - last / acknowledged, 0.0),
    )


async def _measure_platform(context: Context) -> Outcome:
    settings = {"MQTT_PROCESSES": context.gateways, "LIMITS_BACKLOG_BYTES": _BACKLOG_BYTES}
    async with running_platform(context.directory, **settings) as platform:
        fleet = await make_fleet(platform, DEVICES)
        store = platform.open_store()
        plans = plans_for(context, fleet, platform.ports["MQTT"], shape="items")
        async with Crew(plans) as crew:
            before, began = await sizes(store), time.monotonic()
            await crew.begin()
            load = await crew.measure(context.seconds)
            outcome = await crew.stop()
            after, took_s = await sizes(store), time.monotonic() - began
        await await_empty_log(platform)
        found = await check(store, fleet.tenant, fleet.devices, outcome.acknowledged, plans[0].base_ms)
        await store.close()
    lost = 100 * (1 - found.found / found.expected)
    stored = (after.points - before.points) / VALUES / took_s
    return Outcome(acknowledged=load.rate, stored=stored, at_risk=lost, lost=lost)


@contextlib.contextmanager
def _directory(context: Context) -> Iterator[Path]:
    """One that servers may enter which do not run as root."""
    with tempfile.TemporaryDirectory(prefix="roadstead-bench-", dir=context.directory) as place:
        directory = Path(place)
        directory.chmod(0o755)
        yield directory


@contextlib.asynccontextmanager
async def _database(how: str, directory: Path) -> AsyncIterator[str]:
    server = running_influx if how == "influx" else running_postgres
    async with server(directory) as url:
        yield url


def _plans(context: Context, devices: list[Device], port: int) -> list[MqttPlan]:
    base_ms, count = int(time.time()) * 1000, context.generators
    return [
        MqttPlan(host="127.0.0.1", port=port, devices=devices[start::count], base_ms=base_ms, window=_IN_FLIGHT)
        for start in range(count)
    ]


async def _await_quiet(url: str) -> int:
    """How many values are there when no more come."""
    rows, since = await count_rows(url), time.monotonic()
    while time.monotonic() < since + _QUIET_S:
        await asyncio.sleep(0.5)
        now = await count_rows(url)
        if now != rows:
            rows, since = now, time.monotonic()
    return rows
