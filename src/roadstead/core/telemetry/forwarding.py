"""What a device has reported as documents for the devices it belongs to, where the relation says so. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from roadstead.core import types
from roadstead.core.messages import REMOVAL, Accepted, decode_removal
from roadstead.core.ports import Document
from roadstead.core.telemetry.model import SOURCE, read_metadata
from roadstead.core.telemetry.rules import Described
from roadstead.core.types import Section
from roadstead.kernel import ids


def forwarded_documents(message: Accepted, known: Described) -> Iterator[Document]:
    """The attributes in a message, by the times at which they were measured; and what it has taken away.

    `known`: of the device that has reported them.
    """
    removed: tuple[tuple[str, ...], ...] = ()
    if message.channel == REMOVAL:
        removal = decode_removal(message.payload)
        removed = tuple(way for path in removal.paths if (way := _way(path)))
        if not message.values:
            yield Document(section=Section.ATTRIBUTES, value={}, at=removal.at, replaces=True, removed=removed)
    parts: defaultdict[tuple[int, str], list[tuple[str, Any]]] = defaultdict(list)
    for reading in message.readings:
        if not reading.path.startswith("$") and types.split_path(reading.path)[0] is Section.ATTRIBUTES:
            leaf = known.type.leaf(reading.path) if known.type is not None else None
            parts[reading.at, reading.meta].append((reading.path, types.from_stored(leaf, reading.value)))
    for (at, meta), pairs in parts.items():
        value = types.nest(pairs)[Section.ATTRIBUTES]
        said = _with_source(meta, str(ids.from_bytes(message.device)))
        yield Document(section=Section.ATTRIBUTES, value=value, at=at, meta=said, replaces=True, removed=removed)


def _with_source(meta: str, device_id: str) -> str:
    """Metadata that says who wrote it; the device itself, when nobody else has."""
    said = read_metadata(meta) or {}
    return msgspec.json.encode({SOURCE: {"deviceId": device_id}} | said).decode()


def _way(path: str) -> tuple[str, ...]:
    """The names on the way to an attribute; nothing for an item of a list, which goes with its list."""
    section, steps = types.split_path(path)
    names = tuple(step for step in steps if isinstance(step, str))
    return names if section is Section.ATTRIBUTES and len(names) == len(steps) else ()
