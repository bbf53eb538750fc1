"""What all processes of the platform count, at one place: each answers over the bus, any API process can ask."""

import asyncio
import os
import socket
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from roadstead import __version__
from roadstead.bus import Bus, Subscription
from roadstead.kernel.errors import Unavailable

log = structlog.get_logger()

_SUBJECT = "metrics.ask"
_WITHIN_S = 0.5
_MOST_PROCESSES = 256
_MOST_BYTES = 16 << 20
"""Of one process, unpacked."""
_MOST_BYTES_IN_ALL = 64 << 20


class _Sample(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: str
    labels: dict[str, str]
    value: float


class _Family(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: str
    kind: str
    help: str
    samples: list[_Sample]


class Report(msgspec.Struct, frozen=True, array_like=True):
    """What one process counts, at this moment."""

    role: str
    process: str
    """Host and process id."""
    version: str
    families: list[_Family]


_decode = msgspec.msgpack.Decoder(Report).decode


def make_report(role: str, registry: CollectorRegistry) -> Report:
    """What this process counts, now."""
    families = [_read(family) for family in registry.collect()]
    return Report(role, f"{socket.gethostname()}:{os.getpid()}", __version__, families)


async def answer_metrics(bus: Bus, role: str, registry: CollectorRegistry) -> Subscription:
    """From now on this process says what it counts whenever it is asked, until the subscription is closed."""

    async def pack(_: bytes) -> bytes:
        # Names and labels repeat themselves: this becomes a twentieth, and fits a message whatever the routes are.
        return zlib.compress(msgspec.msgpack.encode(make_report(role, registry)), 1)

    return await bus.answer(_SUBJECT, pack)


class PlatformMetrics:
    """What this process and all others count, for the page that Prometheus reads."""

    def __init__(self, bus: Bus, role: str, registry: CollectorRegistry) -> None:
        self._bus = bus
        self._role = role
        self._registry = registry
        self._asking: asyncio.Task[list[Report]] | None = None

    async def collect(self) -> Collector:
        """Everything in families of Prometheus, with the labels `role` and `process`.

        Takes about half a second, however many processes answer in that time; who does not is left out, and without
        NATS this process speaks for itself alone. Whoever asks meanwhile gets the same answer.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="metrics")
        return Families(await asyncio.shield(self._asking))

    async def _ask(self) -> list[Report]:
        try:
            answers = await self._bus.ask_all(_SUBJECT, within_s=_WITHIN_S, most=_MOST_PROCESSES)
        except Unavailable:
            answers = []
        own = make_report(self._role, self._registry)
        others = (report for report in _unpack(answers) if report.process != own.process)
        return sorted([own, *others], key=lambda report: (report.role, report.process))


class Families(Collector):
    """Reports as one: a family for each name, whoever counts it, and one that says who there is."""

    def __init__(self, reports: Sequence[Report]) -> None:
        self._reports = reports

    def collect(self) -> Iterable[Metric]:
        """See `Collector.collect`."""
        there = Metric("roadstead_build", "The processes of the platform that answer", "info")
        families = {there.name: there}
        for report in self._reports:
            who = {"role": report.role, "process": report.process}
            there.add_sample("roadstead_build_info", {**who, "version": report.version}, 1.0)
            for family in report.families:
                known = families.setdefault(family.name, Metric(family.name, family.help, family.kind))
                if known.type != family.kind:
                    # Two versions of the platform side by side: one page cannot say both.
                    log.warning("metric of two kinds", name=family.name, left_out_of=report.process)
                    continue
                for sample in family.samples:
                    known.add_sample(sample.name, {**sample.labels, **who}, sample.value)
        return families.values()


def _read(family: Metric) -> _Family:
    samples = [_Sample(sample.name, dict(sample.labels), sample.value) for sample in family.samples]
    return _Family(family.name, family.type, family.documentation, samples)


def _unpack(answers: Iterable[bytes]) -> Iterator[Report]:
    left = _MOST_BYTES_IN_ALL
    for answer in answers:
        try:
            unpacker = zlib.decompressobj()
            body = unpacker.decompress(answer, min(_MOST_BYTES, left))
            if unpacker.unconsumed_tail:
                log.warning("metrics of a process left out", reason="more than can be told", size_bytes=len(body))
                continue
            yield _decode(body)
            left = max(left - len(body), 1)
        except (zlib.error, msgspec.DecodeError) as error:
            log.warning("metrics of a process left out", reason=str(error))


class PackMetrics:
    """Counters of what goes to the log through the packer of one process, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages = Histogram(
            "roadstead_pack_messages", "Messages in one pack", registry=registry,
            buckets=(1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000),
        )  # fmt: skip
        self.size = Histogram(
            "roadstead_pack_bytes", "Bytes of one pack, as estimated", registry=registry,
            buckets=(1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
        )  # fmt: skip
        self.seconds = Histogram(
            "roadstead_pack_seconds", "From sending a pack to the log until it is there durably", registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0),
        )  # fmt: skip
        self.failed = Counter("roadstead_pack_failed", "Packs that the log did not take", registry=registry)
        self.waiting = Gauge(
            "roadstead_pack_waiting_bytes", "Bytes that wait for the log, collected or on their way", registry=registry
        )

    def report(self, messages: int, size_bytes: int, seconds: float, is_stored: bool) -> None:
        """What became of one pack: `Packer(report=...)`."""
        self.messages.observe(messages)
        self.size.observe(size_bytes)
        self.seconds.observe(seconds)
        if not is_stored:
            self.failed.inc()

    def watch(self, waiting: Callable[[], float]) -> None:
        """Where to read how many bytes wait."""
        self.waiting.set_function(waiting)
