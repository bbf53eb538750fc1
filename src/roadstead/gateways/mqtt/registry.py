"""The sessions of one gateway process: one for each device, and those that wait for their device to come back.

What survives: while a device is away, its subscriptions and the messages it has not acknowledged stay in the memory of
the process it was connected to, within bounds, until they expire. They do not survive the process, and a device that
comes back through another process gets a new session (`session present` 0). What must survive, such as commands and the
desired configuration, is kept in the database and sent again by who owns it when the device subscribes; messages with a
`key` are not sent twice for that.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Protocol
from uuid import UUID

import msgspec

from roadstead.core.free_topics import FreeTopics
from roadstead.gateways.mqtt.door import Doorkeeper, Peers, Uplinks
from roadstead.gateways.mqtt.free_topics import Guest, Halls
from roadstead.gateways.mqtt.limits import Limits
from roadstead.gateways.mqtt.line import Pause
from roadstead.gateways.mqtt.metrics import Metrics
from roadstead.gateways.mqtt.outbox import Message, Outbox
from roadstead.gateways.mqtt.reasons import Reason
from roadstead.gateways.mqtt.shares import Shares
from roadstead.gateways.mqtt.subscriptions import Subscriptions
from roadstead.kernel import ids
from roadstead.kernel.ids import TenantId

TAKEN_OVER = "the device has opened another session"
REVOKED = "access was withdrawn"


class LiveSession(Protocol):
    """A session that is connected, as the registry sees it."""

    key: bytes
    """The 12 free bytes of the device's id."""
    tenant: TenantId
    organization: UUID
    """The tenant's public id."""
    dialect: str
    name: str
    """Tells it from all other sessions there ever were."""
    fingerprint: bytes
    """SHA-256 of the certificate (DER) it came with, or `Admission.credential`, or empty."""
    opened_at: int
    """In ms since 1970."""

    @property
    def is_waiting(self) -> bool:
        """Whether messages of the device are on their way into the log."""

    def hears(self, topic: str) -> bool:
        """Whether the device has subscribed to it."""

    def deliver(self, message: Message) -> bool:
        """Send a message as soon as the device can take it; False when the session is over, now or for this reason."""

    def close(self, reason: Reason, text: str, *, keep: bool = True) -> None:
        """End it now; `keep` False also forgets what would wait for the device to come back."""

    def hold(self, held: bool, why: Pause = Pause.HELD) -> None:
        """Stop reading from the device, or go on when there is no other reason not to."""


