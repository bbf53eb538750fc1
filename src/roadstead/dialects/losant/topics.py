"""The MQTT topics of this dialect (contract section 28): those with a meaning, and those that are free. Pure."""

from typing import NamedTuple
from uuid import UUID

from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId, parse_hex24, to_hex24
from roadstead.kernel.topics import find_fault, has_wildcards

STATE, COMMAND, HELLO = "state", "command", "fromAgent/hello"
"""What stands behind `losant/<device id>/`."""
AGENT = "toAgent/"
TO_AGENT = (f"{AGENT}flows", f"{AGENT}virtualButton")
"""What an agent on a device subscribes to; nothing is said there."""
MOST_CHARACTERS = 230

_ROOT = "losant"


class Meant(NamedTuple):
    """A topic with a meaning."""

    device_id: DeviceId
    what: str
    """`STATE`, `COMMAND`, or anything else that somebody wrote there."""


def topic_of(device_id: UUID, what: str) -> str:
    """The topic of a device."""
    return f"{_ROOT}/{to_hex24(device_id)}/{what}"


def heard_by(device_id: UUID) -> tuple[str, ...]:
    """What is meant for a device."""
    return tuple([topic_of(device_id, what) for what in (COMMAND, *TO_AGENT)])


def read_meant(topic: str) -> Meant | None:
    """What a topic or filter below `losant/` is about; None for one of which that cannot be said."""
    root, _, rest = topic.partition("/")
    name, _, what = rest.partition("/")
    device_id = parse_hex24(name)
    if root != _ROOT or device_id is None or not what:
        return None
    return Meant(DeviceId(device_id), what)


def is_free(topic: str) -> bool:
    """Whether a topic, or a filter that may also be about others, belongs to whoever uses it."""
    if topic.startswith("$") or len(topic) > MOST_CHARACTERS:
        return False
    # With a slash before it, it is taken for a mistake, as the original does.
    return topic.lstrip("/").partition("/")[0] != _ROOT


def check_topic(topic: str) -> None:
    """Raises `Invalid` unless programs can publish to it."""
    if not topic or has_wildcards(topic) or "\0" in topic:
        raise Invalid.field("topic", "is empty, or has wildcards or a zero byte")
    _check_free(topic)


def check_filter(filter_: str) -> None:
    """Raises `Invalid` unless programs can listen to it."""
    fault = find_fault(filter_)
    if fault:
        raise Invalid.field("topic", fault, place="query")
    _check_free(filter_)


def _check_free(topic: str) -> None:
    if len(topic) > MOST_CHARACTERS:
        raise Invalid.field("topic", f"has at most {MOST_CHARACTERS} characters")
    if not is_free(topic):
        raise Invalid.field("topic", "is not free: what begins with 'losant/' or '$' has a meaning of its own")
