"""What is said about devices of this dialect on the log: values at paths, and events. Pure: from bytes to documents."""

from typing import Any

import msgspec

from roadstead.core.messages import Uplink
from roadstead.core.ports import Decoded, Document, Glance, Refusal, RefusalReason

DIALECT = "leverege"
DATA, EVENT = "data", "event"
"""The channels: `DataMessage`, `EventMessage`."""


class PathValue(msgspec.Struct, frozen=True):
    """A value at a path with `/` for depth; null: there shall be none."""

    path: str
    value: Any


class DataMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Values of a device, in the order in which they are written."""

    values: list[PathValue]
    at: int
    """In ms since 1970."""
    source: dict[str, str] | None = None
    """Who writes them, when that is not the device."""


class EventMessage(msgspec.Struct, frozen=True):
    """An event of a device."""

    type: str
    event: dict[str, Any]
    at: int


_data = msgspec.json.Decoder(DataMessage).decode
_event = msgspec.json.Decoder(EventMessage).decode


class LeveregeCodec:
    """The codec of this dialect. Every message is a document, so there is nothing to see at a glance."""

    is_lenient = False

    def glance(self, uplink: Uplink) -> Glance | None:
        """See `Codec.glance`."""
        return None

    def decode(self, uplink: Uplink) -> Decoded:
        """See `Codec.decode`."""
        try:
            if uplink.channel == DATA:
                return Decoded(document=read_document(_data(uplink.payload)))
            if uplink.channel == EVENT:
                return Decoded(document=read_event(_event(uplink.payload)))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _refused(uplink, str(error))
        return _refused(uplink, f"there is no channel {uplink.channel}")


def read_document(said: DataMessage) -> Document:
    """Values one after the other as one tree, and the ways to what there shall be no longer."""
    tree: dict[str, Any] = {}
    removed: list[tuple[str, ...]] = []
    for one in said.values:
        _write(tree, split_path(one.path), one.value, removed)
    meta = msgspec.json.encode({"source": said.source}).decode() if said.source else ""
    ways = tuple(dict.fromkeys(removed))
    return Document(section="attributes", value=tree, at=said.at, meta=meta, replaces=True, removed=ways)


def read_event(said: EventMessage) -> Document:
    """An event as a document."""
    return Document(section="events", event=said.type, value=said.event, at=said.at)


def split_path(path: str) -> tuple[str, ...]:
    """The names on the way; slashes too many do not count."""
    return tuple(name for name in path.split("/") if name)


def _write(tree: dict[str, Any], way: tuple[str, ...], value: Any, removed: list[tuple[str, ...]]) -> None:
    """Objects are merged, everything else takes the place of what was there; null takes it away."""
    if isinstance(value, dict) and value:
        for name, member in value.items():
            _write(tree, (*way, *split_path(name)), member, removed)
        return
    if not way:
        return
    place = tree
    for name in way[:-1]:
        below = place.get(name)
        if not isinstance(below, dict):
            if value is None:
                break
            below = place[name] = {}
        place = below
    else:
        if value is None:
            place.pop(way[-1], None)
        elif value != {} or not isinstance(place.get(way[-1]), dict):
            place[way[-1]] = value
    if value is None:
        removed.append(way)


def _refused(uplink: Uplink, detail: str) -> Decoded:
    return Decoded(refused=[Refusal(RefusalReason.MALFORMED, detail, uplink.payload, whole=True)])
