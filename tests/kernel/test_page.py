"""Cursors."""

import pytest

from roadstead.kernel.errors import Invalid
from roadstead.kernel.page import decode_cursor, encode_cursor


def test_a_cursor_gives_back_what_went_in() -> None:
    assert decode_cursor(encode_cursor(["pump é", "6b01"]), 2) == ["pump é", "6b01"]


@pytest.mark.parametrize("text", ["", "%%%", "bm90IGpzb24", encode_cursor(["one"])])
def test_a_cursor_of_another_list_is_told_by_name(text: str) -> None:
    with pytest.raises(Invalid) as told:
        decode_cursor(text, 2)
    assert told.value.fields[0].pointer == "cursor"
