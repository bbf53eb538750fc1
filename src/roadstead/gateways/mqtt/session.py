"""One session: what a device that was let in and the platform say to each other while it is connected."""

import asyncio
import struct
import time
from datetime import datetime

import msgspec
import structlog

from roadstead.core.free_topics import Said
from roadstead.core.messages import CONNECTED, DISCONNECTED, REFUSED, SESSION, RefusalNotice, SessionNotice, Uplink
from roadstead.gateways.mqtt.door import Admission, House, Route, Verdict
from roadstead.gateways.mqtt.hearing import Hearing
from roadstead.gateways.mqtt.line import Line, Pause
from roadstead.gateways.mqtt.outbox import Message, Outbox
from roadstead.gateways.mqtt.packets import (
    V5,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from roadstead.gateways.mqtt.publishing import Publishing
from roadstead.gateways.mqtt.reader import find_frame, read_packet
from roadstead.gateways.mqtt.reasons import MalformedPacket, Reason, protocol_error
from roadstead.gateways.mqtt.registry import Parked, Registry
from roadstead.gateways.mqtt.subscriptions import Heard
from roadstead.gateways.mqtt.terms import agree, explanation, welcome
from roadstead.gateways.mqtt.writer import write_packet

log = structlog.get_logger(__name__)

# By the first byte of a PUBLISH: 1 for QoS 0, 2 for QoS 1. Anything else is looked at by the strict reader.
_PUBLISH = bytes({0x30: 1, 0x31: 1, 0x32: 2, 0x33: 2, 0x3A: 2, 0x3B: 2}.get(first, 0) for first in range(256))

_PUBACK = 0x40020000
"""A PUBACK without reason as an integer: with the packet id it is the token of a message, and the answer to it."""

_PUBLISH_TYPE = 3
_WRITE_BYTES = 65_536
_DAY_S = 86_400.0


class Session:
    """Takes messages to the log and acknowledges them when it has them; brings messages to the device.

    PUBACKs leave in the order of their messages [MQTT-4.6.0-2].
    """

    def __init__(
        self,
        line: Line,
        registry: Registry,
        connect: Connect,
        admission: Admission,
        fingerprint: bytes,
        bequest: Route | Verdict,
    ) -> None:
        """`bequest` is what becomes of the will, should it be published."""
        self.key = admission.key
        self.tenant = admission.tenant
        self.organization = admission.organization
        self.dialect = admission.dialect
        self.fingerprint = fingerprint
        self.opened_at = time.time_ns() // 1_000_000
        self._line = line
        self._registry = registry
        house = admission.rules.house
        self._limits = house.narrow(registry.limits) if house is not None else registry.limits
        self._metrics = registry.metrics
        self._uplinks = registry.uplinks
        self._share = registry.shares.of(admission.tenant)
        self._loop = asyncio.get_running_loop()
        self._admission = admission
        self._connect = connect
        self._version = connect.version
        self._terms = agree(connect, self._limits, assigned_id=str(admission.device))
        self._number = registry.next_number()
        self.name = f"{registry.name}/{self._number}"
        self._hearing = Hearing(admission, self._version, self._limits, self._metrics, registry.halls)
        self._outbox = Outbox(
            self._hearing.topics.heard,
            most_messages=self._limits.outgoing_messages,
            most_bytes=self._limits.outgoing_bytes,
        )
        self._will = connect.will
        self._bequest = bequest
        self._received = 0
        """QoS 1 messages handed to the log; of them ..."""
        self._stored = 0
        """... it has these."""
        self._heard = 0
        """Messages of any kind from the device; ..."""
        self._told = 0
        """... and to it."""
        self._publishing = Publishing(self, line, registry, admission, self._limits, version=self._version)
        self._asides = self._publishing.asides
        self._probe: tuple[int, float] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._is_over = False

    @property
    def is_waiting(self) -> bool:
        """Whether messages of this device are on their way into the log."""
        return self._received > self._stored or self._asides.is_waiting

    def begin(self) -> None:
        """Old state or new, a notice, the CONNACK, and what the device missed."""
        terms = self._terms
        parked = self._registry.enter(self, client_id=terms.client_id, clean_start=self._connect.clean_start)
        if parked is not None:
            self._hearing.topics, self._outbox = parked.subscriptions, parked.outbox
            self._hearing.topics.change_topics(self._admission.rules.hear)
        self._outbox.start(version=self._version, window=terms.send_window, packet_bytes=terms.packet_bytes)
        self._metrics.sessions.labels(self._line.listener).inc()
        self._notify(CONNECTED)
        self._send(welcome(self._connect, terms, self._limits, session_present=parked is not None))
        if terms.keep_alive_s:
            self._timer = self._loop.call_later(terms.keep_alive_s * 1.5, self._check_keep_alive)
        if self._admission.expires_at is not None:
            self._watch_end(self._admission.expires_at)
        if self._registry.is_held:
            self._line.pause(Pause.HELD)
        self._share.enter(self)
        self.flush()
        if len(self._hearing.topics):
            self._registry.on_hearing(self.key)

    # --- from the device ----------------------------------------------------------------------------------------------

    def read(self, data: bytes) -> int:  # noqa: PLR0912, PLR0915 - a call costs as much as a quarter of a message
        """Work through the whole packets in `data`; answers where the first one begins that is not whole.

        Raises `MalformedPacket`. Ordinary PUBLISH packets never leave this loop: it bounds what a process can take in.
        """
        size, at = len(data), 0
        most, is_v5 = self._limits.packet_bytes, self._version == V5
        tenant, device = self._admission.tenant, self.key
        channels, add = self._admission.rules.publish, self._uplinks.add
        now = time.time_ns() // 1_000_000
        messages, received = 0, self._received
        while True:
            start = at + 2
            if start > size:
                break
            length = data[at + 1]
            end = start + length
            if length > 0x7F:
                if start < size and 0 < data[start] < 0x80:
                    end = start + 1 + (length & 0x7F | data[start] << 7)
                    start += 1
                else:
                    frame = find_frame(data, at)
                    if frame is None:
                        break
                    start, end = frame
            if end - at > most:
                error = MalformedPacket(f"a packet has more than {most} bytes", Reason.PACKET_TOO_LARGE)
                self._publishing.refuse(error, data[at], data[start:], end - start)
                raise error
            if end > size:
                break
            first = data[at]
            at = end
            quick = _PUBLISH[first]
            if quick and start + 2 <= end:
                topic_end = start + 2 + (data[start] << 8 | data[start + 1])
                payload_at = (topic_end if quick == 1 else topic_end + 2) + is_v5
                # A topic that reaches over the end of its packet finds no channel or fails the comparison after it.
                channel = channels.get(data[start + 2 : topic_end])
                if channel is not None and payload_at <= end and not (is_v5 and data[payload_at - 1]):
                    uplink = Uplink(tenant, device, *channel, now, data[payload_at:end])
                    if quick == 1:
                        add(uplink, None, 0)
                        messages += 1
                        continue
                    packet_id = data[topic_end] << 8 | data[topic_end + 1]
                    if packet_id:
                        add(uplink, self, _PUBACK | packet_id)
                        received += 1
                        messages += 1
                        continue
            self._received = received
            self._read_one(first, data[start:end])
            received = self._received
            if self._is_over:
                return size
            if self._line.is_busy:
                break
        self._received = received
        self._heard += messages
        self._metrics.messages_in += messages
        self._metrics.bytes_in += at
        if at:
            self._share.take(at)  # fairness costs this much: one call for all messages of a portion
        if received > self._stored or self._asides:
            self._look_at_backlog(self._in_flight)
        return at

    @property
    def is_modest(self) -> bool:
        """Whether the organization has sent little lately, beside what others have."""
        return self._share.is_modest

    @property
    def behind(self) -> int:
        """QoS 1 messages handed to the log that it does not have yet."""
        return self._received - self._stored

    def hand_over(self, uplink: Uplink, packet_id: int) -> None:
        """Take a message to the log as all others, QoS 0 when it has no number."""
        if packet_id:
            self._received += 1
            self._uplinks.add(uplink, self, _PUBACK | packet_id)
        else:
            self._uplinks.add(uplink, None, 0)

    @property
    def _in_flight(self) -> int:
        """QoS 1 messages of the device without PUBACK, but for those that wait for another's."""
        return self._received - self._stored + len(self._asides)

    def _look_at_backlog(self, waiting: int) -> None:
        """After each portion: does the device have more messages on the way than it may?"""
        if waiting >= self._limits.receive_maximum:
            if waiting > self._limits.receive_maximum and self._version == V5:
                raise MalformedPacket("more messages in flight than agreed", Reason.RECEIVE_MAXIMUM_EXCEEDED)
            self._line.pause(Pause.CROWDED)
        if self._probe is None and self._metrics.is_sampling(self._line.heard_at):
            self._probe = (self._received, self._line.heard_at)

    def _read_one(self, first: int, body: bytes) -> None:
        """Everything but an ordinary PUBLISH."""
        try:
            self._take(read_packet(first, body, self._version))
        except MalformedPacket as error:
            self._publishing.refuse(error, first, body, len(body))
            raise

    def _take(self, packet: Packet) -> None:
        match packet:
            case Publish():
                self._heard += 1
                self._publishing.take(packet)
            case Puback():
                self._outbox.acknowledge(packet.packet_id, arrived=packet.reason < Reason.UNSPECIFIED_ERROR)
                self.flush()
            case Pingreq():
                self._send(Pingresp())
            case Subscribe():
                self._subscribe(packet)
            case Unsubscribe():
                # [MQTT-3.10.4-4]
                self._send(Unsuback(packet.packet_id, self._hearing.unsubscribe(packet, self)))
            case Disconnect():
                self._take_disconnect(packet)
            # Steps of QoS 2, which no session here has agreed on: left over from one with another server.
            case Pubrel():
                self._send(Pubcomp(packet.packet_id, Reason.PACKET_IDENTIFIER_NOT_FOUND))
            case Pubrec():
                self._send(Pubrel(packet.packet_id, Reason.PACKET_IDENTIFIER_NOT_FOUND))
            case Pubcomp():
                pass
            case _:
                raise protocol_error(f"a {type(packet).__name__.upper()} must not come now")  # [MQTT-3.1.0-2]

    def _subscribe(self, packet: Subscribe) -> None:
        house = self._admission.rules.house
        if house is None:
            self._confirm(packet, self._hearing.subscribe(packet))
        else:
            self._line.wait_for(self._ask_and_subscribe(packet, house))

    async def _ask_and_subscribe(self, packet: Subscribe, house: House) -> None:
        self._confirm(packet, await self._hearing.ask(packet, house, self, self._registry))

    def _confirm(self, packet: Subscribe, codes: bytes) -> None:
        self._send(Suback(packet.packet_id, codes))  # [MQTT-3.8.4-1]
        self._outbox.listen()
        self.flush()
        self._registry.on_hearing(self.key)

    def _take_disconnect(self, packet: Disconnect) -> None:
        asked_s = packet.properties.session_expiry_s
        if asked_s is not None:
            if asked_s and not self._connect.properties.session_expiry_s:
                raise protocol_error("a session that ends with its connection cannot be kept")
            expiry_s = min(asked_s, self._limits.session_expiry_s)
            self._terms = msgspec.structs.replace(self._terms, expiry_s=expiry_s)
        if packet.reason is Reason.SUCCESS:
            self._will = None  # [MQTT-3.14.4-3]
            self._line.end("closed by the device")
        else:
            self._line.end(f"closed by the device: {packet.reason.label}")

    # --- from the log -------------------------------------------------------------------------------------------------

    def stored(self, tokens: list[int]) -> None:
        """The log has these messages: acknowledge them."""
        if self._is_over:
            return
        self._stored += len(tokens)
        if self._asides:
            self._asides.pass_by(tokens)
        else:
            self.acknowledge(struct.pack(f">{len(tokens)}I", *tokens))
        if self._probe is not None and self._stored >= self._probe[0]:
            self._metrics.acknowledgement.observe(self._loop.time() - self._probe[1])
            self._probe = None

    def acknowledge(self, pubacks: bytes) -> None:
        """Write PUBACKs whose turn it is."""
        if self._is_over:
            return
        if pubacks:
            self._line.write(pubacks)
        if self._in_flight <= self._limits.receive_maximum // 2:
            self._line.resume(Pause.CROWDED)

    def failed(self, tokens: list[int]) -> None:
        """The log could not take them. The device sends them again in its next session."""
        self.close(Reason.SERVER_UNAVAILABLE, "messages could not be stored, send them again")

    # --- to the device ------------------------------------------------------------------------------------------------

    def hears(self, topic: str) -> bool:
        """Whether the device has subscribed to it."""
        return topic in self._hearing.topics.heard

    def deliver(self, message: Message) -> bool:
        """Send a message as soon as the device can take it; False when the session is over, now or for this reason."""
        if self._is_over:
            return False
        if not self._outbox.offer(message):
            self.close(Reason.QUOTA_EXCEEDED, "does not take its messages")
            return False
        self.flush()
        return True

    def overhear(self, said: Said, heard: Heard) -> None:
        """Something was said on a free topic that the device listens to."""
        house = self._admission.rules.house
        if self._is_over or house is None:
            return
        try:
            house.count_out()
        except MalformedPacket as error:
            self.close(error.reason, str(error))
        else:
            self.deliver(Message(topic=said.topic, payload=said.payload, qos=said.qos, heard=heard))

    def flush(self) -> None:
        """Write what waits, as far as the device keeps up."""
        while not self._is_over and not self._line.is_congested:
            packets, count = self._outbox.take(_WRITE_BYTES)
            if not count:
                return
            self._told += count
            self._metrics.messages_out += count
            self._metrics.bytes_out += len(packets)
            self._line.write(packets)

    def hold(self, held: bool, why: Pause = Pause.HELD) -> None:
        """Stop reading because the log cannot keep up, or for another reason that is not the device's; or go on."""
        if held:
            self._line.pause(why)
        else:
            self._line.resume(why)

    def _send(self, packet: Packet) -> None:
        data = write_packet(packet, self._version)
        most = self._terms.packet_bytes
        if most and len(data) > most:  # [MQTT-3.1.2-24]
            self._line.end("takes no packet as large as the answer to its own")
        else:
            self._line.write(data)

    def _notify(self, channel: str, reason: str = "") -> None:
        """Tell the log that the device came or went, in one order with its messages."""
        notice = SessionNotice(self._registry.name, self._number, reason, self._line.address, self._heard, self._told)
        self._say(channel, notice)

    def tell_refused(self, notice: RefusalNotice) -> None:
        """Tell the log of a message that was refused."""
        self._say(REFUSED, notice)

    def _say(self, channel: str, notice: SessionNotice | RefusalNotice) -> None:
        now, payload = time.time_ns() // 1_000_000, msgspec.msgpack.encode(notice)
        self._uplinks.add(Uplink(self._admission.tenant, self.key, SESSION, channel, now, payload), None, 0)

    # --- the end ------------------------------------------------------------------------------------------------------

    def close(self, reason: Reason, text: str, *, keep: bool = True) -> None:
        """End it from this side; the device learns why in MQTT 5. Without `keep` nothing waits for its return."""
        if self._is_over:
            return
        self._metrics.ended.labels(reason.label).inc()
        if not keep:
            self._terms = msgspec.structs.replace(self._terms, expiry_s=0)
        if self._version == V5:
            packet, most = write_packet(Disconnect(reason, explanation(text)), V5), self._terms.packet_bytes
            if most and len(packet) > most:  # [MQTT-3.14.2-3]
                packet = write_packet(Disconnect(reason), V5)
            self._line.write(packet)
        self._line.end(text)

    def leave(self, text: str) -> None:
        """The connection has ended: last will, notice, and what waits for the device to come back."""
        self._is_over = True
        for timer in (self._timer, self._end_timer):
            if timer is not None:
                timer.cancel()
        self._share.leave(self)
        self._hearing.end(self, self._registry)
        self._metrics.sessions.labels(self._line.listener).dec()
        expiry_s = self._terms.expiry_s
        will, delay_s = None, self._connect.will.properties.will_delay_s if self._connect.will else 0
        if self._will is not None:
            will = self._publishing.last_words(self._will, self._bequest)
        if will is not None and not (delay_s and expiry_s):
            will()
            will = None
        self._publishing.end()
        self._notify(DISCONNECTED, text)
        parked = None
        if expiry_s:
            parked = Parked(
                client_id=self._terms.client_id,
                subscriptions=self._hearing.topics,
                outbox=self._outbox,
                publish_will=will,
                will_delay_s=delay_s or 0,
            )
        self._registry.leave(self, parked, expiry_s=expiry_s)
        if parked is None:
            self._outbox.abandon()

    def _check_keep_alive(self) -> None:
        """[MQTT-3.1.2-22]: one and a half times the keep-alive without a word. Not while it is us who do not listen."""
        longest_s = self._terms.keep_alive_s * 1.5
        left_s = longest_s if self._line.is_deaf else longest_s - (self._loop.time() - self._line.heard_at)
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._check_keep_alive)
        else:
            self.close(Reason.KEEP_ALIVE_TIMEOUT, "keep-alive")

    def _watch_end(self, at: datetime) -> None:
        """Nobody stays longer than the credential it came with. The device may come back with a newer one."""
        left_s = at.timestamp() - time.time()
        if left_s > 0:
            # Looked at once a day, because the clock may be set meanwhile.
            self._end_timer = self._loop.call_later(min(left_s, _DAY_S), self._watch_end, at)
        else:
            self.close(Reason.MAXIMUM_CONNECT_TIME, "the credential has expired")
