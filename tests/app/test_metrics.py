"""What all processes count, on one page."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from roadstead.app.metrics import Families, PackMetrics, PlatformMetrics, Report, answer_metrics, make_report
from roadstead.bus import Bus, Packer, connect
from tests.bus.conftest import NatsServer


@pytest_asyncio.fixture
async def nats(tmp_path: Any) -> AsyncIterator[NatsServer]:
    """NATS for one test alone: nobody else answers."""
    server = NatsServer(tmp_path)
    await server.start()
    yield server
    await server.kill()


@pytest_asyncio.fixture
async def here(nats: NatsServer) -> AsyncIterator[Bus]:
    """The connection of the process that is asked for the page."""
    bus = await connect(nats.url, name="api", timeout_s=10)
    yield bus
    await bus.close()


@pytest_asyncio.fixture
async def there(nats: NatsServer) -> AsyncIterator[Bus]:
    """The connection of another process."""
    bus = await connect(nats.url, name="gateway", timeout_s=10)
    yield bus
    await bus.close()


def counting(messages: int) -> CollectorRegistry:
    """A process that has counted some messages."""
    registry = CollectorRegistry()
    Counter("messages", "Messages", ["door"], registry=registry).labels("mqtt").inc(messages)
    Histogram("seconds", "Time", buckets=(1, 2), registry=registry).observe(1.5)
    return registry


async def answer_as(bus: Bus, role: str, process: str, registry: CollectorRegistry) -> None:
    """What a process of another machine does."""

    async def pack(_: bytes) -> bytes:
        report = msgspec.structs.replace(make_report(role, registry), process=process)
        return zlib.compress(msgspec.msgpack.encode(report))

    await bus.answer("metrics.ask", pack)


def samples(page: str, name: str) -> dict[tuple[str, str], float]:
    """By role and process."""
    return {
        (sample.labels["role"], sample.labels["process"]): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name
    }


async def test_the_page_has_the_numbers_of_every_process_that_answers_once_each(here: Bus, there: Bus) -> None:
    await answer_metrics(here, "api", counting(1))
    await answer_as(there, "gateway", "one:7", counting(20))
    await answer_as(there, "gateway", "two:7", counting(300))
    page = generate_latest(await PlatformMetrics(here, "api", counting(1)).collect()).decode()

    found = samples(page, "messages_total")
    assert {role: value for (role, _), value in found.items() if role == "api"} == {"api": 1}
    assert (found["gateway", "one:7"], found["gateway", "two:7"]) == (20, 300)
    assert len(found) == len(samples(page, "roadstead_build_info")) == 3
    assert samples(page, "seconds_sum") == dict.fromkeys(found, 1.5)
    for line in ("# TYPE messages_total counter", "# TYPE seconds histogram", "# HELP messages_total Messages"):
        assert page.count(f"{line}\n") == 1
    assert 'messages_total{door="mqtt",process="one:7",role="gateway"} 20.0' in page


async def test_a_process_that_hangs_or_talks_nonsense_does_not_keep_the_page_from_coming(here: Bus, there: Bus) -> None:
    never, bomb = asyncio.Event(), zlib.compress(bytes(100 << 20))

    async def hang(_: bytes) -> bytes:
        await never.wait()
        return b""

    async def babble(_: bytes) -> bytes:
        return b"nonsense"

    async def flood(_: bytes) -> bytes:
        return bomb

    await answer_as(there, "gateway", "one:7", counting(20))
    for answer in (hang, babble, flood):
        await there.answer("metrics.ask", answer)
    async with asyncio.timeout(5):
        collected = await PlatformMetrics(here, "api", counting(1)).collect()
    never.set()
    page = generate_latest(collected).decode()
    assert {role for role, _ in samples(page, "messages_total")} == {"api", "gateway"}


async def test_without_nats_a_process_speaks_for_itself(nats: NatsServer, here: Bus) -> None:
    await nats.kill()
    async with asyncio.timeout(5):
        collected = await PlatformMetrics(here, "api", counting(3)).collect()
    assert list(samples(generate_latest(collected).decode(), "messages_total").values()) == [3]


async def test_all_who_ask_at_once_cost_one_question(here: Bus, there: Bus) -> None:
    questions = 0

    async def count(_: bytes) -> bytes:
        nonlocal questions
        questions += 1
        return b""

    await there.answer("metrics.ask", count)
    metrics = PlatformMetrics(here, "api", counting(1))
    await asyncio.gather(*(metrics.collect() for _ in range(20)))
    assert questions == 1


def test_a_name_that_means_two_things_keeps_its_first_meaning() -> None:
    one, other = CollectorRegistry(), CollectorRegistry()
    Counter("things", "As counted", registry=one).inc()
    Gauge("things", "As measured", registry=other).set(5)
    page = write([make_report("api", one), make_report("worker", other)])
    assert "# TYPE things_total counter" in page
    assert "# TYPE things gauge" not in page


def write(reports: Sequence[Report]) -> str:
    """As Prometheus reads it."""
    return generate_latest(Families(reports)).decode()


async def test_packs_on_their_way_to_the_log_are_measured(bus: Bus) -> None:
    registry = CollectorRegistry()
    metrics = PackMetrics(registry)
    packer = Packer[bytes](
        bus, encode=b"".join, size_of=len, subject="accepted", interval_s=0.001, report=metrics.report
    )
    metrics.watch(lambda: packer.unacknowledged_bytes)
    await packer.start()
    await packer.put(b"\x90" * 10, b"\x90" * 20)
    await packer.close()
    assert registry.get_sample_value("roadstead_pack_messages_sum") == 2
    assert registry.get_sample_value("roadstead_pack_bytes_sum") == 30
    assert registry.get_sample_value("roadstead_pack_seconds_count") == 1
    assert registry.get_sample_value("roadstead_pack_failed_total") == 0
    assert registry.get_sample_value("roadstead_pack_waiting_bytes") == pytest.approx(0)
