"""Noise on the line: the connection may end, the process and the other devices notice nothing."""

import asyncio
import random

import pytest
from prometheus_client import CollectorRegistry

from roadstead.gateways.mqtt import Limits, Listener, Metrics
from roadstead.gateways.mqtt.connection import Connection
from roadstead.gateways.mqtt.packets import (
    V5,
    V311,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Puback,
    Publish,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from roadstead.gateways.mqtt.properties import Properties
from roadstead.gateways.mqtt.registry import Registry
from roadstead.gateways.mqtt.writer import write_packet
from roadstead.kernel.ids import TenantId, new_id
from tests.gateways.harness import PASSWORD, Device, Keeper, Log


class Wire(asyncio.Transport):
    """A transport that swallows everything."""

    is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody reads it."""
        assert not self.is_closed or data

    def close(self) -> None:
        """Remember."""
        self.is_closed = True

    abort = close

    def is_closing(self) -> bool:
        """Whether it was."""
        return self.is_closed

    def pause_reading(self) -> None:
        """Bytes come all the same."""

    resume_reading = pause_reading


def conversation(device: Device, version: int) -> list[Packet]:
    """What a well-behaved device says."""
    is_v5 = version == V5
    will = Will(topic=device.status.encode(), payload=b"OFFLINE", qos=1)
    return [
        Connect(version=version, client_id="c", username=device.name, password=PASSWORD, will=will),
        Publish(topic=device.readings.encode(), payload=b"{}" * 70, qos=1, packet_id=1),
        Subscribe(2, (Subscription(filter="v1/#", qos=1), Subscription(filter=device.commands, qos=2))),
        Publish(
            topic=device.readings.encode(), payload=b"", properties=Properties(topic_alias=1) if is_v5 else Properties()
        ),
        Puback(1),
        Pingreq(),
        Unsubscribe(3, ("v1/#",)),
        Publish(topic=b"foreign", payload=b"x", qos=1, packet_id=4),
        Disconnect(),
    ]


def damage(data: bytearray, dice: random.Random) -> None:
    """Change, remove, repeat or insert a few bytes."""
    for _ in range(dice.randint(0, 6)):
        at = dice.randrange(len(data))
        match dice.randrange(4):
            case 0:
                data[at] = dice.randrange(256)
            case 1:
                del data[at : at + dice.randint(1, 5)]
            case 2:
                data[at:at] = data[at : at + dice.randint(1, 40)]
            case _:
                data[at:at] = dice.randbytes(dice.randint(1, 5))
        if not data:
            data.append(0)


@pytest.mark.parametrize("version", [V311, V5])
async def test_damaged_conversations_raise_nothing_and_leak_nothing(version: int) -> None:
    dice = random.Random(version)
    keeper, log = Keeper(), Log()
    device = Device(TenantId(1), new_id(), drop_forbidden=True)
    keeper.devices[device.name] = device
    registry = Registry(
        doorkeeper=keeper, uplinks=log, peers=None, metrics=Metrics(CollectorRegistry()), limits=Limits()
    )
    begun = 0
    for turn in range(3_000):
        packets = conversation(device, version)
        intact = write_packet(packets[0], version) if turn % 4 else b""
        data = bytearray(b"".join(write_packet(each, version) for each in packets[1 if turn % 4 else 0 :]))
        damage(data, dice)
        connection, wire = Connection(registry, Listener.MQTT), Wire()
        connection.connection_made(wire)
        connection.data_received(intact) if intact else None
        if intact:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        begun += len(registry.live)
        at = 0
        while at < len(data):
            step = dice.choice((1, 7, 50, 1_000))
            connection.data_received(bytes(data[at : at + step]))
            at += step
        await asyncio.sleep(0)
        connection.connection_lost(None)
        assert not registry.live
        assert not registry.connections
        log.uplinks.clear()
        log.answer()
    assert begun > 2_000
