"""/v1/auth/client/token: a key for a token."""

from typing import Any

import msgspec
from litestar import post

from roadstead.core import identity
from roadstead.core.work import Entry
from roadstead.dialects.leapcraft.errors import WrongMediaType
from roadstead.kernel.errors import Invalid, Malformed
from roadstead.web.edge import AnyRequest

_MOST_KEY = 256


class TokenShape(msgspec.Struct, frozen=True):
    """`Token`: exactly these two."""

    token: str
    type: str = "bearer"


@post("/v1/auth/client/token", operation_id="auth.client-token", status_code=200, opt={"exchange": True})
async def exchange(request: AnyRequest, entry: Entry) -> TokenShape:
    """A token for 24 hours that may read what the key may read."""
    return TokenShape(await identity.exchange_key(entry, await _read_key(request)))


async def _read_key(request: AnyRequest) -> str:
    sent: Any
    if "content-type" not in request.headers and not await request.body():
        raise Invalid.field("api_key", "is required")
    match request.content_type[0]:
        case "application/x-www-form-urlencoded":
            sent = (await request.form()).get("api_key")
        case "application/json":
            try:
                body = msgspec.json.decode(await request.body())
            except msgspec.DecodeError as error:
                raise Malformed(f"the body is not JSON: {error}") from error
            sent = body.get("api_key") if isinstance(body, dict) else None
        case other:
            raise WrongMediaType(f"send a form (application/x-www-form-urlencoded), not '{other}'")
    if not isinstance(sent, str) or not sent:
        raise Invalid.field("api_key", "is required")
    if len(sent) > _MOST_KEY:
        raise Invalid.field("api_key", f"has more than {_MOST_KEY} characters")
    return sent
