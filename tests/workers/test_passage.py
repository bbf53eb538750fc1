"""How far the log has come is told by the ids under which the store passes packs on."""

import pytest

from roadstead.workers.store import passed_sequence


@pytest.mark.parametrize(
    ("message_id", "passed"),
    [("19a-12", 12), ("19a-12a", 11), ("19a-12b", 12), ("19a-12ba", 11), ("19a-12bb", 12), ("19a", 0), ("", 0)],
)
def test_a_pack_has_passed_when_its_last_half_has(message_id: str, passed: int) -> None:
    assert passed_sequence(message_id) == (message_id.partition("-")[0], passed)
