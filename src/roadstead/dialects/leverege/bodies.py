"""What is sent: JSON bodies, also on GET and DELETE, of whatever media type (contract, `conventions`)."""

from typing import Any, TypeVar

from roadstead.web.bodies import decode_json
from roadstead.web.edge import AnyRequest

T = TypeVar("T")


async def read_body(request: AnyRequest) -> Any:
    """The body as JSON; nothing sent is an empty object. Raises `Malformed`."""
    body = await request.body()
    if not body.strip():
        return {}
    return decode_json(body)
