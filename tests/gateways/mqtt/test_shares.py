"""One organization's flood is not the others' drought."""

import time

from roadstead.gateways.mqtt import Limits
from roadstead.gateways.mqtt.packets import V311, Publish
from roadstead.gateways.mqtt.writer import write_packet
from tests.gateways.harness import Caller, Device, Door, until

_SHARE = 100_000
_LIMITS = Limits(tenant_waiting_bytes=_SHARE, receive_maximum=100_000)


def flood(caller: Caller, device: Device, count: int, size: int = 1_000) -> None:
    """Many messages in one go."""
    topic, payload = device.readings.encode(), b"x" * size
    packets = [Publish(topic=topic, payload=payload, qos=1, packet_id=number + 1) for number in range(count)]
    caller.send(b"".join(write_packet(packet, V311) for packet in packets))


def taken(door: Door, *devices: Device) -> int:
    """How many messages of some devices were read."""
    return sum(len(door.log.of(device)) for device in devices)


def test_an_organization_with_its_share_on_the_way_waits_and_another_one_does_not() -> None:
    with Door(limits=_LIMITS) as door:
        # Colleagues of the eager one, before it in the line and with nothing to say.
        silent = [door.connect(door.add_device(tenant=1), V311) for _ in range(70)]
        eager, quiet = door.add_device(tenant=1), door.add_device(tenant=2)
        flooding, calm = door.connect(eager, V311), door.connect(quiet, V311)
        assert silent
        door.log.is_slow = True
        for _ in range(4):
            flood(flooding, eager, 100)
            until(lambda: taken(door, eager) >= 100)
        stopped_at = taken(door, eager)
        assert stopped_at < 400

        calm.publish(quiet.readings)
        until(lambda: taken(door, quiet) == 1)
        assert taken(door, eager) == stopped_at

        door.call(door.log.answer)
        calm.expect_pubacks(1)
        until(lambda: taken(door, eager) > stopped_at)
        door.log.is_slow = False
        door.call(door.log.answer)
        until(lambda: taken(door, eager) == 400)


def test_while_the_store_is_behind_those_wait_who_send_much() -> None:
    with Door(limits=Limits(receive_maximum=100_000)) as door:
        eager, quiet = door.add_device(tenant=1), door.add_device(tenant=2)
        flooding, calm = door.connect(eager, V311), door.connect(quiet, V311)
        door.log.behind = True
        flood(flooding, eager, 200)
        until(lambda: taken(door, eager) > 0)
        for said in range(1, 6):
            calm.publish(quiet.readings)
            until(lambda said=said: taken(door, quiet) == said)  # type: ignore[misc]
        calm.expect_pubacks(1, 1, 1, 1, 1)
        before = taken(door, eager)
        flood(flooding, eager, 200)
        calm.publish(quiet.readings)
        until(lambda: taken(door, quiet) == 6)
        assert taken(door, eager) == before

        # Who has sent much is not modest because another one sends as much.
        flood(calm, quiet, 400)
        until(lambda: taken(door, quiet) > 6)
        stopped_at = taken(door, quiet)
        flood(calm, quiet, 100)
        door.call(door.log.make_room)
        until(lambda: (taken(door, eager), taken(door, quiet)) == (400, 506))
        assert stopped_at < 506


def test_an_organization_that_is_alone_may_use_all_there_is() -> None:
    with Door(limits=_LIMITS) as door:
        device = door.add_device()
        caller = door.connect(device, V311)
        door.log.is_slow = True
        for done in range(1, 5):
            flood(caller, device, 100)
            until(lambda done=done: taken(door, device) == 100 * done)  # type: ignore[misc]
        door.call(door.log.answer)


def test_the_devices_of_one_organization_take_turns() -> None:
    with Door(limits=_LIMITS) as door:
        door.connect(door.add_device(tenant=2), V311)
        devices = [door.add_device(tenant=1) for _ in range(100)]
        callers = [door.connect(device, V311) for device in devices]
        door.log.is_slow = True
        for caller, device in zip(callers, devices, strict=True):
            flood(caller, device, 40)
        until(lambda: taken(door, *devices) >= 100)
        # Each answer lets some of them go on; nobody is left behind.
        deadline = time.monotonic() + 10
        while taken(door, *devices) < 4_000:
            assert time.monotonic() < deadline, "somebody is never read"
            door.call(door.log.answer)
        door.call(door.log.answer)
        for caller in callers:
            caller.expect_pubacks(*range(1, 41))


def test_a_pace_holds_for_one_organization_and_not_for_another() -> None:
    with Door(limits=Limits(tenant_bytes_per_s=50_000)) as door:
        eager, quiet = door.add_device(tenant=1), door.add_device(tenant=2)
        flooding, calm = door.connect(eager, V311), door.connect(quiet, V311)
        began = time.monotonic()
        for _ in range(3):
            flood(flooding, eager, 30)
            flooding.expect_pubacks(*range(1, 31))
        # A second's worth at once, the rest at its pace; the last portion was read before it was owed.
        assert time.monotonic() - began > 0.2
        calm.publish(quiet.readings)
        calm.expect_pubacks(1)


def test_an_organization_without_devices_here_is_forgotten() -> None:
    with Door(limits=_LIMITS) as door:
        device = door.add_device(tenant=5)
        caller = door.connect(device, V311)
        caller.publish(device.readings)
        caller.expect_pubacks(1)
        caller.hang_up()
        until(lambda: not door.gateway._registry.shares._shares)
