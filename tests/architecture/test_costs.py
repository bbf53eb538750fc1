"""What a message and a request may cost: counted in calls, statements and packs, for a busy machine changes times only.

The limits stand a little above what is needed. Who needs more changes the limit, and says in the commit what for.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import Any, cast

import msgspec
import psycopg
import pytest
from prometheus_client import CollectorRegistry

from bench.load.messages import Bodies, connect_packet, publish_head
from roadstead.adapters.clickhouse import NativeColumns
from roadstead.bus import Bus, Packer
from roadstead.bus.consumer import Batch
from roadstead.bus.reader import Pack
from roadstead.core.messages import (
    Accepted,
    Logged,
    Reading,
    Uplink,
    ValueType,
    decode_accepted,
    encode_accepted,
    size_of_uplink,
)
from roadstead.core.metering import Counts
from roadstead.core.streams import Channel, Channels, Directory, Position, StreamFilter, Topic, tell_readings
from roadstead.core.telemetry import DeviceCatalog, Intake, Patches
from roadstead.core.telemetry.rules import Described, Rule
from roadstead.core.types import ProfileField
from roadstead.dialects.native.wire import NativeCodec
from roadstead.gateways.mqtt import Admission, Gateway, Limits, Listener, Metrics, TopicRules
from roadstead.gateways.mqtt.connection import Connection
from roadstead.kernel import ids
from roadstead.kernel.ids import TenantId, new_id
from roadstead.workers.metrics import StoreMetrics
from roadstead.workers.store import StoreWorker
from tests.conftest import Tenant
from tests.fleet import add_device

_BASE_MS = 1_795_000_000_000
_FIELDS = ("temperature", "humidity", "pressure", "voltage", "current")
_DEVICES = [ids.to_bytes(new_id()) for _ in range(50)]
_MESSAGES = 1_000


class Count:
    """Calls of Python functions and of built-in ones while it is entered: what the interpreter has to do."""

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> "Count":
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _see(self, _: object, event: str, __: object) -> None:
        if event in ("call", "c_call"):
            self.calls += 1


class Counted:
    """Awaits something and counts its calls, without those of other tasks that run meanwhile."""

    def __init__(self, job: Coroutine[Any, Any, None]) -> None:
        self._job = job
        self.count = Count()

    def __await__(self) -> Generator[Any, Any, int]:
        sent: Any = None
        while True:
            try:
                with self.count:
                    wanted = self._job.send(sent)
            except StopIteration:
                return self.count.calls
            sent = yield wanted


def calls_per_message(job: Callable[[], object]) -> float:
    """Of a job about `_MESSAGES` messages, once it has filled its caches."""
    job()
    with Count() as count:
        job()
    calls = count.calls / _MESSAGES
    print(f"{calls:.1f} calls a message")
    return calls


def uplinks(shape: str = "items") -> list[Uplink]:
    """Messages of five values, as the benchmark's devices send them."""
    bodies = Bodies(shape, _BASE_MS, 0)  # type: ignore[arg-type]
    bodies.reach(_MESSAGES // len(_DEVICES))
    return [
        Uplink(TenantId(1), device, "native", "readings", _BASE_MS, bodies.variant(place)[number])
        for number in range(_MESSAGES // len(_DEVICES))
        for place, device in enumerate(_DEVICES)
    ]


class Known:
    """Stands in for the catalog: every device has the same five sensors, with bounds."""

    def __init__(self) -> None:
        fields = [ProfileField(name=name, value_type=ValueType.DOUBLE, min=-100, max=1000) for name in _FIELDS]
        rules = tuple([Rule.of(f"air/{field.name}", field) for field in fields])
        self._known = {device: Described(TenantId(1), True, rules, bytes(80)) for device in _DEVICES}
        self.forwarding: set[bytes] = set()

    async def learn(self, _: object) -> dict[bytes, Described]:
        """See `DeviceCatalog.learn`."""
        return self._known


class Nowhere:
    """Stands in for bus, database and telemetry store, of which nothing is asked here."""

    max_payload = 1 << 20

    def columns(self) -> NativeColumns:
        """See `TelemetryStore.columns`."""
        return NativeColumns()


def store_worker() -> StoreWorker:
    """One that can prepare batches."""
    intake = Intake(cast(DeviceCatalog, Known()), {"native": NativeCodec()})
    nowhere = cast(Any, Nowhere())
    return StoreWorker(nowhere, nowhere, nowhere, intake, metrics=StoreMetrics(CollectorRegistry()))


def work_off(worker: StoreWorker, packs: list[Pack]) -> tuple[int, int]:
    """What the store does with packs before it hands a block to the engine: how many points, how many packs go on."""
    preparing = worker._prepare(Batch(cast(Any, None), packs))
    while True:
        try:
            preparing.send(None)  # nothing in it has to wait
        except StopIteration as end:
            columns: NativeColumns = end.value.columns
            columns.encode()
            columns.are_distinct()
            return columns.count, len(end.value.passed_on)


async def test_the_store_takes_a_message_of_five_values_in_few_calls() -> None:
    sent, worker = uplinks(), store_worker()
    packs = [
        Pack(1 + start // 100, 0, "uplink.0", msgspec.msgpack.encode(sent[start : start + 100]))
        for start in range(0, _MESSAGES, 100)
    ]
    assert work_off(worker, packs) == (5 * _MESSAGES, len(packs))
    assert calls_per_message(lambda: work_off(worker, packs)) <= 38


def accepted_packs() -> list[bytes]:
    """What the store passes on of some messages."""
    taking = Intake(cast(DeviceCatalog, Known()), {"native": NativeCodec()}).take_in(uplinks())
    while True:
        try:
            taking.send(None)
        except StopIteration as end:
            taken: list[Accepted] = end.value.accepted
            return [encode_accepted(taken[start : start + 100]) for start in range(0, _MESSAGES, 100)]


def test_what_is_passed_on_takes_few_bytes() -> None:
    assert sum(map(len, accepted_packs())) / _MESSAGES <= 106


def test_a_state_is_kept_in_few_calls_and_nobody_looks_into_what_is_overtaken(monkeypatch: pytest.MonkeyPatch) -> None:
    packs, looked = accepted_packs(), list[Logged]()
    readings = cast(Any, Logged.readings).fget

    def look(message: Logged) -> list[Reading]:
        looked.append(message)
        found: list[Reading] = readings(message)
        return found

    monkeypatch.setattr(Logged, "readings", property(look))

    def gather() -> Patches:
        patches = Patches()
        for pack in packs:
            for message in decode_accepted(pack):
                patches.add(message)
        return patches

    assert calls_per_message(gather) <= 7
    assert not looked
    assert len(list(gather().items())) == len(looked) == len(_DEVICES)


def test_a_message_is_counted_in_few_calls() -> None:
    packs = accepted_packs()

    def count() -> None:
        counts = Counts()
        for pack in packs:
            counts.add_messages(decode_accepted(pack))

    assert calls_per_message(count) <= 4


def test_a_message_that_nobody_listens_to_costs_listeners_few_calls() -> None:
    directory = Directory(cast(Any, Nowhere()), cast(Any, None))
    channels = Channels(
        [Channel(TenantId(1), StreamFilter(topics=frozenset({Topic.READING}), devices=frozenset({b"x" * 12})))]
    )
    packs = accepted_packs()

    def tell() -> None:
        for pack in packs:
            tell_readings(decode_accepted(pack), channels, directory, Position("", 0, 0, 0))

    assert calls_per_message(tell) <= 7


# --- the MQTT door ---------------------------------------------------------------------------------------------------


class Transport(asyncio.Transport):
    """Stands in for a socket: forgets what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def write(self, data: Any) -> None:
        """Count it."""
        self.written += len(data)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Count them."""
        self.written += sum(map(len, list_of_data))

    def pause_reading(self) -> None:
        """Nobody reads."""

    def resume_reading(self) -> None:
        """Nobody reads."""

    def close(self) -> None:
        """There is nothing to close."""

    def abort(self) -> None:
        """There is nothing to close."""


class Open:
    """Stands in for the doorkeeper: lets everybody in."""

    async def admit(self, hello: Any) -> Admission:
        """See `Doorkeeper.admit`."""
        device = new_id()
        rules = TopicRules(publish={b"v1/readings/organization/device": ("native", "readings")})
        return Admission(tenant=TenantId(1), organization=new_id(), device=device, dialect="native", rules=rules)  # type: ignore[arg-type]


class AtOnce:
    """Stands in for the publisher: everything is on the log at once."""

    in_flight = 0
    waiting_s = 0.0

    def __init__(self) -> None:
        self.packs: list[bytes] = []

    def publish(self, subject: str, payload: bytes, *, message_id: str, done: Callable[[int], None]) -> None:
        """See `Publisher.publish`."""
        self.packs.append(payload)
        done(len(self.packs))


@pytest.mark.parametrize(("at_once", "most"), [(10, 14.0), (1, 55.0)])
async def test_the_door_takes_a_message_in_few_calls(at_once: int, most: float) -> None:
    packer = Packer[Uplink](
        cast(Bus, Nowhere()), encode=msgspec.msgpack.Encoder().encode, size_of=size_of_uplink, interval_s=3600
    )
    log = AtOnce()
    packer._publisher = cast(Any, log)
    gateway = Gateway(cast(Any, Open()), packer, Metrics(CollectorRegistry()), Limits())
    callers = []
    for _ in range(_MESSAGES // 10 // at_once):
        connection, transport = Connection(gateway._registry, Listener.MQTT), Transport()
        connection.connection_made(transport)
        connection.data_received(connect_packet("device"))
        callers.append((connection, transport))
    while not all(transport.written for _, transport in callers):
        await asyncio.sleep(0)
    packer._flush()

    bodies = Bodies("items", _BASE_MS, 1)
    bodies.reach(at_once)
    head = publish_head("v1/readings/organization/device", bodies.payload_bytes, 1)
    data = head + head.join(bodies.variant(0)[:at_once])

    def receive() -> None:
        for _ in range(10):
            for connection, _ in callers:
                connection.data_received(data)
            packer._flush()

    acknowledged = sum(transport.written for _, transport in callers)
    log.packs.clear()
    receive()
    assert sum(transport.written for _, transport in callers) - acknowledged == 4 * _MESSAGES
    assert [len(msgspec.msgpack.decode(pack)) for pack in log.packs] == [_MESSAGES // 10] * 10
    assert calls_per_message(receive) <= most


# --- the API ---------------------------------------------------------------------------------------------------------


async def test_a_device_is_answered_in_two_round_trips_and_without_a_commit(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await add_device(acme.edge.system_database, acme.tenant_id)
    url = f"/api/v1/devices/{device}"
    assert (await acme.api.get(url)).status_code == 200

    statements: list[str] = []
    round_trips: list[str] = []
    execute, pipeline = psycopg.AsyncConnection.execute, psycopg.AsyncConnection.pipeline

    async def executed(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        statements.append(" ".join(str(query).split())[:40])
        return await execute(self, query, *args, **kwargs)

    def piped(self: Any) -> Any:
        round_trips.append("pipeline")
        return pipeline(self)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", executed)
    monkeypatch.setattr(psycopg.AsyncConnection, "pipeline", piped)
    assert (await acme.api.get(url)).status_code == 200

    # Whose key is it; then, together, whose rows may be seen and the device.
    assert [statement.partition(" ")[0] for statement in statements] == ["SELECT", "SELECT", "SELECT"]
    assert "set_config" in statements[1]
    assert len(round_trips) == 1


async def test_a_device_is_answered_in_few_calls(acme: Tenant) -> None:
    device = await add_device(acme.edge.system_database, acme.tenant_id)
    app = cast(Any, acme.api._transport).app
    headers = [(b"host", b"api.test"), (b"authorization", f"Bearer {acme.key}".encode())]

    async def ask() -> None:
        statuses: list[int] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        path = f"/api/v1/devices/{device}"
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": headers,
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {}, "extensions": {},
        }  # fmt: skip
        await app(scope, receive, send)
        assert statuses == [200]

    for _ in range(20):  # statements are prepared after some repeats
        await ask()
    counts = [await Counted(ask()) for _ in range(25)]
    print(f"{min(counts)} calls a request")
    assert min(counts) <= 1_400
