"""Packs of accepted messages: nothing is lost on the way, and messages that are alike share what they share."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from roadstead.core.messages import Accepted, Reading, decode_accepted, encode_accepted, paths_of
from roadstead.kernel.ids import TenantId

DEVICE = bytes(12)

values = some.floats(allow_nan=False) | some.integers(-(2**63), 2**63 - 1) | some.booleans() | some.text()
readings = some.lists(
    some.builds(
        Reading, some.sampled_from(["a", "b", "c"]), some.integers(0, 3), values, some.sampled_from(["", "{}"])
    ),
    max_size=6,
)


@given(some.lists(some.tuples(readings, some.binary(max_size=3), some.booleans()), max_size=5))
def test_messages_come_out_of_a_pack_as_they_went_in(sent: list[tuple[list[Reading], bytes, bool]]) -> None:
    messages = [
        Accepted.of(TenantId(number), DEVICE, "native", "readings", number, said, payload=payload, replayed=replayed)
        for number, (said, payload, replayed) in enumerate(sent, 1)
    ]
    assert [message.readings for message in messages] == [said for said, _, _ in sent]

    logged = decode_accepted(encode_accepted(messages))

    assert [message.readings for message in logged] == [said for said, _, _ in sent]
    assert [(one.tenant, one.device, one.dialect, one.channel, one.received) for one in logged] == [
        (number, DEVICE, "native", "readings", number) for number in range(1, len(sent) + 1)
    ]
    assert [(message.payload, message.replayed) for message in logged] == [(one, two) for _, one, two in sent]
    for message, before in zip(logged, messages, strict=True):
        assert message.paths is before.paths
        # A number with a fraction stays one.
        assert [type(one.value) for one in message.readings] == [type(value) for value in before.values]


def test_paths_are_said_once_a_pack_and_are_one_object_everywhere() -> None:
    said = [Reading("a-long-path/of-a-sensor", 1, 1.0)]
    one = Accepted.of(TenantId(1), DEVICE, "native", "readings", 1, said)
    assert one.paths is paths_of(("a-long-path/of-a-sensor",))
    assert encode_accepted([one] * 100).count(b"a-long-path/of-a-sensor") == 1


@pytest.mark.parametrize("pack", [b"", b"\xc1", msgspec.msgpack.encode([]), msgspec.msgpack.encode([["a"], []])])
def test_what_is_no_pack_is_refused(pack: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_accepted(pack)


def test_a_message_whose_paths_are_missing_is_refused() -> None:
    message = [1, DEVICE, "native", "readings", 1, 7, 0, [], None, b"", False]
    with pytest.raises(msgspec.DecodeError, match="paths are missing"):
        decode_accepted(msgspec.msgpack.encode(([], [message])))