class Way(Protocol):
    """Where messages of devices go."""

    @property
    def full(self) -> bool:
        """Whether as much waits there as may wait."""

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call once, as soon as it is no longer full."""


class Caller(Protocol):
    """A connection, of a session or not yet."""

    def end(self, text: str) -> None:
        """Close it."""


class Parked(msgspec.Struct, kw_only=True):
    """A session whose device is away."""

    client_id: str
    subscriptions: Subscriptions
    outbox: Outbox
    publish_will: Callable[[], None] | None = None
    will_delay_s: int = 0
    timers: list[asyncio.TimerHandle] = []


class Registry:
    """Finds sessions by device, ends them, and stops them all from reading while the log cannot keep up."""

    def __init__(
        self,
        *,
        doorkeeper: Doorkeeper,
        uplinks: Uplinks,
        answers: Uplinks | None = None,
        peers: Peers | None,
        on_hearing: Callable[[bytes], None] | None = None,
        on_carrying: Callable[[bytes, bytes], None] | None = None,
        free_topics: FreeTopics | None = None,
        metrics: Metrics,
        limits: Limits,
    ) -> None:
        """`answers`: the way that `TopicRules.answers` take; `on_hearing` is told of a device that hears more now, and
        `on_carrying` of one that another one hears for.
        """
        self.doorkeeper = doorkeeper
        self.uplinks = uplinks
        self.answers = answers or uplinks
        self.on_hearing = on_hearing or (lambda _: None)
        self._on_carrying = on_carrying or (lambda *_: None)
        self._free_topics = free_topics
        self.halls = Halls(free_topics) if free_topics is not None else None
        self.metrics = metrics
        self.limits = limits
        self.shares = Shares(
            uplinks,
            bound_bytes=limits.waiting_bytes,
            tenant_bytes=limits.tenant_waiting_bytes,
            bytes_per_s=limits.tenant_bytes_per_s,
        )
        self.name = str(ids.new_id())
        """Of this gateway process; another one at each start."""
        self.live: dict[bytes, LiveSession] = {}
        self.connections: set[Caller] = set()
        self.is_held = False
        self._peers = peers
        self._parked: dict[bytes, Parked] = {}
        self._parked_bytes = 0
        self._by_fingerprint: dict[bytes, set[LiveSession]] = {}
        self._kicked_at: dict[bytes, float] = {}
        self._carriers: dict[bytes, dict[Guest, None]] = {}
        self._number = 0

    @property
    def free_topics(self) -> FreeTopics:
        """The way of what is said on free topics: there is one where there are houses."""
        assert self._free_topics is not None
        return self._free_topics

    def carry(self, device: bytes, guest: Guest) -> None:
        """A session hears what is meant for another device."""
        self._carriers.setdefault(device, {})[guest] = None
        self._on_carrying(device, guest.key)

    def uncarry(self, device: bytes, guest: Guest) -> None:
        """It does so no longer."""
        carriers = self._carriers.get(device, {})
        carriers.pop(guest, None)
        if not carriers:
            self._carriers.pop(device, None)

    def find_carriers(self, device: bytes) -> list[LiveSession]:
        """The sessions that have subscribed to what is meant for another device, the last one first."""
        return [self.live[guest.key] for guest in reversed(self._carriers.get(device, {})) if guest.key in self.live]

    def next_number(self) -> int:
        """Counts the sessions of this process."""
        self._number += 1
        return self._number

    def enter(self, session: LiveSession, *, client_id: str, clean_start: bool) -> Parked | None:
        """A session begins; the device's older one ends. Answers what was kept for it [MQTT-3.1.2-4] [MQTT-3.1.2-5]."""
        older = self.live.get(session.key)
        if older is not None:
            older.close(Reason.SESSION_TAKEN_OVER, TAKEN_OVER)  # [MQTT-3.1.4-3]
        self.live[session.key] = session
        if session.fingerprint:
            self._by_fingerprint.setdefault(session.fingerprint, set()).add(session)
        if self._peers is not None:
            self._peers.arrived(session.key, self.name, session.opened_at)
        parked = self._unpark(session.key)
        if parked is None:
            return None
        if clean_start or parked.client_id != client_id:
            self._finish(parked)
            return None
        return parked

    def leave(self, session: LiveSession, parked: Parked | None, *, expiry_s: int) -> None:
        """A session's connection has ended; what is `parked` waits `expiry_s` for the device."""
        if self.live.get(session.key) is session:
            del self.live[session.key]
        family = self._by_fingerprint.get(session.fingerprint)
        if family is not None:
            family.discard(session)
            if not family:
                del self._by_fingerprint[session.fingerprint]
        if parked is not None:
            self._park(session.key, parked, expiry_s)

    def kick(self, device: bytes, text: str) -> bool:
        """End whatever session the device has, forget what was kept, and refuse one that is just being let in."""
        self._remember_kick(device)
        self.forget(device)
        session = self.live.get(device)
        if session is not None:
            session.close(Reason.NOT_AUTHORIZED, text, keep=False)
        return session is not None

    def kick_fingerprint(self, fingerprint: bytes, text: str) -> int:
        """End every session that was opened with this certificate (SHA-256 of the DER); says how many."""
        self._remember_kick(fingerprint)
        sessions = list(self._by_fingerprint.get(fingerprint, ()))
        for session in sessions:
            session.close(Reason.NOT_AUTHORIZED, text, keep=False)
        return len(sessions)

    def kick_tenant(self, tenant: TenantId, text: str) -> int:
        """End every session of a tenant's devices; says how many."""
        sessions = [session for session in self.live.values() if session.tenant == tenant]
        for session in sessions:
            self.kick(session.key, text)
        return len(sessions)

    def was_kicked(self, marks: Iterable[bytes], since: float) -> bool:
        """Whether one of these (device, fingerprint) was kicked after `since` (monotonic time).

        The doorkeeper may have looked a moment before access was withdrawn.
        """
        return any(self._kicked_at.get(mark, -1.0) >= since for mark in marks)

    def oust(self, device: bytes, gateway: str, opened_at: int) -> None:
        """The device has a session in another process since `opened_at`; an older one here ends."""
        if gateway == self.name:
            return
        session = self.live.get(device)
        if session is None:
            self.forget(device)
        elif (session.opened_at, self.name) < (opened_at, gateway):
            session.close(Reason.SESSION_TAKEN_OVER, TAKEN_OVER, keep=False)

    def forget(self, device: bytes) -> None:
        """Let go of what is kept for a device that is away; its delayed will is not published."""
        parked = self._unpark(device)
        if parked is not None:
            parked.outbox.abandon()

    def forget_all(self) -> None:
        """The process ends, and with it every session that was kept."""
        for device in list(self._parked):
            self._expire(device)

    @property
    def is_full(self) -> bool:
        """Whether as much waits for the log as may wait."""
        # Asked after each portion: written out, because a loop costs more than all there is to ask.
        free_topics = self._free_topics
        return self.uplinks.full or self.answers.full or (free_topics is not None and free_topics.full)

    def hold(self) -> None:
        """The log cannot keep up: no session reads until it can."""
        if self.is_held:
            return
        self.is_held = True
        for session in self.live.values():
            session.hold(True)
        self._release_later()

    def _release_later(self) -> None:
        ways: list[Way] = [self.answers, *([] if self._free_topics is None else [self._free_topics])]
        next((way for way in ways if way.full), self.uplinks).when_room(self._release)

    def _release(self) -> None:
        if self.is_full:
            self._release_later()
            return
        self.is_held = False
        for session in list(self.live.values()):
            session.hold(False)

    def _park(self, device: bytes, parked: Parked, expiry_s: int) -> None:
        # The session that took over is in its place already: it wants this state at once, or never.
        self._parked[device] = parked
        loop = asyncio.get_running_loop()
        parked.timers = [loop.call_later(expiry_s, self._expire, device)]
        if parked.publish_will is not None:
            parked.timers.append(loop.call_later(min(parked.will_delay_s, expiry_s), self._publish_will, parked))
        self._parked_bytes += parked.outbox.size_bytes
        limits = self.limits
        while len(self._parked) > limits.parked_sessions or self._parked_bytes > limits.parked_bytes:
            self._expire(next(iter(self._parked)))

    def _unpark(self, device: bytes) -> Parked | None:
        parked = self._parked.pop(device, None)
        if parked is not None:
            self._parked_bytes -= parked.outbox.size_bytes
            for timer in parked.timers:
                timer.cancel()
        return parked

    def _expire(self, device: bytes) -> None:
        parked = self._unpark(device)
        if parked is not None:
            self._finish(parked)

    def _finish(self, parked: Parked) -> None:
        self._publish_will(parked)
        parked.outbox.abandon()

    def _publish_will(self, parked: Parked) -> None:
        publish, parked.publish_will = parked.publish_will, None
        if publish is not None:
            publish()

    def _remember_kick(self, mark: bytes) -> None:
        now = time.monotonic()  # the loop's clock is too coarse to say what came first
        longest = self.limits.admission_s + 1.0
        while self._kicked_at and now - next(iter(self._kicked_at.values())) > longest:
            del self._kicked_at[next(iter(self._kicked_at))]
        self._kicked_at.pop(mark, None)
        self._kicked_at[mark] = now
