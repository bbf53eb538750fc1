"""What a process of the load generator is told, and what it answers: JSON, a line each."""

from typing import Literal

import msgspec


class Device(msgspec.Struct, frozen=True):
    """Somebody to be."""

    id: str
    topic: str
    """Where it reports its readings."""
    certificate: str = ""
    """PEM, with the private key after it; empty: it signs in with the key of the plan."""


class MqttPlan(msgspec.Struct, frozen=True, kw_only=True, tag="mqtt"):
    """Devices that connect over MQTT 3.1.1 and report."""

    host: str
    port: int
    devices: list[Device]
    key: str = ""
    """Their password."""
    authority: str = ""
    """PEM of whom they trust; with it they speak TLS."""
    pace: Literal["closed", "open", "flood", "idle"] = "closed"
    """closed: always `window` messages in flight on each connection. open: `rate` messages a second in all, whatever
    comes back. flood: QoS 0 as fast as the socket takes them. idle: nothing."""
    window: int = 10
    rate: float = 0
    qos: Literal[0, 1] = 1
    shape: Literal["items", "object"] = "items"
    """items: five readings, each with its time. object: one structured value of a component with five fields."""
    base_ms: int = 0
    """Time of the first message of each device, in ms since 1970; each later one is 1 ms further."""
    at_once: int = 50
    """How many connections are opened at the same time."""


class ConnectPlan(msgspec.Struct, frozen=True, kw_only=True, tag="connect"):
    """Devices that come with their certificate, are let in, and go: again and again."""

    host: str
    port: int
    devices: list[Device]
    authority: str
    at_once: int = 20


class Call(msgspec.Struct, frozen=True):
    """A request."""

    path: str
    body: str = ""
    """JSON; with it the request is a POST, without a GET."""


class HttpPlan(msgspec.Struct, frozen=True, kw_only=True, tag="http"):
    """Programs that ask for some things in turn, one request in flight on each connection."""

    host: str
    port: int
    calls: list[Call]
    key: str = ""
    connections: int = 8


class Senders(msgspec.Struct, frozen=True, kw_only=True):
    """An open-loop `MqttPlan`, as its listeners see it: who sends when can be computed."""

    device_ids: list[str]
    rate: float
    """0: not an open loop; then no latency is known."""
    base_ms: int


class LivePlan(msgspec.Struct, frozen=True, kw_only=True, tag="live"):
    """Programs that listen to the live stream over WebSocket. `done` counts events, latency is from when a message was
    due to be sent until the event was read.
    """

    host: str
    port: int
    key: str
    senders: list[Senders]
    subscriptions: list[list[str]]
    """The devices that each of them follows."""


class CommandPlan(msgspec.Struct, frozen=True, kw_only=True, tag="command"):
    """Devices that listen for commands, and programs that give them at a rate, to one device after the other.

    `done` counts commands that were taken. Latency is from when a command was due until a program was told of its
    success, of those that a program waits for.
    """

    host: str
    http_port: int
    mqtt_port: int
    devices: list[Device]
    key: str
    rate: float
    waits: int = 10
    """A program waits for every so manieth command to end."""
    programs: int = 50
    """Connections: as many requests can be under way."""


class UplinkPlan(msgspec.Struct, frozen=True, kw_only=True, tag="uplink"):
    """Messages put on the log as the gateway would, at a rate: devices take turns. `done` counts stored messages."""

    nats_url: str
    tenant: int
    device_ids: list[str]
    rate: float
    base_ms: int


Plan = MqttPlan | ConnectPlan | HttpPlan | LivePlan | CommandPlan | UplinkPlan


class Order(msgspec.Struct, frozen=True):
    """What to do next. `mark` asks for what happened since the last one, `stop` for the end when all is answered."""

    do: Literal["begin", "mark", "stop"]
    at: float = 0.0
    """With `begin`: the moment from which an open loop counts, by the machine's monotonic clock; the same for all."""


def due_at(began_at: float, rate: float, devices: int, device: int, number: int) -> float:
    """When an open loop sends message `number` of the device at this place: they take turns."""
    return began_at + (number * devices + device) / rate


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What happened since the last tally."""

    seconds: float
    sent: int = 0
    done: int = 0
    """Acknowledged messages, connections that were let in, requests that were answered."""
    failed: int = 0
    cpu_s: float = 0.0
    """Processor time of the generator itself."""
    latency: list[tuple[int, int]] = []
    """`Histogram.pairs`, microseconds."""
    longest: int = 0
    problem: str = ""
    """One of the failures, in words."""
    acknowledged: list[int] = []
    """With `stop`: for each device, how many messages from its first on were acknowledged."""


def as_lines(value: msgspec.Struct) -> bytes:
    """A line of JSON."""
    return msgspec.json.encode(value) + b"\n"
