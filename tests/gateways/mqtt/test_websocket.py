"""MQTT over WebSocket."""

import socket

import pytest
from websockets import ConnectionClosed, InvalidStatus, Subprotocol
from websockets.sync.client import ClientConnection, connect

from roadstead.gateways.mqtt import Limits, Listener, Reason
from roadstead.gateways.mqtt.packets import V5, Connack, Connect, Disconnect, Packet, Publish
from roadstead.gateways.mqtt.reader import find_frame, read_packet
from roadstead.gateways.mqtt.writer import write_packet
from tests.gateways.harness import PASSWORD, Device, Door


def dial(door: Door, path: str = "/mqtt", subprotocol: str = "mqtt") -> ClientConnection:
    """A WebSocket."""
    url = f"ws://{door.host}:{door.port(Listener.WS)}{path}"
    return connect(url, subprotocols=[Subprotocol(subprotocol)], max_size=None)


def receive(ws: ClientConnection) -> Packet:
    """A packet that comes in one message."""
    data = ws.recv(5)
    assert isinstance(data, bytes)
    frame = find_frame(data, 0)
    assert frame is not None
    return read_packet(data[0], data[frame[0] : frame[1]], V5)


def hello(device: Device) -> bytes:
    """A CONNECT."""
    return write_packet(Connect(version=V5, client_id="c", username=device.name, password=PASSWORD), V5)


def test_packets_may_be_split_over_messages_and_share_one(door: Door, device: Device) -> None:
    """[MQTT-6.0.0-2] [MQTT-6.0.0-4]."""
    messages = [
        write_packet(Publish(topic=device.readings.encode(), payload=bytes(size), qos=1, packet_id=size), V5)
        for size in (1, 100, 60_000)
    ]
    with dial(door) as ws:
        assert ws.subprotocol == "mqtt"
        greeting = hello(device)
        for byte in greeting[:-1]:
            ws.send(bytes((byte,)))
        ws.send(greeting[-1:] + messages[0])
        assert isinstance(receive(ws), Connack)
        assert ws.recv(5) == b"\x40\x02\x00\x01"
        ws.send([messages[1][:50], messages[1][50:] + messages[2][:7], messages[2][7:]])  # one message in fragments
        acknowledged = b""
        while len(acknowledged) < 8:
            part = ws.recv(5)
            assert isinstance(part, bytes)
            acknowledged += part
        assert acknowledged == b"\x40\x02\x00\x64\x40\x02\xea\x60"
        assert ws.ping().wait(5)
    assert [len(each.payload) for each in door.log.of(device)] == [1, 100, 60_000]
    assert door.keeper.hellos[0].listener is Listener.WS
    assert door.keeper.hellos[0].address.startswith("127.0.0.1:")


@pytest.mark.parametrize("path", ["/", "/mqtt", "/mqtt?from=a-browser"])
def test_clients_come_by_the_path_that_theirs_is_made_for(door: Door, device: Device, path: str) -> None:
    with dial(door, path) as ws:
        ws.send(hello(device))
        assert isinstance(receive(ws), Connack)


def test_text_messages_end_the_connection(door: Door, device: Device) -> None:
    """[MQTT-6.0.0-1]."""
    with dial(door) as ws:
        ws.send(hello(device))
        receive(ws)
        ws.send("text")
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(5)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1003


@pytest.mark.parametrize(("path", "subprotocol", "status"), [("/chat", "mqtt", 404), ("/mqtt", "chat", 400)])
def test_another_path_or_subprotocol_is_refused(door: Door, path: str, subprotocol: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as caught:
        dial(door, path, subprotocol)
    assert caught.value.response.status_code == status


@pytest.mark.parametrize("data", [b"\x10\x00", b"GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n", b"x" * 70_000])
def test_what_is_no_websocket_ends(door: Door, data: bytes) -> None:
    with socket.create_connection((door.host, door.port(Listener.WS)), timeout=5) as plain:
        plain.sendall(data + b"\r\n\r\n")
        try:
            while plain.recv(1_000):
                pass
        except ConnectionResetError:
            pass
    assert not door.keeper.hellos


def test_a_handshake_that_gets_stuck_ends() -> None:
    with (
        Door(limits=Limits(connect_s=0.05)) as door,
        socket.create_connection((door.host, door.port(Listener.WS)), timeout=5) as plain,
    ):
        plain.sendall(b"GET /mqtt HTTP/1.1\r\n")
        assert plain.recv(1_000) == b""


def test_a_session_that_ends_from_here_ends_the_websocket_properly(door: Door, device: Device) -> None:
    with dial(door) as ws:
        ws.send(hello(device))
        receive(ws)
        door.call(lambda: door.gateway.kick(device.key))
        answer = receive(ws)
        assert isinstance(answer, Disconnect)
        assert answer.reason is Reason.NOT_AUTHORIZED
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(5)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1000


def test_a_websocket_that_is_closed_is_a_session_that_ended(door: Door, device: Device) -> None:
    with dial(door) as ws:
        ws.send(hello(device))
        receive(ws)
    door.connect(door.add_device())
    assert [channel for channel, _ in door.log.notices(device)] == ["connected", "disconnected"]
