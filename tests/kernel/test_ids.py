"""One id, four faces."""

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from roadstead.kernel import ids

FREE_BITS = st.binary(min_size=12, max_size=12)


@given(FREE_BITS)
def test_every_face_leads_back_to_the_same_id(raw: bytes) -> None:
    value = ids.from_bytes(raw)

    assert ids.to_bytes(value) == raw
    assert ids.parse_uuid(str(value)) == value
    assert ids.parse_hex24(ids.to_hex24(value)) == value
    assert ids.parse_base62(ids.to_base62(value)) == value


@given(FREE_BITS, FREE_BITS)
def test_ids_sort_like_the_time_they_were_made(one: bytes, other: bytes) -> None:
    assert (ids.from_bytes(one) < ids.from_bytes(other)) == (one < other)


def test_an_id_is_a_uuid_of_version_8() -> None:
    value = ids.new_id()

    assert (value.version, value.variant) == (8, "specified in RFC 4122")
    assert ids.is_ours(value)


def test_what_cannot_be_ours_is_no_id() -> None:
    assert ids.parse_uuid(str(uuid4())) is None
    assert ids.parse_uuid(str(ids.new_id()).replace("-", "")) is None
    assert ids.parse_uuid("no uuid at all, but 36 letters long.") is None
    assert ids.parse_hex24("xyz") is None
    assert ids.parse_hex24("g" * 24) is None
    assert ids.parse_base62("z" * 22) is None
    assert ids.parse_base62(ids.to_base62(UUID(int=1))) is None
