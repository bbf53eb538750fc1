"""The codec: what lies on the log, as documents."""

from typing import Any

import msgspec
import pytest

from roadstead.core.messages import Uplink
from roadstead.core.ports import Document, RefusalReason
from roadstead.dialects.leverege import LeveregeCodec
from roadstead.kernel.ids import TenantId


def uplink(channel: str, payload: bytes) -> Uplink:
    """A message on the log."""
    return Uplink(TenantId(1), b"d" * 12, "leverege", channel, 7, payload, "HTTP")


def document(*pairs: tuple[str, Any], **more: Any) -> Document:
    """What values say when they come one after the other."""
    body = {"values": [{"path": path, "value": value} for path, value in pairs], "at": 5} | more
    decoded = LeveregeCodec().decode(uplink("data", msgspec.json.encode(body)))
    assert decoded.document is not None
    return decoded.document


@pytest.mark.parametrize(
    ("pairs", "value", "removed"),
    [
        ([("a/b", 1), ("/a//c/", 2)], {"a": {"b": 1, "c": 2}}, ()),
        ([("", {"a": {"b": 1}, "c/d": 2})], {"a": {"b": 1}, "c": {"d": 2}}, ()),
        ([("a", {"b": 1}), ("a", {"c": 2})], {"a": {"b": 1, "c": 2}}, ()),
        ([("a/b", 1), ("a", [1, None])], {"a": [1, None]}, ()),
        ([("a", 1), ("a/b", 2)], {"a": {"b": 2}}, ()),
        ([("a/b", 1), ("a", None)], {}, (("a",),)),
        ([("a", None), ("a/b", 1)], {"a": {"b": 1}}, (("a",),)),
        ([("a", {"b": None, "c": 1})], {"a": {"c": 1}}, (("a", "b"),)),
        ([("a", 1), ("a/b", None)], {"a": 1}, (("a", "b"),)),
        ([("a", {}), ("b/c", 1), ("b", {})], {"a": {}, "b": {"c": 1}}, ()),
    ],
)
def test_values_are_written_in_their_order(pairs: Any, value: Any, removed: Any) -> None:
    found = document(*pairs)
    assert (found.value, found.removed) == (value, removed)
    assert (found.section, found.at, found.replaces, found.meta) == ("attributes", 5, True, "")


def test_who_writes_goes_with_each_value() -> None:
    assert document(("a", 1), source={"userId": "u"}).meta == '{"source":{"userId":"u"}}'


def test_an_event_is_a_document_of_its_own() -> None:
    said = uplink("event", b'{"type":"crowded","event":{"people":4},"at":5}')
    wanted = Document(section="events", event="crowded", value={"people": 4}, at=5)
    assert LeveregeCodec().decode(said).document == wanted


@pytest.mark.parametrize(
    "said", [uplink("data", b"{"), uplink("data", b"\xff"), uplink("event", b"{}"), uplink("inbound", b"{}")]
)
def test_what_cannot_be_read_is_refused_as_a_whole(said: Uplink) -> None:
    codec = LeveregeCodec()
    assert codec.glance(said) is None
    decoded = codec.decode(said)
    assert decoded.document is None
    assert [(one.reason, one.whole) for one in decoded.refused] == [(RefusalReason.MALFORMED, True)]
