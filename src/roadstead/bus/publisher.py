"""Puts messages on the log in order, and says of each when it is safe there."""

import asyncio
import itertools
import secrets
from collections import deque
from collections.abc import Callable

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg

from roadstead.bus.connection import Bus, Subscription
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.waiting import happens

log = structlog.get_logger()

Done = Callable[[int | None], None]
"""Told the sequence of the message in its stream, or None when it may not be there."""

_WATCH_S = 0.25
_NOT_READY_PAUSE_S = 0.1


class _Refusal(msgspec.Struct):
    code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    seq: int = 0
    error: _Refusal | None = None


class _Sent:
    """A message on its way."""

    __slots__ = ("born_at", "done", "headers", "payload", "sent_at", "subject")

    def __init__(self, subject: str, payload: bytes, message_id: str, done: Done, born_at: float) -> None:
        self.subject = subject
        self.payload = payload
        self.headers = {"Nats-Msg-Id": message_id}
        self.done = done
        self.born_at = born_at
        self.sent_at = 0.0


class Publisher:
    """Publishes to streams, many messages in flight, first come first stored, also across lost connections.

    What the server does not acknowledge is sent again under the same message id, which the stream keeps once within
    its duplicate window; after `give_up_s` it counts as failed. What the server refuses fails at once. A new connection
    begins with one message alone, because a server that is just starting may be deaf to the first and hear the second.
    """

    def __init__(self, bus: Bus, *, give_up_s: float = 30.0, resend_s: float = 5.0) -> None:
        self._bus = bus
        self._give_up_s = give_up_s
        self._resend_s = resend_s
        self._inbox = f"_INBOX.{secrets.token_hex(11)}"
        self._tokens = itertools.count(1)
        self._flight: dict[int, _Sent] = {}
        self._unsent: deque[int] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._sender: asyncio.Task[None] | None = None
        self._inbound: Subscription | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._resend_soon: asyncio.TimerHandle | None = None
        self._stop_listening: Callable[[], None] | None = None
        self._steady = False
        """The server has answered on this connection; until then one message at a time."""
        self._refused = False

    async def start(self) -> None:
        """Begin to listen for acknowledgements. Once, before anything is published."""
        self._inbound = await self._bus.subscribe(f"{self._inbox}.*", self._on_answer)
        self._stop_listening = self._bus.listen(self._on_connection)
        self._sender = asyncio.get_running_loop().create_task(self._send(), name="bus publisher")

    @property
    def in_flight(self) -> int:
        """How many messages are neither stored nor given up."""
        return len(self._flight)

    @property
    def waiting_s(self) -> float:
        """For how long the oldest message in flight has not been answered; 0 when there is none."""
        oldest = next(iter(self._flight.values()), None)
        return 0.0 if oldest is None else asyncio.get_running_loop().time() - oldest.born_at

    def publish(self, subject: str, payload: bytes, *, message_id: str, done: Done) -> None:
        """Send, and call `done` exactly once. Never waits; the caller bounds how much is in flight."""
        loop = asyncio.get_running_loop()
        token = next(self._tokens)
        self._flight[token] = _Sent(subject, payload, message_id, done, loop.time())
        self._idle.clear()
        if self._steady or len(self._flight) == 1:
            self._unsent.append(token)
            self._wake.set()
        if self._watch is None:
            self._watch = loop.call_later(_WATCH_S, self._look)

    async def put(self, subject: str, payload: bytes, *, message_id: str) -> int:
        """Send and wait; the sequence in the stream. `Unavailable` when it may not be there."""
        future: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

        def done(sequence: int | None) -> None:
            if not future.done():
                future.set_result(sequence)

        self.publish(subject, payload, message_id=message_id, done=done)
        sequence = await future
        if sequence is None:
            raise Unavailable("The log did not take the message")
        return sequence

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait for what is in flight, but not for ever; the rest fails."""
        if self._bus.is_connected:
            await happens(self._idle, timeout_s)
        for timer in (self._watch, self._resend_soon):
            if timer is not None:
                timer.cancel()
        if self._stop_listening is not None:
            self._stop_listening()
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        if self._inbound is not None:
            await self._inbound.close()
        for token in list(self._flight):
            self._finish(token, None)

    # --- sending -----------------------------------------------------------------------------------------------------

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._unsent and self._bus.is_connected:
                token = self._unsent.popleft()
                sent = self._flight.get(token)
                if sent is None:
                    continue
                sent.sent_at = loop.time()
                try:
                    await self._bus.client.publish(
                        sent.subject, sent.payload, reply=f"{self._inbox}.{token}", headers=sent.headers
                    )
                except nats.errors.MaxPayloadError:
                    log.error("message too large for the log", subject=sent.subject, size_bytes=len(sent.payload))
                    self._finish(token, None)
                except (nats.errors.Error, OSError, Unavailable):
                    # The connection is going; the next one begins with everything that is in flight.
                    break

    def _begin_again(self) -> None:
        self._resend_soon = None
        self._steady = False
        self._unsent = deque(itertools.islice(self._flight, 1))
        self._wake.set()

    def _go_on(self) -> None:
        self._steady = True
        self._unsent = deque(self._flight)
        self._wake.set()

    def _on_connection(self) -> None:
        if self._bus.is_connected:
            self._begin_again()
        else:
            self._unsent.clear()

    def _look(self) -> None:
        """Give up what is too old; send again what the server has left unanswered."""
        self._watch = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for token, sent in list(self._flight.items()):
            if now - sent.born_at < self._give_up_s:
                break
            log.warning("log did not answer", subject=sent.subject, after_s=round(now - sent.born_at, 1))
            self._finish(token, None)
        if not self._flight:
            return
        oldest = next(iter(self._flight.values()))
        if self._bus.is_connected and now - max(oldest.sent_at, oldest.born_at) > self._resend_s:
            self._begin_again()
        self._watch = loop.call_later(_WATCH_S, self._look)

    # --- answers -----------------------------------------------------------------------------------------------------

    async def _on_answer(self, message: Msg) -> None:
        token = int(message.subject.rpartition(".")[2])
        if token not in self._flight:
            return
        if not message.data:
            # "No responders": JetStream is starting, or a stream is without a leader for a moment.
            if self._resend_soon is None:
                loop = asyncio.get_running_loop()
                self._resend_soon = loop.call_later(_NOT_READY_PAUSE_S, self._begin_again)
            return
        try:
            answer = msgspec.json.decode(message.data, type=_Answer)
        except msgspec.DecodeError as error:
            answer = _Answer(error=_Refusal(description=str(error)))
        if answer.error is not None or answer.seq <= 0:
            if not self._refused:
                log.error("log refuses", subject=self._flight[token].subject, reason=answer.error)
            self._refused = True
            self._finish(token, None)
        else:
            self._refused = False
            self._finish(token, answer.seq)
        if not self._steady:
            self._go_on()

    def _finish(self, token: int, sequence: int | None) -> None:
        sent = self._flight.pop(token, None)
        if sent is None:
            return
        try:
            sent.done(sequence)
        except Exception:
            log.exception("publisher callback failed")
        if not self._flight:
            self._idle.set()
