"""What the MQTT door counts.

Numbers that change with every message are plain integers, read when they are collected: a counter of the library takes
as long as the rest of a message.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_SAMPLES_PER_S = 1_000.0


class Metrics(Collector):
    """Counters of one gateway process, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages_in = 0
        self.bytes_in = 0
        self.messages_out = 0
        self.bytes_out = 0
        self.next_sample_at = 0.0
        self.sessions = Gauge("roadstead_mqtt_sessions", "Devices connected", ["listener"], registry=registry)
        self.refused = Counter(
            "roadstead_mqtt_refused", "Connections, messages and subscriptions refused", ["what", "reason"],
            registry=registry,
        )  # fmt: skip
        self.ended = Counter("roadstead_mqtt_sessions_ended", "Sessions that ended", ["reason"], registry=registry)
        self.handshakes = Counter("roadstead_tls_handshakes", "TLS handshakes", ["outcome"], registry=registry)
        self.acknowledgement = Histogram(
            "roadstead_mqtt_acknowledgement_seconds",
            "From the arrival of a QoS 1 message to its PUBACK; a sample of at most a thousand a second",
            buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
            registry=registry,
        )
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The plain integers."""
        yield CounterMetricFamily("roadstead_mqtt_messages_in", "Messages from devices", value=self.messages_in)
        yield CounterMetricFamily("roadstead_mqtt_bytes_in", "Bytes from devices", value=self.bytes_in)
        yield CounterMetricFamily("roadstead_mqtt_messages_out", "Messages to devices", value=self.messages_out)
        yield CounterMetricFamily("roadstead_mqtt_bytes_out", "Bytes of messages to devices", value=self.bytes_out)

    def count_handshake(self, outcome: str) -> None:
        """A TLS handshake has ended: `ok`, `failed` or `timeout`."""
        self.handshakes.labels(outcome).inc()

    def is_sampling(self, now: float) -> bool:
        """Whether an acknowledgement that is awaited from `now` on is to be measured."""
        if now < self.next_sample_at:
            return False
        self.next_sample_at = now + 1 / _SAMPLES_PER_S
        return True
