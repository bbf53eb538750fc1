"""The outgoing side of a session, put through any order of events."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roadstead.gateways.mqtt.outbox import Message, Outbox
from roadstead.gateways.mqtt.packets import V5, Publish
from roadstead.gateways.mqtt.reader import find_frame, read_packet
from roadstead.gateways.mqtt.subscriptions import Heard

MOST_MESSAGES, MOST_BYTES, WINDOW = 8, 400, 3
TOPICS = ["commands", "desired"]


class Device(RuleBasedStateMachine):
    """A device that subscribes, acknowledges, goes and comes back, while messages come for it."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: dict[str, Heard] = {}
        self.outbox = Outbox(self.heard, most_messages=MOST_MESSAGES, most_bytes=MOST_BYTES)
        self.outbox.start(version=V5, window=WINDOW, packet_bytes=200)
        self.told: dict[int, list[bool]] = {}
        self.unacknowledged: dict[int, bytes] = {}
        self.got: list[bytes] = []

    @rule(topic=st.sampled_from(TOPICS), size=st.integers(0, 220), qos=st.integers(0, 1), key=st.sampled_from("  ab"))
    def send(self, topic: str, size: int, qos: int, key: str) -> None:
        """A message for the device."""
        number = len(self.told)
        told: list[bool] = []
        payload = b"%d " % number + bytes(size)
        message = Message(topic=topic, payload=payload, qos=qos, key=key.strip(), done=told.append)
        if self.outbox.offer(message):
            self.told[number] = told
        else:
            assert not told

    @rule()
    def read(self) -> None:
        """The device reads all it can."""
        data, count = self.outbox.take(10_000)
        while data:
            frame = find_frame(data, 0)
            assert frame is not None
            packet = read_packet(data[0], data[frame[0] : frame[1]], V5)
            assert isinstance(packet, Publish)
            data = data[frame[1] :]
            count -= 1
            self.got.append(packet.payload)
            if packet.qos:
                assert packet.duplicate == (self.unacknowledged.get(packet.packet_id) == packet.payload)
                self.unacknowledged[packet.packet_id] = packet.payload
        assert count == 0

    @rule(place=st.integers(0, 2), arrived=st.booleans())
    def acknowledge(self, place: int, arrived: bool) -> None:
        """The device answers one message."""
        if place < len(self.unacknowledged):
            packet_id = list(self.unacknowledged)[place]
            del self.unacknowledged[packet_id]
            self.outbox.acknowledge(packet_id, arrived=arrived)

    @rule(topic=st.sampled_from(TOPICS), qos=st.integers(0, 1))
    def subscribe(self, topic: str, qos: int) -> None:
        """The device wants to hear a topic."""
        self.heard[topic] = Heard(qos, ())
        self.outbox.listen()

    @rule(topic=st.sampled_from(TOPICS))
    def unsubscribe(self, topic: str) -> None:
        """Or no more."""
        self.heard.pop(topic, None)
        self.outbox.listen()

    @rule()
    def come_back(self) -> None:
        """A new connection of the same session."""
        self.outbox.start(version=V5, window=WINDOW, packet_bytes=200)

    @invariant()
    def memory_is_bounded(self) -> None:
        """Whatever happens."""
        assert len(self.outbox) <= MOST_MESSAGES
        assert 0 <= self.outbox.size_bytes <= MOST_BYTES
        assert len(self.unacknowledged) <= WINDOW

    def teardown(self) -> None:
        """In the end each sender was told once."""
        self.outbox.abandon()
        assert self.outbox.size_bytes == len(self.outbox) == 0
        assert all(len(told) == 1 for told in self.told.values())


TestOutbox = Device.TestCase
TestOutbox.settings = settings(max_examples=150, stateful_step_count=40)


def test_a_message_that_finds_no_room_never_costs_another_one_its_place() -> None:
    outbox = Outbox({"commands": Heard(1, ())}, most_messages=2, most_bytes=400)
    outbox.start(version=V5, window=WINDOW, packet_bytes=0)
    told: dict[str, bool] = {}

    def offer(name: str, *, topic: str = "commands", qos: int = 1) -> bool:
        message = Message(
            topic=topic, payload=name.encode(), qos=qos, done=lambda arrived: told.update({name: arrived})
        )
        return outbox.offer(message)

    assert offer("first") and offer("second")
    assert not offer("third")
    assert offer("unheard", topic="desired")
    assert offer("fleeting", qos=0)
    assert told == {"unheard": False, "fleeting": False}
    packets, count = outbox.take(10_000)
    assert count == 2 and b"first" in packets and b"second" in packets


def test_a_newer_message_of_a_key_does_not_outgrow_the_bound() -> None:
    outbox = Outbox({"desired": Heard(1, ())}, most_messages=10, most_bytes=400)
    outbox.start(version=V5, window=WINDOW, packet_bytes=0)
    told: list[bool] = []
    for key in "abc":
        assert outbox.offer(Message(topic="desired", payload=b"", key=key, done=told.append))
    assert outbox.offer(Message(topic="desired", payload=bytes(300), key="a"))
    assert not outbox.offer(Message(topic="desired", payload=bytes(300), key="b"))
    assert told == [False, False]
    assert outbox.size_bytes <= 400
