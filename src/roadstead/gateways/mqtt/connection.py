"""One connection: bytes in and out, over any transport, and who it is."""

import asyncio
import time
from collections.abc import Coroutine
from functools import partial
from hashlib import sha256
from typing import Any, cast

import structlog

from roadstead.gateways.mqtt.door import Admission, Hello, Listener, Rejection, Route, Verdict
from roadstead.gateways.mqtt.line import Pause
from roadstead.gateways.mqtt.packets import V5, V311, Connect, Will
from roadstead.gateways.mqtt.reader import find_frame, read_packet, read_version
from roadstead.gateways.mqtt.reasons import MalformedPacket, Reason
from roadstead.gateways.mqtt.registry import REVOKED, Registry
from roadstead.gateways.mqtt.session import Session
from roadstead.gateways.mqtt.terms import find_objection, refusal
from roadstead.gateways.mqtt.writer import write_packet
from roadstead.kernel.errors import Unavailable

log = structlog.get_logger(__name__)

_CONNECT = 0x10
_BUSY = frozenset({Pause.ADMITTING, Pause.ASKING})


class Connection(asyncio.Protocol):
    """From the first byte to the last. Its session begins when the doorkeeper has let it in."""

    def __init__(self, registry: Registry, listener: Listener) -> None:
        self.listener = listener
        self.heard_at = 0.0
        """Loop time of the last bytes, or of the moment from which we listened again."""
        self._registry = registry
        self._limits = registry.limits
        self._session: Session | None = None
        self._kept = bytearray()
        """Bytes that came and could not be read yet; they can when there are `_needed` of them."""
        self._needed = 0
        self._pauses: set[Pause] = set()
        self.is_busy = False
        """Whether something has to be found out before the next packet is looked at."""
        self._admitting: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    @property
    def address(self) -> str:
        """Host and port of the caller."""
        peer = self._transport.get_extra_info("peername")
        if not peer:
            return ""
        return f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"

    # --- called by the transport --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an instance of it when it is uvloop's, though it does all that one does.
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._limits.connect_s, self.end, "no CONNECT in time")
        self._registry.connections.add(self)
        if len(self._registry.connections) > self._limits.connections:
            self._registry.metrics.refused.labels("connection", "too many").inc()
            self.end("too many connections")

    def data_received(self, data: bytes) -> None:
        self.heard_at = self._loop.time()
        if self._is_over:
            return
        if self._kept or self.is_busy:
            self._kept += data
            if len(self._kept) < self._needed or self.is_busy:
                return
            data = bytes(self._kept)
            self._kept.clear()
        self._read(data)

    def eof_received(self) -> None:
        """A device that says no more gets no more: the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.end("connection lost")
        self._stop_timer()
        self._registry.connections.discard(self)

    def pause_writing(self) -> None:
        # A device that does not read its PUBACKs shall not make new ones.
        self.pause(Pause.CONGESTED)

    def resume_writing(self) -> None:
        self.resume(Pause.CONGESTED)
        if self._session is not None:
            self._session.flush()

    # --- called by the session ----------------------------------------------------------------------------------------

    @property
    def is_congested(self) -> bool:
        """Whether the device does not read fast enough."""
        return Pause.CONGESTED in self._pauses

    @property
    def is_deaf(self) -> bool:
        """Whether we do not read, and the device cannot help it."""
        return bool(self._pauses) and not self.is_congested

    def write(self, data: bytes) -> None:
        """Send, or buffer."""
        self._transport.write(data)

    def pause(self, why: Pause) -> None:
        """Stop reading: TCP slows the device down."""
        if not self._pauses and not self._is_over:
            self._transport.pause_reading()
        self._pauses.add(why)
        self.is_busy = self.is_busy or why in _BUSY

    def resume(self, why: Pause) -> None:
        """Go on when there is no other reason not to."""
        if why not in self._pauses:
            return
        self._pauses.discard(why)
        self.is_busy = not _BUSY.isdisjoint(self._pauses)
        if not self._pauses and not self._is_over:
            self.heard_at = self._loop.time()
            self._transport.resume_reading()

    def wait_for(self, deed: Coroutine[Any, Any, None]) -> None:
        """Read nothing until this is done. `MalformedPacket` and `Unavailable` end the connection."""
        self.pause(Pause.ASKING)
        self._asking = self._loop.create_task(self._do(deed))
        self._asking.add_done_callback(self._look_after)

    def end(self, text: str) -> None:
        """The end, whoever wanted it and for which reason; happens once. What was written still goes out."""
        if self._is_over:
            return
        self._is_over = True
        self._stop_timer()
        self._kept.clear()
        if self._session is not None:
            self._session.leave(text)
        elif self._admitting is not None:
            self._admitting.cancel()
        if self._asking is not None and self._asking is not asyncio.current_task():
            self._asking.cancel()
        self._transport.close()
        self._timer = self._loop.call_later(self._limits.linger_s, self._transport.abort)

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        at = 0
        try:
            at = self._read_first(data) if self._session is None else self._session.read(data)
            if at < len(data) and not self._is_over:
                frame = find_frame(data, at)
                self._needed = frame[1] - at if frame else len(data) - at + 1
                self._kept += data[at:]
        except MalformedPacket as error:
            self._break_off(error)
        if self._registry.is_full:
            self._registry.hold()
        elif self._registry.uplinks.behind and self._session is not None and not self._session.is_modest:
            # Everybody gets a word in, and nobody more than one, but for organizations that say little anyway.
            self._slow_down()

    def _slow_down(self) -> None:
        if Pause.SLOWED not in self._pauses:
            self.pause(Pause.SLOWED)
            self._registry.uplinks.when_caught_up(partial(self.resume, Pause.SLOWED))

    def _break_off(self, error: MalformedPacket) -> None:
        self._registry.metrics.refused.labels("packet", error.reason.label).inc()
        if self._session is not None:
            self._session.close(error.reason, str(error))
        else:
            self.end(str(error))

    async def _do(self, deed: Coroutine[Any, Any, None]) -> None:
        try:
            await deed
        except MalformedPacket as error:
            self._break_off(error)
        except Unavailable:
            self.end("cannot find out now what becomes of a packet")
        self._asking = None
        self._go_on(Pause.ASKING)

    def _read_first(self, data: bytes) -> int:
        """The first packet must be a CONNECT [MQTT-3.1.0-1]; answers where it ends, 0 while it is not whole."""
        if data[0] != _CONNECT:
            raise MalformedPacket("the first packet is no CONNECT", Reason.PROTOCOL_ERROR)
        frame = find_frame(data, 0)
        start, end = frame or (0, len(data) + 1)
        if end > self._limits.connect_bytes:
            raise MalformedPacket("the CONNECT is too large", Reason.PACKET_TOO_LARGE)
        if end > len(data):
            return 0
        body = data[start:end]
        try:
            connect = read_packet(_CONNECT, body, V311)
        except MalformedPacket as error:
            self._answer_malformed(body, error)
            raise
        assert isinstance(connect, Connect)
        self.pause(Pause.ADMITTING)
        self._admitting = self._loop.create_task(self._admit(connect))
        self._admitting.add_done_callback(self._look_after)
        return end

    def _answer_malformed(self, body: bytes, error: MalformedPacket) -> None:
        """A device of MQTT 5 is told what is wrong; another one only that its version is not spoken [MQTT-3.1.2-2]."""
        try:
            name, level = read_version(body)
        except MalformedPacket:
            return
        version = V5 if level >= V5 else V311
        if level == V5 or (error.reason is Reason.UNSUPPORTED_PROTOCOL_VERSION and name in ("MQTT", "MQIsdp")):
            self.write(write_packet(refusal(version, Rejection(error.reason, str(error))), version))

    # --- the doorkeeper -----------------------------------------------------------------------------------------------

    async def _admit(self, connect: Connect) -> None:
        began_at = time.monotonic()
        certificate: bytes | None = self._transport.get_extra_info("client_certificate")
        answer = find_objection(connect) or await self._ask(
            Hello(
                client_id=connect.client_id,
                username=connect.username,
                password=connect.password,
                certificate=certificate,
                address=self.address,
                listener=self.listener,
                version=connect.version,
                alpn=self._transport.get_extra_info("alpn", ""),
            )
        )
        if isinstance(answer, Rejection):
            self._reject(connect.version, answer)
            return
        bequest = await self._ask_about(answer, connect.will)
        if isinstance(bequest, Rejection):
            self._reject(connect.version, bequest)
            return
        fingerprint = answer.credential or (sha256(certificate).digest() if certificate is not None else b"")
        if self._registry.was_kicked((answer.key, fingerprint), began_at):
            self._reject(connect.version, Rejection(Reason.NOT_AUTHORIZED, REVOKED))
            return
        self._stop_timer()
        self._session = Session(self, self._registry, connect, answer, fingerprint, bequest)
        self._session.begin()
        self._go_on(Pause.ADMITTING)

    async def _ask(self, hello: Hello) -> Admission | Rejection:
        try:
            async with asyncio.timeout(self._limits.admission_s):
                return await self._registry.doorkeeper.admit(hello)
        except (TimeoutError, Unavailable):
            return Rejection(Reason.SERVER_UNAVAILABLE, "cannot check credentials now, come back later")
        except Exception:
            log.exception("the doorkeeper failed", address=hello.address)
            return Rejection(Reason.UNSPECIFIED_ERROR, "something went wrong here")

    async def _ask_about(self, admission: Admission, will: Will | None) -> Route | Verdict | Rejection:
        """What becomes of the will, should it be published."""
        if will is None:
            return Verdict.IGNORED
        try:
            async with asyncio.timeout(self._limits.admission_s):
                found = await admission.find_out(will.topic)
        except (TimeoutError, Unavailable):
            return Rejection(Reason.SERVER_UNAVAILABLE, "cannot check the topic of the will now, come back later")
        if found is Verdict.FORBIDDEN:
            return Rejection(Reason.NOT_AUTHORIZED, "the topic of the will is not the device's")
        return found

    def _reject(self, version: int, rejection: Rejection) -> None:
        self._registry.metrics.refused.labels("connection", rejection.reason.label).inc()
        log.info("connection refused", address=self.address, reason=rejection.reason.label, detail=rejection.text)
        self.write(write_packet(refusal(version, rejection), version))
        self._admitting = None
        self.end(rejection.text)

    def _look_after(self, admitting: asyncio.Task[None]) -> None:
        if admitting.cancelled() or (error := admitting.exception()) is None:
            return
        log.error("a session could not begin", address=self.address, exc_info=error)
        self.end("something went wrong here")

    def _go_on(self, why: Pause) -> None:
        """What came meanwhile is read now: devices need not wait, not even for the CONNACK, before they speak."""
        data = bytes(self._kept)
        self._kept.clear()
        self.resume(why)
        if data and not self._is_over:
            self._read(data)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
