"""Pages: by cursor (stable under inserts, fast at any depth) or by number for those who ask."""

import base64
import binascii
from typing import Any, Generic, TypeVar

import msgspec

from roadstead.kernel.errors import Invalid

T = TypeVar("T")
U = TypeVar("U")


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which slice of a list is wanted. `page` switches to offset mode; it excludes `cursor`."""

    limit: int = 50
    cursor: str | None = None
    page: int | None = None
    offset: int = 0
    """Left out before the slice; for those who count items instead of pages."""
    include_total: bool = False


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One slice of a list. `next_cursor` is None on the last page; `total` is None unless asked for."""

    items: list[T]
    next_cursor: str | None = None
    total: int | None = None


def encode_cursor(values: list[Any]) -> str:
    """An opaque text from the sort values of the last row of a page."""
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def decode_cursor(text: str, length: int) -> list[Any]:
    """The sort values again; `Invalid` names the parameter when the text is not ours."""
    try:
        values = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=list[Any])
    except (ValueError, binascii.Error, msgspec.DecodeError):
        values = []
    if len(values) != length:
        raise Invalid.field("cursor", "is not a cursor of this list", place="query")
    return values
