"""What the two sides agree on when a session begins."""

import msgspec

from roadstead.gateways.mqtt.door import Rejection
from roadstead.gateways.mqtt.limits import Limits
from roadstead.gateways.mqtt.packets import V5, Connack, Connect
from roadstead.gateways.mqtt.properties import NONE, Properties
from roadstead.gateways.mqtt.reasons import Reason, return_code

MOST_REASON_TEXT = 200


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of one connection."""

    version: int
    client_id: str
    keep_alive_s: int
    """0: none."""
    expiry_s: int
    """How long the session is kept without connection; 0: it ends with it."""
    send_window: int
    packet_bytes: int
    """Largest packet the device takes; 0: any."""


def agree(connect: Connect, limits: Limits, *, assigned_id: str) -> Terms:
    """The terms for a device; `assigned_id` is its client id when it brought none."""
    asked = connect.properties
    if connect.version == V5:
        expiry_s = min(asked.session_expiry_s or 0, limits.session_expiry_s)
    else:
        expiry_s = 0 if connect.clean_start else limits.session_expiry_s
    return Terms(
        version=connect.version,
        client_id=connect.client_id or assigned_id,
        keep_alive_s=connect.keep_alive_s,
        expiry_s=expiry_s,
        send_window=min(asked.receive_maximum or 0xFFFF, limits.send_window),
        packet_bytes=asked.maximum_packet_size or 0,
    )


def find_objection(connect: Connect) -> Rejection | None:
    """What is wrong with a CONNECT whoever sends it."""
    if connect.properties.authentication_method is not None:
        return Rejection(Reason.BAD_AUTHENTICATION_METHOD, "extended authentication is not offered")
    if connect.will is not None and connect.will.qos > 1:
        return Rejection(Reason.QOS_NOT_SUPPORTED, "QoS 2 is not offered")
    if connect.version < V5 and not connect.client_id and not connect.clean_start:
        return Rejection(Reason.CLIENT_IDENTIFIER_NOT_VALID, "a session that is kept needs a client id")
    return None


def welcome(connect: Connect, terms: Terms, limits: Limits, *, session_present: bool) -> Connack:
    """The CONNACK of a session that begins. Only what differs from the defaults of the standard is said."""
    if connect.version < V5:
        return Connack(session_present, 0)
    asked = connect.properties
    return Connack(
        session_present,
        Reason.SUCCESS,
        Properties(
            session_expiry_s=terms.expiry_s if terms.expiry_s != (asked.session_expiry_s or 0) else None,
            receive_maximum=limits.receive_maximum,
            maximum_qos=1,
            maximum_packet_size=limits.packet_bytes,
            assigned_client_id=None if connect.client_id else terms.client_id,
            topic_alias_maximum=limits.topic_aliases or None,
            shared_subscription_available=0,
        ),
    )


def refusal(version: int, rejection: Rejection) -> Connack:
    """The CONNACK of a session that does not begin [MQTT-3.2.2-6]."""
    if version < V5:
        return Connack(False, return_code(rejection.reason))
    return Connack(False, rejection.reason, explanation(rejection.text))


def explanation(text: str) -> Properties:
    """Properties with a reason string, or none."""
    return Properties(reason_string=text[:MOST_REASON_TEXT]) if text else NONE
