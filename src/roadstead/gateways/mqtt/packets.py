"""The packets of MQTT 3.1.1 and 5.0 as structs. `reader.py` takes them apart, `writer.py` puts them together."""

import msgspec

from roadstead.gateways.mqtt.properties import NONE, Properties
from roadstead.gateways.mqtt.reasons import Reason

V311 = 4
V5 = 5


class Will(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be published when the connection ends without a DISCONNECT."""

    topic: bytes
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = NONE


class Connect(msgspec.Struct, frozen=True, kw_only=True):
    """The first packet of a connection. `clean_start` is the clean session flag of MQTT 3.1.1."""

    version: int
    client_id: str
    clean_start: bool = True
    keep_alive_s: int = 0
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties = NONE


class Connack(msgspec.Struct, frozen=True):
    """The answer to it. `reason` is a return code in MQTT 3.1.1."""

    session_present: bool
    reason: int
    properties: Properties = NONE


class Publish(msgspec.Struct, frozen=True, kw_only=True):
    """A message. `packet_id` is 0 with QoS 0 only; `topic` is UTF-8 without wildcards, empty only with an alias."""

    topic: bytes
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    retain: bool = False
    duplicate: bool = False
    properties: Properties = NONE


class Puback(msgspec.Struct, frozen=True):
    """QoS 1 is done."""

    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: Properties = NONE


class Pubrec(msgspec.Struct, frozen=True):
    """QoS 2, second step."""

    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: Properties = NONE


class Pubrel(msgspec.Struct, frozen=True):
    """QoS 2, third step."""

    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: Properties = NONE


class Pubcomp(msgspec.Struct, frozen=True):
    """QoS 2 is done."""

    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: Properties = NONE


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """One filter of a SUBSCRIBE with its options; those besides `qos` are MQTT 5."""

    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


class Subscribe(msgspec.Struct, frozen=True):
    """What a device wants to hear."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = NONE


class Suback(msgspec.Struct, frozen=True):
    """One byte for each filter: the QoS granted or why not."""

    packet_id: int
    codes: bytes
    properties: Properties = NONE


class Unsubscribe(msgspec.Struct, frozen=True):
    """What a device no longer wants to hear."""

    packet_id: int
    filters: tuple[str, ...]
    properties: Properties = NONE


class Unsuback(msgspec.Struct, frozen=True):
    """One byte for each filter in MQTT 5, none in 3.1.1."""

    packet_id: int
    codes: bytes = b""
    properties: Properties = NONE


class Pingreq(msgspec.Struct, frozen=True):
    """Are you there?"""


class Pingresp(msgspec.Struct, frozen=True):
    """I am."""


class Disconnect(msgspec.Struct, frozen=True):
    """The last packet of a connection; only the device sends it in MQTT 3.1.1."""

    reason: Reason = Reason.SUCCESS
    properties: Properties = NONE


class Auth(msgspec.Struct, frozen=True):
    """A step of extended authentication (MQTT 5)."""

    reason: Reason = Reason.SUCCESS
    properties: Properties = NONE


Packet = (
    Connect
    | Connack
    | Publish
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
    | Auth
)
