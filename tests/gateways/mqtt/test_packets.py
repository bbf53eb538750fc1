"""The codec: what goes in comes out, and what the standard forbids is refused with its reason."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.gateways.mqtt.fields import Cursor, write_variable
from roadstead.gateways.mqtt.packets import (
    V5,
    V311,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from roadstead.gateways.mqtt.properties import NONE, Properties
from roadstead.gateways.mqtt.reader import find_frame, read_packet
from roadstead.gateways.mqtt.reasons import MalformedPacket, Reason
from roadstead.gateways.mqtt.writer import write_packet

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
words = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1, max_size=30)
topics = words.map(str.encode)
filters = words | words.map(lambda word: f"{word}/+/x/#") | st.sampled_from(["#", "+", "+/+", "/"])
blobs = st.binary(max_size=300)
identifiers = st.integers(1, 0xFFFF)
pairs = st.lists(st.tuples(texts, texts), max_size=3).map(tuple)
bits, twos, fours = st.integers(0, 1), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
positive = st.integers(1, 0xFFFF)


def properties(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Properties]:
    """Some of these, or none at all."""
    optional = {name: st.none() | strategy for name, strategy in fields.items()}
    some = st.builds(Properties, user=pairs, **optional)
    return some.map(lambda made: NONE if made == NONE else made)


PUBLISH_PROPERTIES = properties(
    payload_format=bits, message_expiry_s=fours, content_type=texts, response_topic=words, correlation_data=blobs,
    topic_alias=positive,
)  # fmt: skip
WILL_PROPERTIES = properties(
    payload_format=bits, message_expiry_s=fours, content_type=texts, response_topic=texts, correlation_data=blobs,
    will_delay_s=fours,
)  # fmt: skip
CONNECT_PROPERTIES = properties(
    session_expiry_s=fours, receive_maximum=positive, maximum_packet_size=st.integers(1, 0xFFFFFFFF),
    topic_alias_maximum=twos, request_response_information=bits, request_problem_information=bits,
    authentication_method=texts,
)  # fmt: skip
CONNACK_PROPERTIES = properties(
    session_expiry_s=fours, receive_maximum=positive, maximum_qos=bits, retain_available=bits,
    maximum_packet_size=st.integers(1, 0xFFFFFFFF), assigned_client_id=texts, topic_alias_maximum=twos,
    reason_string=texts, wildcard_subscription_available=bits, subscription_ids_available=bits,
    shared_subscription_available=bits, server_keep_alive_s=twos, response_information=texts, server_reference=texts,
    authentication_method=texts, authentication_data=blobs,
)  # fmt: skip
REASON_PROPERTIES = properties(reason_string=texts)
DISCONNECT_PROPERTIES = properties(session_expiry_s=fours, reason_string=texts, server_reference=texts)
AUTH_PROPERTIES = properties(authentication_method=texts, authentication_data=blobs, reason_string=texts)
reasons = st.sampled_from(Reason)


@st.composite
def publishes(draw: st.DrawFn, version: int) -> Publish:
    """Messages."""
    qos = draw(st.integers(0, 2))
    return Publish(
        topic=draw(topics),
        payload=draw(blobs),
        qos=qos,
        packet_id=draw(identifiers) if qos else 0,
        retain=draw(st.booleans()),
        duplicate=bool(qos) and draw(st.booleans()),
        properties=draw(PUBLISH_PROPERTIES) if version == V5 else NONE,
    )


@st.composite
def connects(draw: st.DrawFn, version: int) -> Connect:
    """First packets."""
    username = draw(st.none() | texts)
    wills = st.builds(
        Will,
        topic=topics,
        payload=blobs,
        qos=st.integers(0, 2),
        retain=st.booleans(),
        properties=WILL_PROPERTIES if version == V5 else st.just(NONE),
    )
    return Connect(
        version=version,
        client_id=draw(texts),
        clean_start=draw(st.booleans()),
        keep_alive_s=draw(twos),
        username=username,
        password=draw(blobs) if username is not None and draw(st.booleans()) else None,
        will=draw(st.none() | wills),
        properties=draw(CONNECT_PROPERTIES) if version == V5 else NONE,
    )


def packets(version: int) -> st.SearchStrategy[Packet]:
    """Every packet of a version."""
    is_v5 = version == V5
    nothing = st.just(NONE)
    code = reasons if is_v5 else st.just(Reason.SUCCESS)
    explained = REASON_PROPERTIES if is_v5 else nothing
    subscriptions = st.builds(
        Subscription,
        filter=filters,
        qos=st.integers(0, 2),
        no_local=st.booleans() if is_v5 else st.just(False),
        retain_as_published=st.booleans() if is_v5 else st.just(False),
        retain_handling=st.integers(0, 2) if is_v5 else st.just(0),
    )
    several = st.lists(subscriptions, min_size=1, max_size=4).map(tuple)
    with_id = st.builds(Properties, subscription_ids=st.tuples(st.integers(1, 268_435_455)))
    acknowledgements: list[st.SearchStrategy[Packet]] = [
        st.builds(struct, identifiers, code, explained) for struct in (Puback, Pubrec, Pubrel, Pubcomp)
    ]
    choices: list[st.SearchStrategy[Packet]] = [
        connects(version),
        st.builds(Connack, st.booleans(), reasons, CONNACK_PROPERTIES)
        if is_v5
        else st.builds(Connack, st.booleans(), st.integers(0, 5)),
        publishes(version),
        *acknowledgements,
        st.builds(Subscribe, identifiers, several, with_id | nothing if is_v5 else nothing),
        st.builds(Suback, identifiers, blobs, explained),
        st.builds(Unsubscribe, identifiers, st.lists(filters, min_size=1, max_size=4).map(tuple)),
        st.builds(Unsuback, identifiers, blobs, explained) if is_v5 else st.builds(Unsuback, identifiers),
        st.just(Pingreq()),
        st.just(Pingresp()),
        st.builds(Disconnect, code, DISCONNECT_PROPERTIES if is_v5 else nothing),
    ]
    if is_v5:
        choices.append(st.builds(Auth, reasons, AUTH_PROPERTIES))
    return st.one_of(choices)


def read(data: bytes, version: int) -> Packet:
    """The one packet that these bytes are."""
    frame = find_frame(data, 0)
    assert frame is not None
    assert frame[1] == len(data)
    return read_packet(data[0], data[frame[0] :], version)


@settings(max_examples=300)
@given(packets(V311))
def test_every_packet_of_mqtt_311_comes_back_as_it_went_out(packet: Packet) -> None:
    assert read(write_packet(packet, V311), V311) == packet


@settings(max_examples=500)
@given(packets(V5))
def test_every_packet_of_mqtt_5_comes_back_as_it_went_out(packet: Packet) -> None:
    assert read(write_packet(packet, V5), V5) == packet


@given(st.integers(0, 268_435_455))
def test_a_variable_length_has_one_to_four_bytes(value: int) -> None:
    """[MQTT-1.5.5-1]."""
    raw = write_variable(value)
    assert 1 <= len(raw) <= 4
    assert Cursor(raw).variable() == value


@settings(max_examples=200)
@given(packets(V5), st.integers(0, 400))
def test_a_packet_that_is_cut_short_is_incomplete_or_malformed(packet: Packet, cut: int) -> None:
    data = write_packet(packet, V5)
    frame = find_frame(data[: min(cut, len(data) - 1)], 0)
    assert frame is None or frame[1] == len(data)
    start = 1 + len(write_variable(len(data) - 2 if len(data) < 130 else 0)) if frame is None else frame[0]
    for version in (V311, V5):
        try:
            read_packet(data[0], data[start : start + cut], version)
        except MalformedPacket as error:
            assert error.reason >= Reason.UNSPECIFIED_ERROR


def text(value: bytes) -> bytes:
    """A string with its length."""
    return len(value).to_bytes(2, "big") + value


def packet(first: int, body: bytes) -> bytes:
    """A frame around a body."""
    return bytes((first,)) + write_variable(len(body)) + body


def hello(
    *, flags: int = 2, properties: bytes = b"\0", client: bytes = b"c", rest: bytes = b"", level: int = 5
) -> bytes:
    """A CONNECT, byte by byte."""
    block = properties if level == 5 else b""
    return packet(0x10, text(b"MQTT") + bytes((level, flags)) + b"\0\x0a" + block + text(client) + rest)


MALFORMED, PROTOCOL = Reason.MALFORMED_PACKET, Reason.PROTOCOL_ERROR
FORBIDDEN: dict[str, tuple[bytes, Reason]] = {
    "[MQTT-3.1.2-1] protocol name": (packet(0x10, text(b"MQIsdp") + b"\3\2\0\0"), Reason.UNSUPPORTED_PROTOCOL_VERSION),
    "[MQTT-3.1.2-2] protocol level": (packet(0x10, text(b"MQTT") + b"\6\2\0\0"), Reason.UNSUPPORTED_PROTOCOL_VERSION),
    "[MQTT-3.1.2-3] reserved connect flag": (hello(flags=3), MALFORMED),
    "[MQTT-3.1.2-11] will QoS without will": (hello(flags=2 | 8), MALFORMED),
    "[MQTT-3.1.2-12] will QoS 3": (hello(flags=2 | 4 | 24, rest=b"\0" + text(b"t") + text(b"")), MALFORMED),
    "[MQTT-3.1.2-13] will retain without will": (hello(flags=2 | 32), MALFORMED),
    "3.1.1 [MQTT-3.1.2-22] password without user": (hello(flags=2 | 64, rest=text(b"p"), level=4), MALFORMED),
    "bytes behind a CONNECT": (hello(rest=b"zz"), MALFORMED),
    "[MQTT-1.5.4-1] not UTF-8": (hello(client=b"\xff\xfe"), MALFORMED),
    "[MQTT-1.5.4-1] a surrogate": (hello(client=b"\xed\xa0\x80"), MALFORMED),
    "[MQTT-1.5.4-2] U+0000": (hello(client=b"a\0b"), MALFORMED),
    "a property twice": (hello(properties=b"\x0a\x11\0\0\0\1\x11\0\0\0\1"), PROTOCOL),
    "receive maximum 0": (hello(properties=b"\x03\x21\0\0"), PROTOCOL),
    "maximum packet size 0": (hello(properties=b"\x05\x27\0\0\0\0"), PROTOCOL),
    "a property of another packet": (hello(properties=b"\x03\x23\0\1"), MALFORMED),
    "an unknown property": (hello(properties=b"\x02\x7f\0"), MALFORMED),
    "request problem information 2": (hello(properties=b"\x02\x17\2"), PROTOCOL),
    "authentication data without method": (hello(properties=b"\x04\x16\0\1a"), PROTOCOL),
    "properties longer than the packet": (hello(properties=b"\x7f"), MALFORMED),
    "[MQTT-1.5.5-1] properties with a long length": (hello(properties=b"\x80\0"), MALFORMED),
    "will topic with a wildcard": (
        hello(flags=2 | 4, rest=b"\0" + text(b"t/#") + text(b"")),
        Reason.TOPIC_NAME_INVALID,
    ),
    "[MQTT-2.2.1-3] packet identifier 0": (packet(0x32, text(b"t") + b"\0\0\0x"), PROTOCOL),
    "[MQTT-3.3.1-4] QoS 3": (packet(0x36, text(b"t") + b"\0\1\0x"), MALFORMED),
    "[MQTT-3.3.1-2] DUP with QoS 0": (packet(0x38, text(b"t") + b"\0x"), MALFORMED),
    "[MQTT-3.3.2-2] wildcard in a topic": (packet(0x30, text(b"t/+") + b"\0x"), Reason.TOPIC_NAME_INVALID),
    "no topic and no alias": (packet(0x30, text(b"") + b"\0x"), PROTOCOL),
    "[MQTT-3.3.2-8] topic alias 0": (packet(0x30, text(b"t") + b"\3\x23\0\0x"), Reason.TOPIC_ALIAS_INVALID),
    "[MQTT-3.3.2-14] response topic": (packet(0x30, text(b"t") + b"\4\x08\0\1#x"), Reason.TOPIC_NAME_INVALID),
    "a topic longer than its packet": (packet(0x30, b"\0\x09t"), MALFORMED),
    "[MQTT-3.8.1-1] flags of SUBSCRIBE": (packet(0x80, b"\0\1\0" + text(b"t") + b"\1"), MALFORMED),
    "[MQTT-3.8.3-2] no filter": (packet(0x82, b"\0\1\0"), PROTOCOL),
    "[MQTT-3.8.3-4] shared and no local": (packet(0x82, b"\0\1\0" + text(b"$share/g/t") + b"\5"), PROTOCOL),
    "[MQTT-3.8.3-5] reserved options": (packet(0x82, b"\0\1\0" + text(b"t") + b"\x41"), MALFORMED),
    "subscription QoS 3": (packet(0x82, b"\0\1\0" + text(b"t") + b"\3"), MALFORMED),
    "retain handling 3": (packet(0x82, b"\0\1\0" + text(b"t") + b"\x31"), PROTOCOL),
    "[MQTT-4.7.1-1] # within a filter": (
        packet(0x82, b"\0\1\0" + text(b"t/#/x") + b"\1"),
        Reason.TOPIC_FILTER_INVALID,
    ),
    "[MQTT-4.7.1-2] + within a level": (packet(0x82, b"\0\1\0" + text(b"t+/x") + b"\1"), Reason.TOPIC_FILTER_INVALID),
    "[MQTT-4.7.3-1] an empty filter": (packet(0x82, b"\0\1\0" + text(b"") + b"\1"), Reason.TOPIC_FILTER_INVALID),
    "subscription identifier 0": (packet(0x82, b"\0\1\2\x0b\0" + text(b"t") + b"\1"), PROTOCOL),
    "[MQTT-3.10.3-2] UNSUBSCRIBE without filter": (packet(0xA2, b"\0\1\0"), PROTOCOL),
    "[MQTT-3.10.1-1] flags of UNSUBSCRIBE": (packet(0xA0, b"\0\1\0" + text(b"t")), MALFORMED),
    "an unknown reason": (packet(0x40, b"\0\1\x77"), MALFORMED),
    "bytes behind a PUBACK": (packet(0x40, b"\0\1\0\0z"), MALFORMED),
    "[MQTT-2.1.3-1] flags of PUBACK": (packet(0x42, b"\0\1"), MALFORMED),
    "[MQTT-3.6.1-1] flags of PUBREL": (packet(0x60, b"\0\1"), MALFORMED),
    "a PINGREQ with a body": (packet(0xC0, b"a"), MALFORMED),
    "[MQTT-3.14.1-1] flags of DISCONNECT": (packet(0xE1, b""), MALFORMED),
    "[MQTT-3.2.2-1] flags of CONNACK": (packet(0x20, b"\2\0\0"), MALFORMED),
    "packet type 0": (packet(0x00, b""), MALFORMED),
}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_what_the_standard_forbids_is_refused_with_its_reason(case: str) -> None:
    data, reason = FORBIDDEN[case]
    with pytest.raises(MalformedPacket) as caught:
        read(data, V311 if case.startswith("3.1.1") else V5)
    assert caught.value.reason is reason


@pytest.mark.parametrize("data", [b"\x30\xff\xff\xff\xff\x01", b"\x30\x80\x00", b"\x30\xff\xff\xff\x80"])
def test_a_remaining_length_is_short_and_has_at_most_four_bytes(data: bytes) -> None:
    """[MQTT-1.5.5-1]."""
    with pytest.raises(MalformedPacket):
        find_frame(data, 0)


def test_auth_does_not_exist_in_mqtt_311() -> None:
    with pytest.raises(MalformedPacket):
        read(b"\xf0\0", V311)


def test_random_bytes_raise_nothing_but_malformed_packet() -> None:
    """A byte-level fuzz: noise, and real packets with bytes changed, cut out and doubled."""
    dice = random.Random(20)
    seeds = [data for data, _ in FORBIDDEN.values()] + [hello(), hello(level=4)]
    seeds += [write_packet(Publish(topic=b"a/b", payload=b"{}", qos=1, packet_id=7), V5), b"\xe0\0"]
    for turn in range(60_000):
        if turn % 3:
            data = bytearray(dice.choice(seeds))
            for _ in range(dice.randint(1, 4)):
                at = dice.randrange(len(data))
                match dice.randrange(3):
                    case 0:
                        data[at] = dice.randrange(256)
                    case 1 if len(data) > 2:
                        del data[at]
                    case _:
                        data[at:at] = data[: dice.randrange(8)]
        else:
            data = bytearray(dice.randbytes(dice.randint(2, 40)))
        try:
            frame = find_frame(bytes(data), 0)
            start = frame[0] if frame else 2
            read_packet(data[0], bytes(data[start:]), dice.choice((V311, V5)))
        except MalformedPacket:
            continue
