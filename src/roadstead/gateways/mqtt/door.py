"""What the MQTT door asks of the house: who may come in, where messages go, and who else must know.

The gateway implements none of these; the composition root plugs them in.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum, StrEnum
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from roadstead.core.free_topics import Place
from roadstead.core.messages import Uplink
from roadstead.gateways.mqtt.limits import Limits
from roadstead.gateways.mqtt.reasons import Reason, return_code
from roadstead.kernel import ids
from roadstead.kernel.ids import DeviceId, TenantId

Channel = tuple[str, str]
"""Dialect and channel of an uplink."""


class Listener(StrEnum):
    """Through which port a device came."""

    MQTT = "mqtt"
    MQTTS = "mqtts"
    WS = "ws"


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a connection says about itself before it is let in."""

    client_id: str
    """Empty when the device leaves the choice to us."""
    username: str | None
    password: bytes | None
    certificate: bytes | None
    """The client certificate (DER). The handshake proved its key; nobody looked at its issuer and its dates yet."""
    address: str
    """Host and port of the caller."""
    listener: Listener
    version: int
    """Protocol level: 4 is MQTT 3.1.1, 5 is MQTT 5."""
    alpn: str
    """Application protocol agreed on in the TLS handshake, or empty."""


class Route(NamedTuple):
    """Where a message goes that a device publishes for another one."""

    device: bytes
    """The 12 free bytes of the id of the device the message speaks for, of the same tenant."""
    dialect: str
    channel: str
    is_answer: bool = False
    """Whether it takes the quick way, see `TopicRules.answers`."""


class Verdict(Enum):
    """What becomes of a message that does not go to the log."""

    FORBIDDEN = "nobody gets it"
    IGNORED = "it is taken, and of no use"
    FREE = "everybody in the space gets it who listens"
    UNKNOWN = "that has to be found out: `House.ask`"


class Grant(NamedTuple):
    """What a filter lets a session hear."""

    topics: tuple[str, ...] = ()
    """Exact topics that are meant for the device, or for one that it speaks for."""
    carried: tuple[bytes, ...] = ()
    """The devices (12 free bytes of their ids) that it speaks for on these topics."""
    is_free: bool = False
    """Whether it is about free topics as well."""


class House(Protocol):
    """The rules of one session of a dialect whose topics are no fixed list. What breaks them ends the connection."""

    place: Place
    """The space whose free topics are meant."""

    def narrow(self, limits: Limits) -> Limits:
        """The limits of the door, as narrow as this dialect has them."""

    def judge(self, topic: bytes) -> Route | Verdict:
        """What becomes of a message on a topic, as far as that is known here."""

    async def ask(self, topic: bytes) -> Route | Verdict:
        """The same for one that is `UNKNOWN`. Raises `Unavailable` when nobody can tell now."""

    async def grant(self, filter_: str) -> Grant | None:
        """What a filter is about that the session may hear; None when it may not subscribe to it."""

    def count_in(self, about: Route | Verdict) -> None:
        """A message of the device. Raises `MalformedPacket` when there are too many in this time."""

    def count_out(self) -> None:
        """A message on a free topic goes to the device. Raises `MalformedPacket` as `count_in`."""


class TopicRules(msgspec.Struct, frozen=True, kw_only=True):
    """What one session may publish and hear. Made once per session; afterwards a topic is a comparison of bytes."""

    publish: Mapping[bytes, Channel]
    """Exact topics on which the device speaks for itself."""
    answers: Mapping[bytes, Channel] = {}
    """Exact topics on which it answers what the platform has sent: these do not wait behind what devices measure."""
    others: Callable[[bytes], Route | None] | None = None
    """Asked about every other topic, for gateways that speak for devices behind them. Quick, and never waits."""
    hear: tuple[str, ...] = ()
    """Exact topics the device may hear. A filter is granted when it matches at least one of them."""
    drop_forbidden: bool = False
    """Whether MQTT 3.1.1 sessions survive a message to a topic that is not theirs; it is dropped in any case."""
    house: House | None = None
    """Asked about every topic that does not stand here, if the dialect has one."""


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """The caller is this device."""

    tenant: TenantId
    organization: UUID
    """The tenant's public id."""
    device: DeviceId
    dialect: str
    rules: TopicRules
    credential: bytes = b""
    """What let it in if not a certificate: `Gateway.kick_fingerprint` ends its sessions by that."""
    expires_at: datetime | None = None
    """When what let it in comes to its end, and the session with it."""

    @property
    def key(self) -> bytes:
        """The 12 free bytes of the device's id: what sessions are found by."""
        return ids.to_bytes(self.device)

    def judge(self, topic: bytes) -> Route | Verdict:
        """Where a message of this device to `topic` goes, or what else becomes of it."""
        channel = self.rules.publish.get(topic)
        if channel is not None:
            return Route(self.key, *channel)
        answer = self.rules.answers.get(topic)
        if answer is not None:
            return Route(self.key, *answer, is_answer=True)
        if self.rules.house is not None:
            return self.rules.house.judge(topic)
        route = self.rules.others(topic) if self.rules.others is not None else None
        return Verdict.FORBIDDEN if route is None else route

    async def find_out(self, topic: bytes) -> Route | Verdict:
        """The same, and never `UNKNOWN`. Raises `Unavailable` when nobody can tell now."""
        verdict = self.judge(topic)
        if verdict is Verdict.UNKNOWN and self.rules.house is not None:
            return await self.rules.house.ask(topic)
        return verdict


class Rejection(msgspec.Struct, frozen=True):
    """The caller stays outside."""

    reason: Reason
    text: str
    """For the device's owner; travels in the CONNACK of MQTT 5."""

    @property
    def return_code(self) -> int:
        """What a CONNACK of MQTT 3.1.1 says."""
        return return_code(self.reason)


class Doorkeeper(Protocol):
    """Decides who comes in."""

    async def admit(self, hello: Hello) -> Admission | Rejection:
        """Raises `Unavailable` when it cannot decide now: the device is told to come back."""


class Waiter(Protocol):
    """Who wants to know what became of its messages."""

    def stored(self, tokens: list[int]) -> None:
        """These are in the log, durably. Called once per pack, in the order in which they were added."""

    def failed(self, tokens: list[int]) -> None:
        """The log could not take these; they may or may not be in it. The device has to send them again."""


class Account(Protocol):
    """Who counts how much of theirs is on its way to the log."""

    def settled(self, size: int) -> None:
        """So many bytes are on their way no longer, whatever became of them."""


class Uplinks(Protocol):
    """The way to the log: collects uplinks for a few milliseconds and writes them together."""

    @property
    def full(self) -> bool:
        """Whether as much waits for the log as may wait. Who reads from a device stops then."""

    @property
    def behind(self) -> bool:
        """Whether too much waits on the log. Who has sent something waits then before they are read again."""

    def add(self, uplink: Uplink, waiter: Waiter | None, token: int) -> None:
        """Take one message, also when full; tell `waiter` by `token` what became of it, nobody when there is none."""

    def charge(self, account: Account, size: int) -> None:
        """Tell `account` as soon as what was added last is on the log, or never will be."""

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call once, as soon as it is no longer full."""

    def when_caught_up(self, callback: Callable[[], None]) -> None:
        """Call once, as soon as it is no longer behind."""


class Peers(Protocol):
    """The other gateway processes."""

    def arrived(self, device: bytes, gateway: str, opened_at: int) -> None:
        """Tell them that the device's newest session lives in `gateway` since `opened_at` (ms since 1970).

        Each answers it with its `Gateway.oust`. Returns at once.
        """
