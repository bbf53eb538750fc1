"""Facts are read one by one: one that nobody here knows costs no other."""

from roadstead.bus import Pack
from roadstead.core.messages import DeviceChanged, FactMessage, KeyRevoked, encode_fact, encode_facts
from roadstead.kernel.ids import DeviceId, KeyId, TenantId, new_id
from roadstead.workers.fact_packs import facts_in

TENANT = TenantId(1)
CHANGED, REVOKED = DeviceChanged(DeviceId(new_id())), KeyRevoked(KeyId(new_id()))


def pack(*facts: bytes) -> Pack:
    """A message of the log with these."""
    messages = [FactMessage(number, TENANT, 0, fact) for number, fact in enumerate(facts, 1)]
    return Pack(sequence=1, stored_at=0, subject="facts.pack", payload=encode_facts(messages), gap=False)


def test_what_a_newer_version_tells_costs_no_other_fact() -> None:
    found = list(facts_in(pack(encode_fact(CHANGED), b'{"fact":"Teleported"}', encode_fact(REVOKED))))
    assert [(message.id, fact) for message, fact in found] == [(1, CHANGED), (2, None), (3, REVOKED)]


def test_what_several_read_is_decoded_once() -> None:
    one, other = pack(encode_fact(CHANGED)), pack(encode_fact(CHANGED))
    assert facts_in(one)[0][1] is facts_in(other)[0][1]


def test_a_message_that_is_no_pack_has_no_facts() -> None:
    assert not facts_in(Pack(sequence=1, stored_at=0, subject="facts.pack", payload=b"\xc1", gap=False))
