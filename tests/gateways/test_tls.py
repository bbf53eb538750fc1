"""TLS for devices: any certificate comes through to the doorkeeper, and nothing that is no TLS costs us anything."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from roadstead.gateways.mqtt import Listener
from roadstead.gateways.mqtt.packets import V311, Connack, Connect, Publish, Subscribe, Subscription
from roadstead.gateways.mqtt.reader import find_frame, read_packet
from roadstead.gateways.mqtt.writer import write_packet
from roadstead.gateways.tls import MQTT_ALPN, Identity, TlsServer, follow_files, read_identity
from tests.gateways.certificates import Certificate, make
from tests.gateways.harness import Door, until

SERVER = make("server")
CLIENTS = {
    "self-signed": make("one"),
    "of an unknown authority": make("two", issuer=make("nobody knows")),
    "expired": make("three", days=(-30, -3)),
    "not yet valid": make("four", days=(3, 30)),
    "RSA": make("five", is_rsa=True),
}


@pytest.fixture
def tls() -> TlsServer:
    """TLS with a short patience."""
    return TlsServer(SERVER.identity, alpn=MQTT_ALPN, handshake_s=0.2)


@pytest.fixture
def door(tls: TlsServer) -> Iterator[Door]:
    """A door with TLS."""
    with Door(tls=tls) as door:
        yield door


def client_context(folder: Path, client: Certificate | None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """What a device needs."""
    context = ssl.create_default_context(cadata=SERVER.pem.decode())
    context.check_hostname = False
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if client is not None:
        context.load_cert_chain(*client.save(folder, "client"))
    return context


def dial(door: Door, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A TLS connection."""
    plain = socket.create_connection((door.host, door.port(Listener.MQTTS)), timeout=5)
    return context.wrap_socket(plain, server_hostname="localhost")


def greet(secure: ssl.SSLSocket) -> Connack:
    """CONNECT without a password."""
    secure.sendall(write_packet(Connect(version=V311, client_id="c"), V311))
    data = secure.recv(100)
    frame = find_frame(data, 0)
    assert frame is not None
    answer = read_packet(data[0], data[frame[0] : frame[1]], V311)
    assert isinstance(answer, Connack)
    return answer


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls12", "tls13"])
@pytest.mark.parametrize("kind", CLIENTS)
def test_any_certificate_gets_through_to_the_doorkeeper(
    door: Door, tmp_path: Path, kind: str, version: ssl.TLSVersion
) -> None:
    client = CLIENTS[kind]
    device = door.add_device()
    door.keeper.fingerprints[client.fingerprint] = device
    context = client_context(tmp_path, client, version)
    context.set_alpn_protocols(["x-amzn-mqtt-ca"])

    with dial(door, context) as secure:
        assert greet(secure).reason == 0
        assert secure.selected_alpn_protocol() == "x-amzn-mqtt-ca"
        secure.sendall(write_packet(Publish(topic=device.readings.encode(), payload=b"1", qos=1, packet_id=1), V311))
        assert secure.recv(100) == b"\x40\x02\x00\x01"
    hello = door.keeper.hellos[0]
    assert (hello.certificate, hello.listener, hello.alpn) == (client.der, Listener.MQTTS, "x-amzn-mqtt-ca")


def test_a_client_without_certificate_gets_through_too(door: Door, tmp_path: Path) -> None:
    with dial(door, client_context(tmp_path, None)) as secure:
        assert greet(secure).reason == 4
    assert door.keeper.hellos[0].certificate is None
    assert door.keeper.hellos[0].alpn == ""


def test_a_stranger_s_certificate_is_the_doorkeeper_s_business(door: Door, tmp_path: Path) -> None:
    with dial(door, client_context(tmp_path, make("stranger"))) as secure:
        assert greet(secure).reason == 5


def test_a_certificate_without_its_key_does_not_get_through(door: Door, tmp_path: Path) -> None:
    known = CLIENTS["self-signed"]
    thief = make("one")
    with pytest.raises(ssl.SSLError):
        client_context(tmp_path, Certificate(known.made, thief.key))


def test_revoking_a_certificate_ends_its_sessions(door: Door, tmp_path: Path) -> None:
    client, other = CLIENTS["self-signed"], CLIENTS["RSA"]
    for each in (client, other):
        door.keeper.fingerprints[each.fingerprint] = door.add_device()
    with (
        dial(door, client_context(tmp_path, client)) as secure,
        dial(door, client_context(tmp_path, other)) as bystander,
    ):
        assert greet(secure).reason == greet(bystander).reason == 0

        assert door.call(lambda: door.gateway.kick_fingerprint(client.fingerprint)) == 1

        assert secure.recv(100) == b""  # with close_notify: an end without one would be an error
        bystander.sendall(b"\xc0\0")
        assert bystander.recv(100) == b"\xd0\0"


