"""Topics and filters (section 4.7)."""

from roadstead.gateways.mqtt.fields import read_text
from roadstead.gateways.mqtt.reasons import MalformedPacket, Reason


def check_topic(topic: bytes) -> None:
    """`MalformedPacket` unless messages can be published to it [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-4.7.3-1]."""
    text = read_text(topic)
    if not text or "+" in text or "#" in text:
        raise MalformedPacket("a topic is empty or has wildcards", Reason.TOPIC_NAME_INVALID)


def check_filter(text: str) -> None:
    """`MalformedPacket` unless wildcards fill a level, `#` only the last one [MQTT-4.7.1-1] [MQTT-4.7.1-2]."""
    if not text:
        raise MalformedPacket("a filter is empty", Reason.TOPIC_FILTER_INVALID)
    if "+" not in text and "#" not in text:
        return
    levels = text.split("/")
    if "#" in levels[:-1] or any(len(level) > 1 and ("+" in level or "#" in level) for level in levels):
        raise MalformedPacket("a filter has a wildcard in the wrong place", Reason.TOPIC_FILTER_INVALID)


def matches(filter_: str, topic: str) -> bool:
    """Whether `filter_` is about `topic`; a leading wildcard leaves topics alone that begin with `$` [MQTT-4.7.2-1]."""
    if filter_ == topic:
        return True
    if "+" not in filter_ and "#" not in filter_:
        return False
    if topic.startswith("$") and filter_[0] in "+#":
        return False
    wanted, levels = filter_.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        # `sport/#` is also about `sport` itself.
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(want in ("+", level) for want, level in zip(wanted, levels, strict=True))
