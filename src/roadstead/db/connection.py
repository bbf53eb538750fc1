"""A connection whose pipelines leave in one piece."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection, AsyncPipeline
from psycopg.abc import PQGen
from psycopg.generators import send
from psycopg.rows import TupleRow


class Connection(AsyncConnection[TupleRow]):
    """psycopg's, but what is queued in a pipeline is sent at its end, or when a result is asked for.

    psycopg sends each statement as soon as it is queued: so many writes here, and as often the server wakes up and goes
    back to sleep. Together they cost a request a fifth of its time. libpq itself sends what has become large before
    that.
    """

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[AsyncPipeline]:
        """See `psycopg.AsyncConnection.pipeline`; errors of statements come out at its end."""
        if self._pipeline is None:
            self._pipeline = _Pipeline(self)
        async with super().pipeline() as pipeline:
            yield pipeline


class _Pipeline(AsyncPipeline):
    def _communicate_gen(self) -> PQGen[None]:
        while self.command_queue:
            self.command_queue.popleft()()
        yield from ()

    def _sync_gen(self) -> PQGen[None]:
        self._enqueue_sync()
        yield from self._communicate_gen()
        yield from send(self.pgconn)
        yield from self._fetch_gen(flush=False)

    _exit_gen = _sync_gen
