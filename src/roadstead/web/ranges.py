"""Parts of a file: the Range header of HTTP (RFC 9110 section 14)."""

import re

import msgspec

_ONE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


class ByteRange(msgspec.Struct, frozen=True):
    """From byte `start` to before `end`."""

    start: int
    end: int

    def spell(self, size: int) -> str:
        """As Content-Range has it, of a file of this size."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


class Unsatisfiable(Exception):
    """The part that was asked for is not within the file."""


def read_range(header: str | None, size: int, *, if_range: str | None = None, etag: str = "") -> ByteRange | None:
    """The part of a file of this size that is asked for; None: all of it.

    A header that cannot be understood, or asks for several parts, is ignored, as the standard allows. So is one whose
    If-Range is not the ETag (with quotes): the caller has a part of another file. Raises `Unsatisfiable`.
    """
    match = _ONE.fullmatch(header or "")
    if match is None or match[1] == match[2] == "" or (if_range is not None and if_range.strip() != etag):
        return None
    if match[1] == "":
        start, end = size - min(int(match[2]), size), size
    else:
        start = int(match[1])
        end = size if match[2] == "" else min(int(match[2]) + 1, size)
        if match[2] != "" and int(match[2]) < start:
            return None
    if start >= end:
        raise Unsatisfiable
    return ByteRange(start, end)
