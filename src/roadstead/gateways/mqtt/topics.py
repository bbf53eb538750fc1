"""Topics and filters (section 4.7)."""

from roadstead.gateways.mqtt.fields import read_text
from roadstead.gateways.mqtt.reasons import MalformedPacket, Reason
from roadstead.kernel.topics import find_fault, has_wildcards


def check_topic(topic: bytes) -> None:
    """`MalformedPacket` unless messages can be published to it [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-4.7.3-1]."""
    text = read_text(topic)
    if not text or has_wildcards(text):
        raise MalformedPacket("a topic is empty or has wildcards", Reason.TOPIC_NAME_INVALID)


def check_filter(text: str) -> None:
    """`MalformedPacket` unless wildcards fill a level, `#` only the last one [MQTT-4.7.1-1] [MQTT-4.7.1-2]."""
    fault = find_fault(text)
    if fault:
        raise MalformedPacket(f"a filter {fault}", Reason.TOPIC_FILTER_INVALID)