def test_large_messages_pass_both_ways(door: Door, tmp_path: Path) -> None:
    client, device = CLIENTS["self-signed"], door.add_device()
    door.keeper.fingerprints[client.fingerprint] = device
    payload = bytes(range(256)) * 3_000
    with dial(door, client_context(tmp_path, client)) as secure:
        assert greet(secure).reason == 0
        secure.sendall(write_packet(Subscribe(7, (Subscription(filter=device.commands),)), V311))
        assert secure.recv(100) == b"\x90\x03\x00\x07\x00"
        secure.sendall(write_packet(Publish(topic=device.readings.encode(), payload=payload), V311))
        until(lambda: door.log.of(device))
        door.call(lambda: door.gateway.deliver(device.key, device.commands, payload))
        received = b""
        while len(received) < len(payload):
            received += secure.recv(100_000)
    assert door.log.of(device)[0].payload == payload
    assert received.endswith(payload)


@pytest.mark.parametrize(
    "data", [b"\x10\x10" + bytes(40), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" + bytes(600)]
)
def test_what_is_not_tls_ends_at_once(door: Door, data: bytes) -> None:
    with socket.create_connection((door.host, door.port(Listener.MQTTS)), timeout=5) as plain:
        plain.sendall(data)
        while plain.recv(1_000):
            pass
    assert not door.keeper.hellos


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01\x02\x00"])
def test_a_handshake_that_gets_stuck_ends(door: Door, data: bytes) -> None:
    with socket.create_connection((door.host, door.port(Listener.MQTTS)), timeout=5) as plain:
        plain.sendall(data)
        assert plain.recv(1_000) == b""


def test_old_tls_is_refused(door: Door, tmp_path: Path) -> None:
    context = client_context(tmp_path, None)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        dial(door, context)


def test_no_session_is_resumed_so_that_each_connection_shows_its_certificate(door: Door, tmp_path: Path) -> None:
    context = client_context(tmp_path, CLIENTS["self-signed"], ssl.TLSVersion.TLSv1_2)
    with dial(door, context) as first:
        session = first.session
    plain = socket.create_connection((door.host, door.port(Listener.MQTTS)), timeout=5)
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as second:
        assert not second.session_reused


async def test_a_new_certificate_is_served_without_dropping_a_session(tmp_path: Path) -> None:
    chain, key = (Path(name) for name in SERVER.save(tmp_path, "server"))
    tls = TlsServer(read_identity(chain, key), alpn=MQTT_ALPN)
    renewed = make("renewed")
    with Door(tls=tls) as door:
        device = door.add_device()
        door.keeper.fingerprints[CLIENTS["RSA"].fingerprint] = device
        context = client_context(tmp_path, CLIENTS["RSA"])
        context.verify_mode = ssl.CERT_NONE
        with dial(door, context) as before:
            assert greet(before).reason == 0
            following = asyncio.create_task(follow_files(tls, chain, key, every_s=0.01))
            chain.write_bytes(b"half a certificate")
            old = tls.context
            await asyncio.sleep(0.05)
            assert tls.context is old

            key.write_bytes(renewed.key_pem)
            chain.write_bytes(renewed.pem)
            async with asyncio.timeout(5):
                while tls.context is old:
                    await asyncio.sleep(0.01)
            following.cancel()

            with dial(door, context) as after:
                assert after.getpeercert(binary_form=True) == renewed.der
            before.sendall(b"\xc0\0")
            assert before.recv(100) == b"\xd0\0"


@pytest.mark.parametrize(
    "identity",
    [Identity(b"", b""), Identity(SERVER.pem, make("other").key_pem), Identity(SERVER.pem, b"no key")],
    ids=["nothing", "another key", "no key"],
)
def test_an_identity_that_cannot_be_used_is_a_value_error(identity: Identity) -> None:
    with pytest.raises(ValueError, match=r"."):
        TlsServer(identity, alpn=MQTT_ALPN)


def test_handshakes_are_counted(tmp_path: Path) -> None:
    outcomes: list[str] = []
    tls = TlsServer(SERVER.identity, alpn=MQTT_ALPN, handshake_s=0.1, on_handshake=outcomes.append)
    with Door(tls=tls) as door:
        with dial(door, client_context(tmp_path, None)):
            until(lambda: outcomes == ["ok"])
        for data in (b"no TLS at all", b""):
            with socket.create_connection((door.host, door.port(Listener.MQTTS)), timeout=5) as plain:
                plain.sendall(data)
                while plain.recv(1_000):
                    pass
    assert outcomes == ["ok", "failed", "timeout"]
