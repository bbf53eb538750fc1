"""What is sent: JSON, and structs from it."""

from typing import Any, TypeVar

import msgspec

from roadstead.kernel.errors import Invalid, Malformed

T = TypeVar("T")


def decode_json(body: bytes) -> Any:
    """Raises `Malformed` when it is none, or nested too deeply."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(f"the body is not JSON: {error}") from error


def read_as(body: Any, kind: type[T]) -> T:
    """The body as a struct. Raises `Invalid` with the name of the field; members it does not know are ignored."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `$")
        name = path.rstrip("`").lstrip(".")
        raise Invalid(f"{name}: {detail}" if name else detail) from error
