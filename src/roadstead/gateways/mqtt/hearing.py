"""What one session has subscribed to: topics that are meant for it, and free ones of its space."""

from typing import Protocol

from roadstead.gateways.mqtt.door import Admission, House
from roadstead.gateways.mqtt.free_topics import Guest, Halls
from roadstead.gateways.mqtt.limits import Limits
from roadstead.gateways.mqtt.metrics import Metrics
from roadstead.gateways.mqtt.packets import V5, Subscribe, Unsubscribe
from roadstead.gateways.mqtt.reasons import SUBSCRIPTION_REFUSED, MalformedPacket, Reason
from roadstead.gateways.mqtt.subscriptions import Subscriptions

_MOST_SHOWN = 100


class Carriers(Protocol):
    """Who speaks for which devices in this process."""

    def carry(self, device: bytes, guest: Guest) -> None:
        """A session hears what is meant for another device."""

    def uncarry(self, device: bytes, guest: Guest) -> None:
        """It does so no longer."""


class Hearing:
    """The subscriptions of one session."""

    def __init__(
        self, admission: Admission, version: int, limits: Limits, metrics: Metrics, halls: Halls | None
    ) -> None:
        self.topics = Subscriptions(admission.rules.hear)
        self._version = version
        self._limits = limits
        self._metrics = metrics
        self._halls = halls
        self._house = admission.rules.house
        self._free: set[str] = set()
        self._carried: set[bytes] = set()

    def subscribe(self, packet: Subscribe) -> bytes:
        """Subscribe, as far as the rules allow it; the codes of the SUBACK [MQTT-3.8.4-6]."""
        codes = bytearray()
        for wanted in packet.subscriptions:
            objection = self._find_objection(wanted.filter)
            if objection is None and not self.topics.is_allowed(wanted.filter):
                objection = Reason.NOT_AUTHORIZED
            codes.append(self._refuse(objection) if objection else self.topics.add(wanted, _identifier(packet)))
        return bytes(codes)

    async def ask(self, packet: Subscribe, house: House, guest: Guest, carriers: Carriers) -> bytes:
        """The same where a house decides. Raises `MalformedPacket` for a filter that it does not grant."""
        codes = bytearray()
        for wanted in packet.subscriptions:
            objection = self._find_objection(wanted.filter)
            if objection is not None:
                codes.append(self._refuse(objection))
                continue
            grant = await house.grant(wanted.filter)
            if grant is None:
                self._refuse(Reason.NOT_AUTHORIZED)
                text = f"subscribed to {wanted.filter[:_MOST_SHOWN]}, which it may not hear"
                raise MalformedPacket(text, Reason.NOT_AUTHORIZED)
            self.topics.allow(grant.topics)
            codes.append(self.topics.add(wanted, _identifier(packet)))
            for device in grant.carried:
                self._carried.add(device)
                carriers.carry(device, guest)
            if grant.is_free and self._halls is not None:
                self._free.add(wanted.filter)
                await self._halls.listen(house.place, guest, wanted, _identifier(packet))
        return bytes(codes)

    def unsubscribe(self, packet: Unsubscribe, guest: Guest) -> bytes:
        """The codes of the UNSUBACK."""
        codes = bytearray()
        for filter_ in packet.filters:
            removed = self.topics.remove(filter_)
            self._leave(filter_, guest)
            codes.append(Reason.SUCCESS if removed else Reason.NO_SUBSCRIPTION_EXISTED)
        return bytes(codes)

    def end(self, guest: Guest, carriers: Carriers) -> None:
        """The session is over: what others know of it is forgotten."""
        for filter_ in list(self._free):
            self._leave(filter_, guest)
        for device in self._carried:
            carriers.uncarry(device, guest)

    def _leave(self, filter_: str, guest: Guest) -> None:
        if filter_ in self._free and self._house is not None and self._halls is not None:
            self._free.discard(filter_)
            self._halls.leave(self._house.place, guest, filter_)

    def _find_objection(self, filter_: str) -> Reason | None:
        if filter_.startswith("$share/"):
            return Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
        if filter_ not in self.topics and len(self.topics) >= self._limits.subscriptions:
            return Reason.QUOTA_EXCEEDED
        return None

    def _refuse(self, objection: Reason) -> int:
        self._metrics.refused.labels("subscription", objection.label).inc()
        return objection if self._version == V5 else SUBSCRIPTION_REFUSED


def _identifier(packet: Subscribe) -> int:
    return (packet.properties.subscription_ids or (0,))[0]
