"""Counts, in the making."""

from datetime import UTC, datetime

import pytest

from roadstead.core.messages import Accepted, Logged, Reading, decode_accepted, encode_accepted
from roadstead.core.metering import Counts, model
from roadstead.kernel import ids, time
from roadstead.kernel.ids import TenantId, new_id

_NOON = time.to_millis(datetime(2026, 5, 4, 12, tzinfo=UTC))
_MINUTE_MS = 60_000
_DEVICES = [new_id(), new_id()]


def said(minute: int, *, tenant: int = 1, device: int = 0, size_bytes: int = 10) -> Accepted:
    """A state of some minute after noon."""
    reading = Reading("level", _NOON, 1.0)
    return Accepted.of(
        TenantId(tenant), ids.to_bytes(_DEVICES[device]), "losant", "state", _NOON + minute * _MINUTE_MS, [reading],
        size_bytes=size_bytes,
    )  # fmt: skip


def logged(*messages: Accepted) -> list[Logged]:
    """As they are read from the log."""
    return decode_accepted(encode_accepted(messages))


def hours(counts: Counts) -> dict[tuple[int, int], dict[int, tuple[int, int]]]:
    """By tenant and device: the messages and bytes of each hour that has some."""
    return {
        (key.tenant, _DEVICES.index(key.device)): {
            hour: (number, sizes[hour]) for hour, number in enumerate(messages) if number
        }
        for key, messages, sizes in counts.items()
    }


@pytest.mark.parametrize("most_alike", [0, 100_000])
def test_each_counts_for_its_sender_and_its_hour_however_they_come(
    monkeypatch: pytest.MonkeyPatch, most_alike: int
) -> None:
    monkeypatch.setattr(model, "_MOST_ALIKE", most_alike)
    counts = Counts()
    counts.add_messages(logged(said(0), said(59), said(60, size_bytes=7), said(1, size_bytes=3)))
    counts.add_messages(logged(said(2, device=1), said(2, tenant=2), said(2)))
    assert hours(counts) == {
        (1, 0): {12: (4, 33), 13: (1, 7)},
        (1, 1): {12: (1, 10)},
        (2, 0): {12: (1, 10)},
    }
    assert len(counts) == 3


def test_what_was_looked_at_can_be_counted_on() -> None:
    counts = Counts()
    for number in (1, 2, 3):
        counts.add_messages(logged(said(0)))
        assert hours(counts) == {(1, 0): {12: (number, 10 * number)}}
