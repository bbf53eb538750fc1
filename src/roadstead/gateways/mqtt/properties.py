"""Properties of MQTT 5 packets (section 2.2.2): one struct, read and written by one table."""

from typing import Any

import msgspec

from roadstead.gateways.mqtt.fields import Cursor, write_binary, write_text, write_variable
from roadstead.gateways.mqtt.reasons import MalformedPacket, Reason, protocol_error


class Properties(msgspec.Struct, frozen=True, kw_only=True):
    """What a packet carries beside its fixed fields; None is absent. Names and meanings are those of the standard."""

    payload_format: int | None = None
    message_expiry_s: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_ids: tuple[int, ...] = ()
    session_expiry_s: int | None = None
    assigned_client_id: str | None = None
    server_keep_alive_s: int | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem_information: int | None = None
    will_delay_s: int | None = None
    request_response_information: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    user: tuple[tuple[str, str], ...] = ()
    maximum_packet_size: int | None = None
    wildcard_subscription_available: int | None = None
    subscription_ids_available: int | None = None
    shared_subscription_available: int | None = None


NONE = Properties()

_TABLE: dict[int, tuple[str, str]] = {
    0x01: ("payload_format", "bit"),
    0x02: ("message_expiry_s", "four"),
    0x03: ("content_type", "text"),
    0x08: ("response_topic", "text"),
    0x09: ("correlation_data", "binary"),
    0x0B: ("subscription_ids", "variable"),
    0x11: ("session_expiry_s", "four"),
    0x12: ("assigned_client_id", "text"),
    0x13: ("server_keep_alive_s", "two"),
    0x15: ("authentication_method", "text"),
    0x16: ("authentication_data", "binary"),
    0x17: ("request_problem_information", "bit"),
    0x18: ("will_delay_s", "four"),
    0x19: ("request_response_information", "bit"),
    0x1A: ("response_information", "text"),
    0x1C: ("server_reference", "text"),
    0x1F: ("reason_string", "text"),
    0x21: ("receive_maximum", "two"),
    0x22: ("topic_alias_maximum", "two"),
    0x23: ("topic_alias", "two"),
    0x24: ("maximum_qos", "bit"),
    0x25: ("retain_available", "bit"),
    0x26: ("user", "pair"),
    0x27: ("maximum_packet_size", "four"),
    0x28: ("wildcard_subscription_available", "bit"),
    0x29: ("subscription_ids_available", "bit"),
    0x2A: ("shared_subscription_available", "bit"),
}
_IDENTIFIERS = {name: identifier for identifier, (name, _) in _TABLE.items()}
_NEVER_ZERO = {"receive_maximum", "maximum_packet_size", "subscription_ids", "topic_alias"}
_MANY = {"subscription_ids", "user"}

CONNECT = frozenset(
    {0x11, 0x21, 0x27, 0x22, 0x19, 0x17, 0x26, 0x15, 0x16},
)
WILL = frozenset({0x18, 0x01, 0x02, 0x03, 0x08, 0x09, 0x26})
CONNACK = frozenset(
    {0x11, 0x21, 0x24, 0x25, 0x27, 0x12, 0x22, 0x1F, 0x26, 0x28, 0x29, 0x2A, 0x13, 0x1A, 0x1C, 0x15, 0x16},
)
PUBLISH = frozenset({0x01, 0x02, 0x23, 0x08, 0x09, 0x26, 0x0B, 0x03})
ACKNOWLEDGEMENT = frozenset({0x1F, 0x26})
SUBSCRIBE = frozenset({0x0B, 0x26})
UNSUBSCRIBE = frozenset({0x26})
DISCONNECT = frozenset({0x11, 0x1F, 0x26, 0x1C})
AUTH = frozenset({0x15, 0x16, 0x1F, 0x26})


def read_properties(cursor: Cursor, allowed: frozenset[int]) -> Properties:
    """The properties block at the cursor; `allowed` are the identifiers that this kind of packet may carry."""
    size = cursor.variable()
    if not size:
        return NONE
    block = Cursor(cursor.take(size))
    found: dict[str, Any] = {}
    while not block.is_done:
        identifier = block.one()
        if identifier not in allowed:
            raise MalformedPacket(f"property 0x{identifier:02x} does not belong into this packet")
        name, kind = _TABLE[identifier]
        value = getattr(block, kind)()
        if not value and name in _NEVER_ZERO:
            reason = Reason.TOPIC_ALIAS_INVALID if name == "topic_alias" else Reason.PROTOCOL_ERROR
            raise MalformedPacket(f"{name} must not be 0", reason)
        if name in _MANY:
            found[name] = (*found.get(name, ()), value)
        elif name in found:
            raise protocol_error(f"{name} is there twice")
        else:
            found[name] = value
    return Properties(**found)


def _write_one(kind: str, value: Any) -> bytes:
    match kind:
        case "bit":
            return bytes((value,))
        case "two":
            return int(value).to_bytes(2, "big")
        case "four":
            return int(value).to_bytes(4, "big")
        case "variable":
            return write_variable(value)
        case "binary":
            return write_binary(value)
        case "pair":
            return write_text(value[0]) + write_text(value[1])
    return write_text(value)


def write_properties(properties: Properties) -> bytes:
    """The properties block, its length in front."""
    if properties is NONE:
        return b"\0"
    parts = bytearray()
    for name in properties.__struct_fields__:
        value = getattr(properties, name)
        if value is None:
            continue
        identifier = _IDENTIFIERS[name]
        for each in value if name in _MANY else (value,):
            parts.append(identifier)
            parts += _write_one(_TABLE[identifier][1], each)
    return write_variable(len(parts)) + bytes(parts)
