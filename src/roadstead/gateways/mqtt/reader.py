"""Bytes to packets, strictly: what the standard forbids raises `MalformedPacket` with the reason to answer with."""

from collections.abc import Callable

from roadstead.gateways.mqtt import properties as allowed
from roadstead.gateways.mqtt.fields import Cursor
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
from roadstead.gateways.mqtt.properties import NONE, Properties, read_properties
from roadstead.gateways.mqtt.reasons import MalformedPacket, Reason, protocol_error
from roadstead.gateways.mqtt.topics import check_filter, check_topic

Frame = tuple[int, int]
"""Where the body of a packet begins and where it ends."""


def find_frame(data: bytes, at: int) -> Frame | None:
    """The body of the packet that begins at `at`, also when it is not all there yet; None when its length is not.

    Raises `MalformedPacket` when the length takes more than four bytes or more than it needs [MQTT-1.5.5-1].
    """
    length = 0
    for index in range(4):
        start = at + index + 2
        if start > len(data):
            return None
        byte = data[start - 1]
        length |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if index and not byte:
                raise MalformedPacket("the remaining length is longer than needed")
            return start, start + length
    raise MalformedPacket("the remaining length takes more than four bytes")


def read_packet(first: int, body: bytes, version: int) -> Packet:
    """The packet with this first byte, as `version` (4: MQTT 3.1.1, 5: MQTT 5) spells it; a CONNECT says its own.

    Raises `MalformedPacket`.
    """
    kind, flags = first >> 4, first & 0x0F
    cursor = Cursor(body)
    if kind == 3:
        return _read_publish(flags, cursor, version)
    expected, read = _READERS.get(kind, (0, None))
    if read is None or (kind == 15 and version < V5):
        raise MalformedPacket(f"there is no packet of type {kind}")
    if flags != expected:
        raise MalformedPacket("reserved flags of the fixed header are set")  # [MQTT-2.1.3-1]
    packet = read(cursor, version)
    if not cursor.is_done:
        raise MalformedPacket("a packet is longer than its fields")
    return packet


def read_version(body: bytes) -> tuple[str, int]:
    """Protocol name and level of a CONNECT."""
    cursor = Cursor(body)
    return cursor.text(), cursor.one()


def _read_connect(cursor: Cursor, _: int) -> Packet:
    name, version = cursor.text(), cursor.one()
    if name != "MQTT" or version not in (V311, V5):
        raise MalformedPacket(f"protocol {name!r} {version} is not spoken here", Reason.UNSUPPORTED_PROTOCOL_VERSION)
    flags = cursor.one()
    has_will, has_password, has_username = flags & 0x04, flags & 0x40, flags & 0x80
    if flags & 0x01:
        raise MalformedPacket("the reserved connect flag is set")  # [MQTT-3.1.2-3]
    if not has_will and flags & 0x38:
        raise MalformedPacket("there are will flags without a will")  # [MQTT-3.1.2-11] [MQTT-3.1.2-13]
    if flags & 0x18 == 0x18:
        raise MalformedPacket("the will has QoS 3")  # [MQTT-3.1.2-12]
    if version == V311 and has_password and not has_username:
        raise MalformedPacket("there is a password without a user name")  # 3.1.1: [MQTT-3.1.2-22]
    keep_alive_s = cursor.two()
    properties = read_properties(cursor, allowed.CONNECT) if version == V5 else NONE
    if properties.authentication_data is not None and properties.authentication_method is None:
        raise protocol_error("there is authentication data without a method")
    client_id = cursor.text()
    will = _read_will(cursor, version, flags) if has_will else None
    return Connect(
        version=version,
        client_id=client_id,
        clean_start=bool(flags & 0x02),
        keep_alive_s=keep_alive_s,
        username=cursor.text() if has_username else None,
        password=cursor.binary() if has_password else None,
        will=will,
        properties=properties,
    )


def _read_will(cursor: Cursor, version: int, flags: int) -> Will:
    properties = read_properties(cursor, allowed.WILL) if version == V5 else NONE
    topic = cursor.binary()
    check_topic(topic)
    return Will(
        topic=topic,
        payload=cursor.binary(),
        qos=flags >> 3 & 3,
        retain=bool(flags & 0x20),
        properties=properties,
    )


def _read_connack(cursor: Cursor, version: int) -> Packet:
    flags = cursor.one()
    if flags > 1:
        raise MalformedPacket("reserved connect acknowledge flags are set")  # [MQTT-3.2.2-1]
    code = cursor.one()
    if version < V5:
        return Connack(bool(flags), code)
    return Connack(bool(flags), _reason(code), read_properties(cursor, allowed.CONNACK))


def _read_publish(flags: int, cursor: Cursor, version: int) -> Publish:
    qos, duplicate = flags >> 1 & 3, bool(flags & 0x08)
    if qos == 3:
        raise MalformedPacket("a message has QoS 3")  # [MQTT-3.3.1-4]
    if duplicate and not qos:
        raise MalformedPacket("a QoS 0 message says that it is a repetition")  # [MQTT-3.3.1-2]
    topic = cursor.binary()
    packet_id = _packet_id(cursor) if qos else 0
    properties = read_properties(cursor, allowed.PUBLISH) if version == V5 else NONE
    if topic:
        check_topic(topic)
    elif properties.topic_alias is None:
        raise protocol_error("a message has neither topic nor alias")
    if properties.response_topic is not None:
        check_topic(properties.response_topic.encode())  # [MQTT-3.3.2-14]
    return Publish(
        topic=topic,
        payload=cursor.rest(),
        qos=qos,
        packet_id=packet_id,
        retain=bool(flags & 0x01),
        duplicate=duplicate,
        properties=properties,
    )


