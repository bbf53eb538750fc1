"""Whether a credential is still good while something long rests on it: asked again and again, once for all who do."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from roadstead.kernel.actor import Actor
from roadstead.kernel.errors import Unavailable

log = structlog.get_logger()

Ask = Callable[[], Awaitable[Actor]]


class Vigil:
    """Remembers for a few seconds what was last found out about each credential."""

    def __init__(self, *, every_s: float = 3.0) -> None:
        self.every_s = every_s
        self._asked: dict[str, tuple[float, asyncio.Task[Actor]]] = {}

    async def check(self, credential: str, ask: Ask) -> Actor:
        """Whose it is. `ask` is called when nobody has asked for a while.

        Raises `Unauthenticated` or `Forbidden` when it is not good any more. While the database is away it stays what
        it was: an outage is no reason to cut off everybody.
        """
        loop = asyncio.get_running_loop()
        known = self._asked.get(credential)
        if known is not None and loop.time() - known[0] < self.every_s:
            return await asyncio.shield(known[1])
        task = asyncio.ensure_future(self._ask(ask, known[1] if known else None))
        self._asked[credential] = (loop.time(), task)
        self._tidy(loop.time())
        return await asyncio.shield(task)

    async def _ask(self, ask: Ask, before: asyncio.Task[Actor] | None) -> Actor:
        try:
            return await ask()
        except Unavailable:
            if before is None or before.exception() is not None:
                raise
            return before.result()

    def _tidy(self, now: float) -> None:
        for credential, (asked_at, task) in list(self._asked.items()):
            if now - asked_at > 10 * self.every_s:
                del self._asked[credential]
                if task.done() and not task.cancelled():
                    task.exception()  # Looked at, so that nobody complains that it never was.
