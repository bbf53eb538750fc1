"""What is asked for with a live stream: bodies of `requestStream` (contract section 17)."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from roadstead.core.streams import BUFFER_LIFE, ReportWish, Topic
from roadstead.core.types import Section, parse_json_path
from roadstead.dialects.lightelligence.device_filters import DeviceFilterBody, Tags, Texts
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import EVERYTHING
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.time import parse_instant
from roadstead.web.bodies import read_as

_SLACK = timedelta(minutes=1)
"""A request that asks for exactly as much as is kept takes a moment to get here."""


class Kind(StrEnum):
    """Whether what happens while nobody listens is told the next time."""

    LIVE = "live"
    BUFFERED = "buffered"


class Update(StrEnum):
    """What is told."""

    ATTRIBUTES = "attributeUpdate"
    CONFIGURATION = "configurationUpdate"
    EVENT = "eventUpdate"


_TOPICS = {
    Update.ATTRIBUTES: Topic.ATTRIBUTES,
    Update.CONFIGURATION: Topic.CONFIGURATION,
    Update.EVENT: Topic.OCCURRENCE,
}


class PathBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """JSON paths within a section, such as `$.temperature`."""

    attributes: Texts | None = None
    configurations: Texts | None = None


class FilterBody(DeviceFilterBody, frozen=True, kw_only=True):
    """Which updates of which devices: all members must fit, and of each one of its values."""

    type: Annotated[list[Update], Meta(min_length=1)]
    path: PathBody = PathBody()
    event: Texts | None = None
    tag: Tags | None = None
    """An older name of `deviceTag`."""


class OptionsBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What else."""

    replay_from_timestamp: str


class ConnectionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`StreamingConnectionRequest`."""

    filter: FilterBody
    type: Kind = Kind.LIVE
    options: OptionsBody | None = None

    @property
    def replay_from(self) -> datetime | None:
        """From when on everything shall be told, if it was said. Raises `Invalid` for what is no time."""
        if self.options is None:
            return None
        instant = parse_instant(self.options.replay_from_timestamp)
        if instant is None:
            raise Invalid.field("options/replayFromTimestamp", "is not an RFC 3339 time such as 2020-01-07T08:15:00Z")
        return instant

    def check(self, now: datetime) -> None:
        """Raises `Invalid` for a replay that cannot be."""
        since = self.replay_from
        if since is None:
            return
        if self.type is Kind.LIVE:
            raise Invalid.field("options/replayFromTimestamp", "is for streams of the type 'buffered'")
        if not now - BUFFER_LIFE - _SLACK <= since <= now + _SLACK:
            raise Invalid.field("options/replayFromTimestamp", "lies more than two days back, or ahead")

    def wish(self) -> ReportWish:
        """What the core is asked for. Raises `Invalid` for a path that names nothing."""
        wanted = self.filter
        scope = msgspec.structs.replace(wanted, device_id=None, device_tag=wanted.device_tag or wanted.tag).read()
        return ReportWish(
            topics=frozenset(_TOPICS[update] for update in wanted.type),
            device_ids=[DeviceId(id_) for id_ in wanted.device_id or ()],
            scope=None if scope == EVERYTHING else scope,
            attributes=_read_paths(Section.ATTRIBUTES, wanted.path.attributes or ()),
            configuration=_read_paths(Section.CONFIGURATION, wanted.path.configurations or ()),
            event_types=wanted.event or (),
        )


def read_connection(given: Mapping[str, Any]) -> ConnectionBody:
    """The body of a request. One text where a list is meant is a list of one: programs of old send such."""
    wanted = given.get("filter")
    if not isinstance(wanted, dict):
        return read_as(given, ConnectionBody)
    lists = {name: _listed(value) for name, value in wanted.items()}
    if isinstance(wanted.get("path"), dict):
        lists["path"] = {name: _listed(value) for name, value in wanted["path"].items()}
    body = read_as({**given, "filter": lists}, ConnectionBody)
    if body.filter.tag is not None and body.filter.device_tag is not None:
        raise Invalid.field("filter/tag", "is an older name of deviceTag: send one of them")
    return body


def name_buffer(client_id: str, body: ConnectionBody) -> str:
    """Whose buffer it is: that of a client, for what it listens to."""
    plain: Any = _sorted(msgspec.to_builtins(body.filter))
    return f"{client_id} {hashlib.sha256(msgspec.json.encode(plain, order='deterministic')).hexdigest()}"


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _sorted(value: Any) -> Any:
    """Filters that mean the same are the same, in whatever order their values stand."""
    if isinstance(value, dict):
        return {name: _sorted(one) for name, one in value.items()}
    return sorted(set(value)) if isinstance(value, list) else value


def _read_paths(section: Section, texts: Sequence[str]) -> list[str]:
    paths = []
    for text in texts:
        names_one = text.startswith("$") and "*" not in text
        path = parse_json_path(f"$.{section}{text[1:]}") if names_one else None
        if path is None:
            raise Invalid.field("filter/path", f"'{text}' is not a path within {section}, such as $.temperature")
        paths.append(path)
    return paths
