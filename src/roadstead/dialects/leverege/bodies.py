"""What is sent: JSON bodies, also on GET and DELETE, of whatever media type (contract, `conventions`)."""

from typing import Any, TypeVar

import msgspec

from roadstead.kernel.errors import Invalid, Malformed
from roadstead.web.edge import AnyRequest

T = TypeVar("T")


async def read_body(request: AnyRequest) -> Any:
    """The body as JSON; nothing sent is an empty object. Raises `Malformed`."""
    body = await request.body()
    if not body.strip():
        return {}
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
