"""The native codec: it takes what the contract allows, says what is wrong with the rest, and never raises."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.core.downlinks import Answer, CommandAnswer
from roadstead.core.messages import Reading, Uplink
from roadstead.core.ports import Decoded, Refusal, RefusalReason, Reported
from roadstead.dialects.native.downlinks import NativeAnswers
from roadstead.dialects.native.wire import NativeCodec
from roadstead.kernel.ids import TenantId, new_id

_AT = 1767225600000


def decode(payload: object, channel: str = "readings", source: str = "MQTT") -> Decoded:
    """What the codec makes of a payload; bytes go as they are, everything else as JSON."""
    body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return NativeCodec().decode(Uplink(TenantId(1), b"x" * 12, "native", channel, _AT, body, source))


def answer(payload: object, channel: str) -> Answer | Refusal:
    """The same, of what a device answers."""
    body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return NativeAnswers().read(Uplink(TenantId(1), b"x" * 12, "native", channel, _AT, body))


def item(**changes: object) -> dict[str, object]:
    """A right item, with changes; None leaves a field out."""
    right: dict[str, object] = {"sensorId": "t", "timestamp": "2026-01-01T00:00:00Z", "value": 1.5}
    return {name: value for name, value in (right | changes).items() if value is not None}


def test_one_item_or_an_array_of_them() -> None:
    assert decode(item()).reported == [Reported("t", _AT, 1.5)]
    assert decode([item(), item(sensorId="u", value="x")]).reported == [
        Reported("t", _AT, 1.5),
        Reported("u", _AT, "x"),
    ]
    assert decode(b" [ ] ").reported == []


def test_values_keep_their_json_type() -> None:
    values = [1, 1.0, True, "x", {"a": 1}, [1, 2]]
    found = [one.value for one in decode([item(value=value) for value in values]).reported]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("2026-01-01T00:00:00.123Z", 123),
        ("2026-01-01T00:00:00.1239Z", 123),
        ("2026-01-01T01:30:00.25+01:30", 250),
        ("2025-12-31T19:00:01-05:00", 1000),
        ("2026-01-01T00:00:00.999999Z", 999),
    ],
)
def test_timestamps_are_cut_to_the_millisecond(text: str, millis: int) -> None:
    assert decode(item(timestamp=text)).reported[0].at == _AT + millis


def test_every_millisecond_survives() -> None:
    sent = [item(timestamp=f"2026-01-01T00:00:00.{number:03}Z") for number in range(1000)]
    assert [one.at - _AT for one in decode(sent).reported] == list(range(1000))


def test_metadata_is_an_object_or_absent() -> None:
    found = decode([item(metadata={"a": [1]}), item() | {"metadata": None}, item(metadata=5)])
    assert [one.meta for one in found.reported] == ['{"a":[1]}', ""]
    assert [refusal.reason for refusal in found.refused] == [RefusalReason.MALFORMED]
    assert msgspec.json.decode(found.refused[0].payload)["metadata"] == 5


def test_wrong_items_are_refused_one_by_one_with_the_reason() -> None:
    wrong: dict[RefusalReason, list[object]] = {
        RefusalReason.MISSING_FIELD: [item(value=None), item(sensorId=None), item(timestamp=None), {}],
        RefusalReason.BAD_TIMESTAMP: [
            item(timestamp="2026-01-01T00:00:00"), item(timestamp=5), item(timestamp="soon"),
        ],
        RefusalReason.TOO_LARGE: [item(sensorId="x" * 37)],
        RefusalReason.MALFORMED: [item(sensorId=5), item(sensorId=""), 7, "x", [item()]],
    }  # fmt: skip
    for reason, items in wrong.items():
        found = decode([*items, item()])
        assert [refusal.reason for refusal in found.refused] == [reason] * len(items)
        assert [refusal.index for refusal in found.refused] == list(range(len(items)))
        assert [msgspec.json.decode(refusal.payload) for refusal in found.refused] == items
        assert found.reported == [Reported("t", _AT, 1.5)]
        alone = decode(items[0])
        assert [refusal.reason for refusal in alone.refused] == [reason]


def test_what_is_no_json_is_refused_as_a_whole() -> None:
    for payload in (b"", b"{", b"[1,", b"\xff\xfe", b'{"sensorId":"\xff"}', b'"\\ud800"'):
        found = decode(payload)
        assert not found.reported
        assert [(refusal.reason, refusal.payload) for refusal in found.refused] == [(RefusalReason.MALFORMED, payload)]


def test_messages_have_a_size() -> None:
    large = b" " * 262_145
    assert [refusal.reason for refusal in decode(large).refused] == [RefusalReason.TOO_LARGE]
    assert [refusal.reason for refusal in decode(large, source="HTTP").refused] == [RefusalReason.MALFORMED]


def test_health_becomes_values_under_the_platforms_own_paths() -> None:
    sent = {
        "timestamp": "2026-01-01T00:00:00Z", "uptimeSeconds": 10, "connectionType": "WIFI", "batteryPercent": 80,
        "firmwareVersion": "1.2", "metadata": {"a": 1}, "unknown": 1,
    }  # fmt: skip
    assert sorted(decode(sent, "health").readings, key=lambda reading: reading.path) == [
        Reading("$health/batteryPercent", _AT, 80.0),
        Reading("$health/connectionType", _AT, "WIFI"),
        Reading("$health/firmwareVersion", _AT, "1.2"),
        Reading("$health/metadata", _AT, '{"a":1}'),
        Reading("$health/uptimeSeconds", _AT, 10),
    ]
    for wrong, reason in {
        b'{"uptimeSeconds":1}': RefusalReason.MISSING_FIELD,
        b'{"timestamp":"2026-01-01T00:00:00Z"}': RefusalReason.MISSING_FIELD,
        b'{"timestamp":"now"}': RefusalReason.BAD_TIMESTAMP,
        b'{"timestamp":"2026-01-01T00:00:00Z","connectionType":"SMOKE"}': RefusalReason.MALFORMED,
    }.items():
        assert [refusal.reason for refusal in decode(wrong, "health").refused] == [reason]


def test_a_status_is_checked_and_what_is_no_measurement_is_refused() -> None:
    assert decode({"status": "ONLINE"}, "status") == Decoded()
    for channel in ("status", "commands/response", "config/reported", "gossip"):
        assert [refusal.reason for refusal in decode([1], channel).refused] == [RefusalReason.MALFORMED]


def test_an_answer_to_a_command_says_which_and_how_it_went() -> None:
    id_ = new_id()
    sent = {"id": str(id_), "status": "FAILED", "result": [1], "error": "stuck", "more": True}
    assert answer(sent, "commands/response") == CommandAnswer(id_, "FAILED", [1], "stuck")
    assert answer({"id": str(id_), "status": "SUCCESS"}, "commands/response") == CommandAnswer(id_, "SUCCESS")
    for wrong, reason in (
        ({"id": "42", "status": "SUCCESS"}, RefusalReason.UNKNOWN_COMMAND),
        ({"id": str(id_)}, RefusalReason.MISSING_FIELD),
        ({"id": str(id_), "status": "success"}, RefusalReason.MALFORMED),
        ({"id": str(id_), "status": "SUCCESS", "error": 5}, RefusalReason.MALFORMED),
        (b"\xff", RefusalReason.MALFORMED),
    ):
        refusal = answer(wrong, "commands/response")
        assert isinstance(refusal, Refusal) and refusal.reason is reason and refusal.whole


@settings(max_examples=200)
@given(
    payload=st.binary(max_size=80)
    | st.dictionaries(
        st.sampled_from(["id", "status", "result", "error", "documentVersion", "entries"]),
        st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
    ),
    channel=st.sampled_from(["commands/response", "config/reported", "readings"]),
)
def test_no_answer_makes_the_codec_raise(payload: Any, channel: str) -> None:
    answer(payload, channel)


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["sensorId", "timestamp", "value", "metadata", "status"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300)
@given(payload=st.binary(max_size=80) | _json, channel=st.sampled_from(["readings", "health", "status"]))
def test_nothing_makes_it_raise_and_nothing_is_lost(payload: object, channel: str) -> None:
    found = decode(payload, channel)
    if channel == "readings" and isinstance(payload, list):
        assert len(found.reported) + len(found.refused) == len(payload) or found.refused[0].whole
