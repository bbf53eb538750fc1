"""The load generator, against the barest MQTT server."""

import time

import msgspec
import pytest

from bench.histogram import Histogram
from bench.limits.process import running_limit
from bench.load.crew import Crew
from bench.load.messages import VALUES, Bodies
from bench.load.plan import Device, MqttPlan
from roadstead.core.messages import Uplink
from roadstead.dialects.native.wire import NativeCodec
from roadstead.kernel.ids import TenantId


def plan(port: int, devices: int, **changes: object) -> MqttPlan:
    """A plan for some devices that nobody knows."""
    made = [Device(f"device-{number}", f"v1/readings/organization/device-{number}") for number in range(devices)]
    whole = MqttPlan(host="127.0.0.1", port=port, devices=made, base_ms=int(time.time()) * 1000)
    return msgspec.structs.replace(whole, **changes)


async def test_every_message_is_counted_and_every_acknowledgement_awaited() -> None:
    async with (
        running_limit("front") as front,
        Crew([plan(front.port, 3), plan(front.port, 2, qos=0, pace="flood")]) as crew,
    ):
        assert crew.opened.done == 5
        await crew.begin()
        measured = await crew.measure(0.2, least=100)
        end = await crew.stop()
    assert measured.done >= 100
    assert measured.failed == end.failed == 0
    assert measured.latency.count == measured.done
    assert len(end.acknowledged) == 5
    assert all(end.acknowledged[:3])
    assert not any(end.acknowledged[3:])


async def test_an_open_loop_keeps_its_rate() -> None:
    async with running_limit("front") as front, Crew([plan(front.port, 4, pace="open", rate=500.0)]) as crew:
        await crew.begin()
        measured = await crew.measure(0.5)
        await crew.stop()
    assert measured.sent / measured.seconds == pytest.approx(500, rel=0.2)


@pytest.mark.parametrize("shape", ["items", "object"])
def test_each_message_has_its_own_time_and_five_values(shape: str) -> None:
    base_ms = 1_795_000_000_000
    bodies = Bodies(shape, base_ms, 0)  # type: ignore[arg-type]
    bodies.reach(1_001)
    for number in (0, 1, 1_000):
        payload = bodies.variant(3)[number]
        assert len(payload) == bodies.payload_bytes
        uplink = Uplink(TenantId(1), bytes(12), "native", "readings", base_ms, payload)
        reported = NativeCodec().decode(uplink).reported
        assert {item.at for item in reported} == {base_ms + number}
        values = [value for item in reported for value in (item.value.values() if shape == "object" else [item.value])]
        assert len(values) == VALUES


def test_percentiles_are_right_to_a_few_per_cent() -> None:
    histogram, other = Histogram(), Histogram()
    for micros in range(1, 50_001):
        (histogram if micros % 2 else other).add(micros)
    histogram.merge(other.pairs(), other.longest)
    for share in (0.001, 0.5, 0.99, 1.0):
        assert histogram.percentile(share) == pytest.approx(share * 50_000, rel=0.02)
