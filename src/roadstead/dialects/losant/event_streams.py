"""What server-sent events of this dialect have in common (contract section 29)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from litestar.response import Stream

from roadstead.dialects.losant.edge import admit
from roadstead.dialects.losant.envelopes import read_number
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Forbidden, RoadsteadError
from roadstead.web.edge import AnyRequest, Edge, credential_of
from roadstead.web.listening import Telling, follow

T = TypeVar("T")

_KEEP_ALIVE_S = 2
_LONGEST_KEEP_ALIVE_S = 3_600
_HEADERS = {"X-Accel-Buffering": "no"}


def read_keep_alive(request: AnyRequest) -> int:
    """How many seconds of silence there may be. Raises `Invalid`."""
    return read_number(request, "keepAliveInterval", _KEEP_ALIVE_S, least=1, most=_LONGEST_KEEP_ALIVE_S)


def speak(
    request: AnyRequest, subscription: Telling[T], grant: Grant, spell: Callable[[Sequence[T]], Awaitable[bytes]]
) -> Stream:
    """The stream of a subscription, as long as its listener has the right to hear it and keeps up.

    `spell` makes events of what there is to tell. When it ends the listener comes again by itself, and is told then
    what is wrong, if something is.
    """
    keep_alive_s = read_keep_alive(request)
    told = _tell(request, subscription, grant, spell, keep_alive_s)
    return Stream(told, media_type="text/event-stream", headers=_HEADERS)


def spell_event(name: str, data: bytes) -> bytes:
    """One event; `data` is JSON in one line."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


async def _tell(
    request: AnyRequest,
    subscription: Telling[T],
    grant: Grant,
    spell: Callable[[Sequence[T]], Awaitable[bytes]],
    keep_alive_s: int,
) -> AsyncIterator[bytes]:
    edge: Edge = request.app.state.edge
    key = f"{credential_of(request)} {request.scope['path']}"

    async def check() -> None:
        actor = await edge.vigil.check(key, lambda: admit(request))
        if grant not in actor.grants:
            raise Forbidden("the right that this stream needs was taken away")

    try:
        yield b": welcome\n\n"
        async for found in follow(edge, subscription, check, keep_alive_s=keep_alive_s):
            # Nothing of what is told may be for this listener: then this is a sign of life as well.
            yield (await spell(found) if found else b"") or b": keep-alive\n\n"
    except RoadsteadError as error:
        yield b": %s\n\n" % str(error).replace("\n", " ").encode()
    finally:
        await subscription.close()
