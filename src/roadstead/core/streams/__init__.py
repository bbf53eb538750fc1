"""Live streams: which events somebody wants, where in the log they are, and what each of them says."""

from roadstead.core.streams.directory import Directory
from roadstead.core.streams.matching import (
    Channel,
    Channels,
    Told,
    Wanted,
    find_lacking,
    read_device_event,
    tell_device,
    tell_readings,
)
from roadstead.core.streams.model import (
    UNSERVED_TOPICS,
    DeviceEvent,
    DeviceEventType,
    Event,
    Gap,
    Live,
    Parcel,
    Position,
    ReadingEvent,
    StreamFilter,
    StreamWish,
    Subscription,
    TooSlow,
    Topic,
    read_position,
)
from roadstead.core.streams.service import open_filter

__all__ = [
    "UNSERVED_TOPICS",
    "Channel",
    "Channels",
    "DeviceEvent",
    "DeviceEventType",
    "Directory",
    "Event",
    "Gap",
    "Live",
    "Parcel",
    "Position",
    "ReadingEvent",
    "StreamFilter",
    "StreamWish",
    "Subscription",
    "Told",
    "TooSlow",
    "Topic",
    "Wanted",
    "find_lacking",
    "open_filter",
    "read_device_event",
    "read_position",
    "tell_device",
    "tell_readings",
]
