"""Packets to bytes."""

from roadstead.gateways.mqtt.fields import write_binary, write_text, write_variable
from roadstead.gateways.mqtt.packets import (
    V5,
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
)
from roadstead.gateways.mqtt.properties import NONE, Properties, write_properties

_FIRST_BYTES: dict[type[Packet], int] = {
    Puback: 0x40,
    Pubrec: 0x50,
    Pubrel: 0x62,
    Pubcomp: 0x70,
    Disconnect: 0xE0,
    Auth: 0xF0,
}


def write_packet(packet: Packet, version: int) -> bytes:
    """The packet as `version` (4: MQTT 3.1.1, 5: MQTT 5) spells it; 3.1.1 has no properties and few reasons.

    Raises `ValueError` when a field is too long for its length.
    """
    match packet:
        case Publish():
            return _frame(_publish_flags(packet), _publish_body(packet, version))
        case Puback() | Pubrec() | Pubrel() | Pubcomp():
            body = _identifier(packet.packet_id) + _ending(packet.reason, packet.properties, version)
            return _frame(_FIRST_BYTES[type(packet)], body)
        case Connect():
            return _frame(0x10, _connect_body(packet))
        case Connack():
            body = bytes((packet.session_present, packet.reason)) + _block(packet.properties, version)
            return _frame(0x20, body)
        case Subscribe():
            filters = b"".join(write_text(each.filter) + bytes((_options(each),)) for each in packet.subscriptions)
            return _frame(0x82, _identifier(packet.packet_id) + _block(packet.properties, version) + filters)
        case Suback():
            return _frame(0x90, _identifier(packet.packet_id) + _block(packet.properties, version) + packet.codes)
        case Unsubscribe():
            filters = b"".join(map(write_text, packet.filters))
            return _frame(0xA2, _identifier(packet.packet_id) + _block(packet.properties, version) + filters)
        case Unsuback():
            codes = packet.codes if version == V5 else b""
            return _frame(0xB0, _identifier(packet.packet_id) + _block(packet.properties, version) + codes)
        case Pingreq():
            return b"\xc0\0"
        case Pingresp():
            return b"\xd0\0"
        case Disconnect() | Auth():
            return _frame(_FIRST_BYTES[type(packet)], _ending(packet.reason, packet.properties, version))


def _frame(first: int, body: bytes) -> bytes:
    return bytes((first,)) + write_variable(len(body)) + body


def _identifier(packet_id: int) -> bytes:
    return packet_id.to_bytes(2, "big")


def _block(properties: Properties, version: int) -> bytes:
    return write_properties(properties) if version == V5 else b""


def _ending(reason: int, properties: Properties, version: int) -> bytes:
    """Reason and properties at the end of a packet, as short as they may be."""
    if version < V5 or (not reason and properties is NONE):
        return b""
    return bytes((reason,)) + (b"" if properties is NONE else write_properties(properties))


def _publish_flags(packet: Publish) -> int:
    return 0x30 | packet.duplicate << 3 | packet.qos << 1 | packet.retain


def _publish_body(packet: Publish, version: int) -> bytes:
    identifier = _identifier(packet.packet_id) if packet.qos else b""
    return write_binary(packet.topic) + identifier + _block(packet.properties, version) + packet.payload


def _options(subscription: Subscription) -> int:
    return (
        subscription.qos
        | subscription.no_local << 2
        | subscription.retain_as_published << 3
        | subscription.retain_handling << 4
    )


def _connect_body(packet: Connect) -> bytes:
    will = packet.will
    flags = packet.clean_start << 1 | (packet.username is not None) << 7 | (packet.password is not None) << 6
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
    parts = [
        write_text("MQTT"),
        bytes((packet.version, flags)),
        packet.keep_alive_s.to_bytes(2, "big"),
        _block(packet.properties, packet.version),
        write_text(packet.client_id),
    ]
    if will is not None:
        parts += _block(will.properties, packet.version), write_binary(will.topic), write_binary(will.payload)
    if packet.username is not None:
        parts.append(write_text(packet.username))
    if packet.password is not None:
        parts.append(write_binary(packet.password))
    return b"".join(parts)