def _read_acknowledgement(
    struct: type[Puback | Pubrec | Pubrel | Pubcomp],
) -> Callable[[Cursor, int], Packet]:
    def read(cursor: Cursor, version: int) -> Packet:
        packet_id = _packet_id(cursor)
        if version < V5 or cursor.is_done:
            return struct(packet_id)
        return struct(packet_id, _reason(cursor.one()), _last_properties(cursor, allowed.ACKNOWLEDGEMENT))

    return read


def _read_subscribe(cursor: Cursor, version: int) -> Packet:
    packet_id = _packet_id(cursor)
    properties = read_properties(cursor, allowed.SUBSCRIBE) if version == V5 else NONE
    if len(properties.subscription_ids) > 1:
        raise protocol_error("a SUBSCRIBE has two subscription identifiers")
    subscriptions = []
    while not cursor.is_done:
        filter_ = cursor.text()
        check_filter(filter_)
        options = cursor.one()
        if options & (0xC0 if version == V5 else 0xFC):
            raise MalformedPacket("reserved subscription options are set")  # [MQTT-3.8.3-5]
        if options & 3 == 3:
            raise MalformedPacket("a subscription asks for QoS 3")
        if options & 0x30 == 0x30:
            raise protocol_error("a subscription has retain handling 3")
        if options & 0x04 and filter_.startswith("$share/"):
            raise protocol_error("a shared subscription has no local")  # [MQTT-3.8.3-4]
        subscriptions.append(
            Subscription(
                filter=filter_,
                qos=options & 3,
                no_local=bool(options & 0x04),
                retain_as_published=bool(options & 0x08),
                retain_handling=options >> 4,
            )
        )
    if not subscriptions:
        raise protocol_error("a SUBSCRIBE has no filter")  # [MQTT-3.8.3-2]
    return Subscribe(packet_id, tuple(subscriptions), properties)


def _read_suback(cursor: Cursor, version: int) -> Packet:
    packet_id = _packet_id(cursor)
    properties = read_properties(cursor, allowed.ACKNOWLEDGEMENT) if version == V5 else NONE
    return Suback(packet_id, cursor.rest(), properties)


def _read_unsubscribe(cursor: Cursor, version: int) -> Packet:
    packet_id = _packet_id(cursor)
    properties = read_properties(cursor, allowed.UNSUBSCRIBE) if version == V5 else NONE
    filters = []
    while not cursor.is_done:
        filter_ = cursor.text()
        check_filter(filter_)
        filters.append(filter_)
    if not filters:
        raise protocol_error("an UNSUBSCRIBE has no filter")  # [MQTT-3.10.3-2]
    return Unsubscribe(packet_id, tuple(filters), properties)


def _read_unsuback(cursor: Cursor, version: int) -> Packet:
    packet_id = _packet_id(cursor)
    if version < V5:
        return Unsuback(packet_id)
    properties = read_properties(cursor, allowed.ACKNOWLEDGEMENT)
    return Unsuback(packet_id, cursor.rest(), properties)


def _read_pingreq(_: Cursor, __: int) -> Packet:
    return Pingreq()


def _read_pingresp(_: Cursor, __: int) -> Packet:
    return Pingresp()


def _read_disconnect(cursor: Cursor, version: int) -> Packet:
    if version < V5 or cursor.is_done:
        return Disconnect()
    return Disconnect(_reason(cursor.one()), _last_properties(cursor, allowed.DISCONNECT))


def _read_auth(cursor: Cursor, _: int) -> Packet:
    if cursor.is_done:
        return Auth()
    return Auth(_reason(cursor.one()), _last_properties(cursor, allowed.AUTH))


def _packet_id(cursor: Cursor) -> int:
    packet_id = cursor.two()
    if not packet_id:
        raise protocol_error("a packet identifier is 0")  # [MQTT-2.2.1-3]
    return packet_id


def _reason(code: int) -> Reason:
    try:
        return Reason(code)
    except ValueError as error:
        raise MalformedPacket(f"there is no reason code 0x{code:02x}") from error


def _last_properties(cursor: Cursor, identifiers: frozenset[int]) -> Properties:
    """Properties that may be left out when they are the end of the packet."""
    return NONE if cursor.is_done else read_properties(cursor, identifiers)


_READERS: dict[int, tuple[int, Callable[[Cursor, int], Packet]]] = {
    1: (0, _read_connect),
    2: (0, _read_connack),
    4: (0, _read_acknowledgement(Puback)),
    5: (0, _read_acknowledgement(Pubrec)),
    6: (2, _read_acknowledgement(Pubrel)),
    7: (0, _read_acknowledgement(Pubcomp)),
    8: (2, _read_subscribe),
    9: (0, _read_suback),
    10: (2, _read_unsubscribe),
    11: (0, _read_unsuback),
    12: (0, _read_pingreq),
    13: (0, _read_pingresp),
    14: (0, _read_disconnect),
    15: (0, _read_auth),
}
"""By packet type: the flags that its fixed header must have, and who reads the rest."""
