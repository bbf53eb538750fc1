"""The connection to NATS, kept for ever. While NATS is away callers are told at once, or wait if they want to."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.js import JetStreamContext

from roadstead.kernel.errors import Unavailable
from roadstead.kernel.waiting import happens

log = structlog.get_logger()

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_REQUEST_TIMEOUT_S = 5.0
_MOST_UNHEARD_BYTES = 134_217_728
_AWAY = "The message bus cannot be reached"

Listener = Callable[[], None]


class Subscription:
    """Interest in a subject. It outlives the connection: every new one takes it up again."""

    def __init__(
        self, bus: "Bus", subject: str, callback: Callable[[Msg], Awaitable[None]], *, most_bytes: int
    ) -> None:
        self.subject = subject
        self._bus = bus
        self._callback = callback
        self._most_bytes = most_bytes
        self._current: NatsSubscription | None = None

    async def close(self) -> None:
        """No more calls after this."""
        self._bus._subscriptions.discard(self)
        if self._current is not None:
            with contextlib.suppress(nats.errors.Error, OSError):
                await self._current.unsubscribe()
            self._current = None

    async def _take_up(self, client: Client) -> None:
        self._current = await client.subscribe(self.subject, cb=self._callback, pending_bytes_limit=self._most_bytes)


class Bus:
    """One connection to NATS.

    A lost connection is replaced by a wholly new one instead of nats-py's own reconnecting: that would send what was
    written meanwhile before we could repeat what was lost, and so change the order of messages.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self._servers = [part.strip() for part in url.split(",") if part.strip()]
        self._name = name
        self._client: Client | None = None
        self._connected = asyncio.Event()
        self._subscriptions: set[Subscription] = set()
        self._listeners: list[Listener] = []
        self._keeper: asyncio.Task[None] | None = None
        self.connection = 0
        """Which connection this is: counts up with every new one."""
        self.max_payload = 1_048_576
        """The largest message the server takes, in bytes."""

    # --- for everybody -----------------------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether NATS was there a moment ago."""
        return self._client is not None and self._client.is_connected

    async def connected(self, timeout_s: float | None = None) -> None:
        """Wait until there is a connection; `Unavailable` when it takes longer than `timeout_s`."""
        if not self.is_connected:
            # The connection may be gone without the keeper having seen it yet.
            self._connected.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._connected.wait()
        except TimeoutError:
            raise Unavailable(_AWAY) from None

    async def ready(self) -> None:
        """Raises `Unavailable` unless JetStream answers within two seconds."""
        try:
            async with asyncio.timeout(2), self.asking() as jetstream:
                await jetstream.account_info()
        except TimeoutError as error:
            raise Unavailable(_AWAY) from error

    async def nudge(self, subject: str, payload: bytes = b"") -> None:
        """Tell whoever listens right now. Nothing is kept; `Unavailable` when NATS is away."""
        try:
            await self.client.publish(subject, payload)
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(_AWAY) from error

    async def confirm(self) -> None:
        """Returns when NATS has what was sent so far; `Unavailable` when it may not have it."""
        try:
            # nats-py sends the ping of a flush ahead of what waits to be sent; a second one comes behind it.
            await self.client.flush(timeout=2)
            await self.client.flush(timeout=2)
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(_AWAY) from error

    async def on(
        self,
        subject: str,
        callback: Callable[[str, bytes], Awaitable[None]],
        *,
        most_bytes: int = _MOST_UNHEARD_BYTES,
    ) -> Subscription:
        """Call back with the subject and payload of each message; one call at a time, in order.

        What was sent while the connection was down is missed, and what would be more than `most_bytes` that wait to be
        called back with. What the callback raises is logged.
        """

        async def deliver(message: Msg) -> None:
            await callback(message.subject, message.data)

        return await self.subscribe(subject, deliver, most_bytes=most_bytes)

    async def answer(self, subject: str, callback: Callable[[bytes], Awaitable[bytes]]) -> Subscription:
        """Answer each question on the subject; one at a time. An answer that cannot be sent is logged and missed."""

        async def deliver(message: Msg) -> None:
            answer = await callback(message.data)
            try:
                await message.respond(answer)
            except (nats.errors.Error, OSError) as error:
                log.warning("question not answered", subject=subject, size_bytes=len(answer), reason=str(error))

        return await self.subscribe(subject, deliver)

    async def ask_all(self, subject: str, payload: bytes = b"", *, within_s: float, most: int) -> list[bytes]:
        """What everybody who answers on the subject says within a time, `most` answers at most.

        Nobody knows how many there are, so it takes the whole time, unless nobody listens. `Unavailable` without NATS.
        """
        answers: list[bytes] = []
        done = asyncio.Event()

        async def deliver(message: Msg) -> None:
            if len(answers) < most and not _is_nobody(message):
                answers.append(message.data)
            if len(answers) == most or _is_nobody(message):
                done.set()

        try:
            client = self.client
            inbox = client.new_inbox()
            subscription = await client.subscribe(inbox, cb=deliver)
            try:
                await client.publish(subject, payload, reply=inbox)
                await happens(done, within_s)
            finally:
                with contextlib.suppress(nats.errors.Error, OSError):
                    await subscription.unsubscribe()
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(_AWAY) from error
        return answers

    async def close(self) -> None:
        """Let callbacks finish, send what is still to be sent, and leave."""
        if self._keeper is not None:
            # nats-py swallows a cancellation now and then while it closes or connects: say it until it is heard.
            while not self._keeper.done():
                self._keeper.cancel()
                await asyncio.wait([self._keeper], timeout=0.1)
            self._keeper = None
        client, self._client = self._client, None
        self._connected.clear()
        if client is not None and not client.is_closed:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                await client.drain()
        if client is not None and not client.is_closed:
            with contextlib.suppress(nats.errors.Error, OSError):
                await client.close()

    # --- for the rest of this package --------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """The connection of the moment; `Unavailable` when there is none."""
        if self._client is None or not self._client.is_connected:
            raise Unavailable(_AWAY)
        return self._client

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[JetStreamContext]:
        """Ask JetStream something; when it does not answer, or goes away, that is `Unavailable`.

        Its refusals pass through as they are.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S) as limit:
                # What was asked over a connection that is gone will not be answered: do not wait for it.
                stop = self.listen(lambda: limit.reschedule(loop.time()))
                try:
                    yield self.client.jetstream(timeout=_REQUEST_TIMEOUT_S)
                finally:
                    stop()
        except (nats.js.errors.ServiceUnavailableError, TimeoutError, OSError) as error:
            raise Unavailable(_AWAY) from error
        except nats.js.errors.APIError:
            raise
        except nats.errors.Error as error:
            raise Unavailable(_AWAY) from error

    async def subscribe(
        self, subject: str, callback: Callable[[Msg], Awaitable[None]], *, most_bytes: int = _MOST_UNHEARD_BYTES
    ) -> Subscription:
        """Like `on`, with the whole message."""
        subscription = Subscription(self, subject, callback, most_bytes=most_bytes)
        self._subscriptions.add(subscription)
        if self.is_connected:
            # When this fails the connection is lost, and the next one takes the subscription up.
            with contextlib.suppress(nats.errors.Error, OSError, Unavailable):
                await subscription._take_up(self.client)
                await self.confirm()
        return subscription

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` whenever a connection was made or lost; the answer takes it back."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # --- keeping it --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name=f"bus {self._name}")

    async def _keep(self) -> None:
        while True:
            client, lost = await self._dial()
            for subscription in list(self._subscriptions):
                with contextlib.suppress(nats.errors.Error, OSError):
                    await subscription._take_up(client)
            self.max_payload = client.max_payload
            self.connection += 1
            self._client = client
            self._connected.set()
            log.info("bus connected", connection=self.connection)
            self._tell()
            # nats-py does not call back when its own closing stumbles over the broken socket, so we look as well.
            while client.is_connected and not lost.is_set():
                await happens(lost, 0.5)
            self._client = None
            self._connected.clear()
            log.warning("bus lost", reason=str(client.last_error or "closed"))
            self._tell()
            with contextlib.suppress(nats.errors.Error, OSError):
                await client.close()

    async def _dial(self) -> tuple[Client, asyncio.Event]:
        """A new connection, and the event of its loss."""
        pause_s, attempts = _FIRST_PAUSE_S, 0
        while True:
            client, lost = Client(), asyncio.Event()

            async def on_closed(lost: asyncio.Event = lost) -> None:
                lost.set()

            try:
                await client.connect(
                    servers=list(self._servers),
                    name=self._name,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=2,
                    ping_interval=5,
                    max_outstanding_pings=2,
                    drain_timeout=5,
                    error_cb=self._on_error,
                    closed_cb=on_closed,
                )
            except (nats.errors.Error, OSError, TimeoutError) as error:
                attempts += 1
                if attempts in (1, 10) or attempts % 100 == 0:
                    log.warning("bus away", attempts=attempts, reason=str(error) or type(error).__name__)
                with contextlib.suppress(nats.errors.Error, OSError):
                    await client.close()
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            else:
                return client, lost

    async def _on_error(self, error: Exception) -> None:
        # Losing the connection and failing to make one are told by ourselves, once.
        if not isinstance(error, OSError | TimeoutError | nats.errors.UnexpectedEOF | nats.errors.NoServersError):
            log.error("bus error", error=str(error), exc_info=error)

    def _tell(self) -> None:
        for listener in list(self._listeners):
            try:
                listener()
            except Exception:
                log.exception("bus listener failed")


def _is_news(record: logging.LogRecord) -> bool:
    """Whether nats-py says something else than that its own closing has stumbled over the broken socket."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, RuntimeError) and "closed" in str(error))


# That a connection is lost is told by ourselves, once.
logging.getLogger("nats.aio.client").addFilter(_is_news)


def _is_nobody(message: Msg) -> bool:
    """Whether the server answers that nobody listens."""
    return not message.data and (message.headers or {}).get("Status") == "503"


async def connect(url: str, *, name: str, timeout_s: float | None = None) -> Bus:
    """A bus at `nats://[user:password@]host:port` (several by comma: one cluster), known to the server as `name`.

    Waits until NATS is there: for ever, or until `timeout_s` have passed (`Unavailable`).
    """
    bus = Bus(url, name=name)
    bus.start()
    try:
        await bus.connected(timeout_s)
    except BaseException:
        await bus.close()
        raise
    return bus
