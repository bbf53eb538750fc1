"""Why something was refused or ended: the reason codes of MQTT 5 (section 2.4), and what MQTT 3.1.1 says instead."""

from enum import IntEnum


class Reason(IntEnum):
    """A reason code of MQTT 5; from 0x80 up it is a failure."""

    SUCCESS = 0x00
    DISCONNECT_WITH_WILL = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    CONTINUE_AUTHENTICATION = 0x18
    REAUTHENTICATE = 0x19
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_IN_USE = 0x91
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2

    @property
    def label(self) -> str:
        """The name in small letters, for metrics and for people."""
        return self.name.lower().replace("_", " ")


SUBSCRIPTION_REFUSED = 0x80
"""What a SUBACK of MQTT 3.1.1 says to a filter that was not granted."""

_RETURN_CODES = {
    Reason.SUCCESS: 0,
    Reason.UNSUPPORTED_PROTOCOL_VERSION: 1,
    Reason.CLIENT_IDENTIFIER_NOT_VALID: 2,
    Reason.BAD_USER_NAME_OR_PASSWORD: 4,
    Reason.BAD_AUTHENTICATION_METHOD: 4,
    Reason.NOT_AUTHORIZED: 5,
    Reason.BANNED: 5,
    Reason.TOPIC_NAME_INVALID: 5,
    Reason.QOS_NOT_SUPPORTED: 5,
}
_SERVER_UNAVAILABLE = 3


def return_code(reason: Reason) -> int:
    """The CONNACK return code of MQTT 3.1.1 (table 3.1) that comes nearest."""
    return _RETURN_CODES.get(reason, _SERVER_UNAVAILABLE)


class MalformedPacket(Exception):
    """The peer broke the protocol; the connection ends with this reason."""

    def __init__(self, text: str, reason: Reason = Reason.MALFORMED_PACKET) -> None:
        super().__init__(text)
        self.reason = reason


def protocol_error(text: str) -> MalformedPacket:
    """A packet that can be read and must not come, or not with these values."""
    return MalformedPacket(text, Reason.PROTOCOL_ERROR)
