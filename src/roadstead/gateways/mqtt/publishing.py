"""Messages of a session that are more than an ordinary PUBLISH: answers, for others, on free topics, or refused."""

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from roadstead.core.free_topics import Place, Said
from roadstead.core.messages import RefusalNotice, Uplink
from roadstead.gateways.mqtt.asides import Asides
from roadstead.gateways.mqtt.door import Admission, Route, Verdict
from roadstead.gateways.mqtt.limits import Limits
from roadstead.gateways.mqtt.line import Line
from roadstead.gateways.mqtt.packets import V5, Puback, Publish, Will
from roadstead.gateways.mqtt.reasons import MalformedPacket, Reason, protocol_error
from roadstead.gateways.mqtt.refused import RefusedMessages, make_notice, read_roughly
from roadstead.gateways.mqtt.registry import Registry
from roadstead.gateways.mqtt.writer import write_packet

_PUBLISH_TYPE = 3
_MOST_SHOWN = 100


class Speaker(Protocol):
    """The session whose messages these are."""

    @property
    def behind(self) -> int:
        """QoS 1 messages handed to the log that it does not have yet."""

    def hand_over(self, uplink: Uplink, packet_id: int) -> None:
        """Take a message to the log as all others, QoS 0 when it has no number."""

    def acknowledge(self, pubacks: bytes) -> None:
        """Write PUBACKs whose turn it is."""

    def failed(self, tokens: list[int]) -> None:
        """Messages could not be stored."""

    def tell_refused(self, notice: RefusalNotice) -> None:
        """Tell the log of a message that was refused."""

    def close(self, reason: Reason, text: str) -> None:
        """End the session."""


class Publishing:
    """Finds out what becomes of each of them, and keeps their PUBACKs in order."""

    def __init__(
        self, speaker: Speaker, line: Line, registry: Registry, admission: Admission, limits: Limits, *, version: int
    ) -> None:
        self.asides = Asides(speaker.acknowledge, speaker.failed)
        """QoS 1 messages that were refused, or take another way than the ordinary one."""
        self._speaker = speaker
        self._line = line
        self._registry = registry
        self._admission = admission
        self._house = admission.rules.house
        self._limits = limits
        self._version = version
        self._aliases: dict[int, bytes] = {}
        self._refused = RefusedMessages(speaker.tell_refused)

    def take(self, packet: Publish) -> None:
        """One message. Raises `MalformedPacket`."""
        self._registry.metrics.messages_in += 1
        if packet.qos > 1:
            raise MalformedPacket("QoS 2 is not offered", Reason.QOS_NOT_SUPPORTED)  # [MQTT-3.2.2-11]
        if packet.properties.subscription_ids:
            raise protocol_error("a device does not send subscription identifiers")  # [MQTT-3.3.4-6]
        topic = self._resolve_alias(packet)
        verdict = self._admission.judge(topic)
        if verdict is Verdict.UNKNOWN:
            self._line.wait_for(self._ask(packet, topic))
        else:
            self._carry_out(packet, topic, verdict)

    def refuse(self, error: MalformedPacket, first: int, body: bytes, length: int) -> None:
        """A packet of `length` bytes, of which `body` is here, ends the connection; of a message its owner reads."""
        if first >> 4 == _PUBLISH_TYPE:
            topic, payload = read_roughly(first, body, self._version)
            self._note_refused(error, topic, payload, max(length - len(body) + len(payload), 0))

    def last_words(self, will: Will, bequest: Route | Verdict) -> Callable[[], None] | None:
        """How to publish a will of which that becomes: as if the device had said it now, with QoS 0."""
        message = Publish(topic=will.topic, payload=will.payload)
        match bequest:
            case Route():
                return partial(self._log, message, bequest)
            case Verdict.FREE if self._house is not None:
                return partial(self._say, message, will.topic, self._house.place)
        return None

    def end(self) -> None:
        """The session is over."""
        self._refused.close()

    async def _ask(self, packet: Publish, topic: bytes) -> None:
        try:
            self._carry_out(packet, topic, await self._admission.find_out(topic))
        except MalformedPacket as error:
            self._note_refused(error, topic, packet.payload, len(packet.payload))
            raise

    def _carry_out(self, packet: Publish, topic: bytes, verdict: Route | Verdict) -> None:
        if self._house is not None and verdict is not Verdict.FORBIDDEN:
            self._house.count_in(verdict)
        match verdict:
            case Route():
                self._log(packet, verdict)
            case Verdict.FREE if self._house is not None:
                self._say(packet, topic, self._house.place)
            case Verdict.IGNORED:
                self._answer(packet, Reason.SUCCESS)
            case _:
                self._forbid(packet, topic)

    def _log(self, packet: Publish, route: Route) -> None:
        now = time.time_ns() // 1_000_000
        uplink = Uplink(self._admission.tenant, route.device, route.dialect, route.channel, now, packet.payload)
        if not route.is_answer:
            self._speaker.hand_over(uplink, packet.packet_id)
        elif packet.qos:
            # It goes to a stream of its own; its PUBACK keeps its place among the others.
            self._expect(packet)
            self._registry.answers.add(uplink, self.asides, packet.packet_id)
        else:
            self._registry.answers.add(uplink, None, 0)

    def _say(self, packet: Publish, topic: bytes, place: Place) -> None:
        """On a free topic, to whoever listens in the space. The PUBACK leaves when the bus has it."""
        said = Said(topic.decode(), packet.payload, packet.qos, self._admission.key)
        if packet.qos:
            self._expect(packet)
        self._registry.free_topics.say(place, said, self._said if packet.qos else None)

    def _said(self, arrived: bool) -> None:
        (self.asides.stored if arrived else self._speaker.failed)([0])

    def _expect(self, packet: Publish) -> None:
        self.asides.expect(write_packet(Puback(packet.packet_id), self._version), behind=self._speaker.behind)

    def _answer(self, packet: Publish, reason: Reason) -> None:
        """A message that goes nowhere: its PUBACK keeps its place among the others."""
        if not packet.qos:
            return
        puback, behind = write_packet(Puback(packet.packet_id, reason), self._version), self._speaker.behind
        if behind or self.asides:
            self.asides.refuse(puback, behind=behind)
        else:
            self._line.write(puback)

    def _resolve_alias(self, packet: Publish) -> bytes:
        alias = packet.properties.topic_alias
        if alias is None:
            return packet.topic
        if alias > self._limits.topic_aliases:
            raise MalformedPacket("a topic alias is larger than agreed", Reason.TOPIC_ALIAS_INVALID)
        if packet.topic:
            self._aliases[alias] = packet.topic
        elif alias not in self._aliases:
            raise protocol_error("a topic alias was never set")
        return self._aliases[alias]

    def _forbid(self, packet: Publish, topic: bytes) -> None:
        """A message to a topic that is not the device's own: nobody gets it."""
        self._registry.metrics.refused.labels("message", "topic").inc()
        error = MalformedPacket("published to a topic that is not the device's own", Reason.NOT_AUTHORIZED)
        self._note_refused(error, topic, packet.payload, len(packet.payload))
        rules = self._admission.rules
        if self._house is not None or (self._version < V5 and not rules.drop_forbidden):
            name = topic.decode()[:_MOST_SHOWN]
            self._speaker.close(Reason.NOT_AUTHORIZED, f"published to {name}, which is not its topic")
        else:
            self._answer(packet, Reason.NOT_AUTHORIZED)

    def _note_refused(self, error: MalformedPacket, topic: bytes, payload: bytes, size_bytes: int) -> None:
        self._refused.add(make_notice(error.reason, str(error), topic, payload, size_bytes=size_bytes))
