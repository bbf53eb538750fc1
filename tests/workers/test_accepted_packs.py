"""What was accepted is decoded once for all who read it."""

import msgspec
import pytest

from roadstead.bus import Pack
from roadstead.core import messages
from roadstead.core.messages import Accepted, Logged, Reading, encode_accepted
from roadstead.kernel import ids
from roadstead.kernel.ids import TenantId, new_id
from roadstead.workers import accepted_packs
from roadstead.workers.accepted_packs import AcceptedPacks


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was decoded."""
    found: list[bytes] = []

    def decode(payload: bytes) -> list[Logged]:
        found.append(payload)
        return messages.decode_accepted(payload)

    monkeypatch.setattr(accepted_packs, "decode_accepted", decode)
    return found


def pack(sequence: int, value: float) -> Pack:
    """With one reading."""
    said = Accepted.of(TenantId(1), ids.to_bytes(new_id()), "native", "readings", 1, [Reading("level", 1, value)])
    return Pack(sequence=sequence, payload=encode_accepted([said]), stored_at=1, subject="accepted.0")


def values(packs: AcceptedPacks, pack: Pack) -> list[object]:
    """Of its readings."""
    return [reading.value for message in packs.messages_of(pack) for reading in message.readings]


def test_readers_that_are_about_as_far_share_what_one_has_decoded(decoded: list[bytes]) -> None:
    packs, log = AcceptedPacks(), [pack(number, number) for number in range(3)]
    for _ in range(2):
        for number, each in enumerate(log):
            again = msgspec.structs.replace(each, payload=bytes(bytearray(each.payload)))
            assert values(packs, again) == [number]
    assert len(decoded) == len(log)


def test_of_another_log_the_same_place_is_another_pack() -> None:
    packs = AcceptedPacks()
    assert [values(packs, pack(7, 1.5)), values(packs, pack(7, 2.5))] == [[1.5], [2.5]]


def test_only_so_much_is_kept_and_what_was_not_is_decoded_again(decoded: list[bytes]) -> None:
    log = [pack(number, number) for number in range(3)]
    packs = AcceptedPacks(most_bytes=2 * len(log[0].payload))
    for each in (*log, log[2], log[0]):
        assert len(packs.messages_of(each)) == 1
    assert decoded == [each.payload for each in (*log, log[0])]


def test_a_pack_that_cannot_be_read_has_no_messages() -> None:
    assert AcceptedPacks().messages_of(Pack(sequence=1, payload=b"no", stored_at=1, subject="accepted.0")) == []
