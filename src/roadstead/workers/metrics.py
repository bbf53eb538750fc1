"""What the workers count."""

import time
from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from roadstead.core.telemetry import Quarantined

_SECONDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 60.0)


class StoreMetrics:
    """Counters of one store process, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages = Counter("roadstead_store_messages", "Messages from devices worked off", registry=registry)
        self.points = Counter("roadstead_store_points", "Points stored", registry=registry)
        self.refused = Counter("roadstead_store_refused", "Values refused", ["reason"], registry=registry)
        self.unreadable = Counter("roadstead_store_unreadable", "Packs or messages of nobody", registry=registry)
        self.batch = Histogram(
            "roadstead_store_batch_messages", "Messages in one batch", registry=registry,
            buckets=(1, 10, 100, 1_000, 3_000, 10_000, 30_000, 100_000),
        )  # fmt: skip
        self.delay = Histogram(
            "roadstead_store_delay_seconds", "From the door to stored and acknowledged, the oldest message of a batch",
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip

    def count(self, messages: int, points: int, refused: Sequence[Quarantined], *, oldest_received: int | None) -> None:
        """A batch is done."""
        self.messages.inc(messages)
        self.points.inc(points)
        self.batch.observe(messages)
        for reason, number in Tally(entry.refusal.reason for entry in refused).items():
            self.refused.labels(reason.value).inc(number)
        if oldest_received is not None:
            self.delay.observe(max(time.time() - oldest_received / 1000, 0))


class StateMetrics:
    """Counters of the state projection, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.devices = Counter("roadstead_state_devices", "Device states written", registry=registry)
        self.flush = Histogram(
            "roadstead_state_flush_seconds", "Time to write what has changed", registry=registry, buckets=_SECONDS
        )
        self.position = Gauge("roadstead_state_position", "Last sequence of ACCEPTED in the states", registry=registry)


class DeliveryMetrics:
    """Counters of notifications that are sent, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = Counter(
            "roadstead_notification_attempts", "Attempts to send a notification", ["type", "outcome"], registry=registry
        )
        self.duration = Histogram(
            "roadstead_notification_seconds", "Time that an attempt took", ["type"], registry=registry, buckets=_SECONDS
        )


class RuleMetrics:
    """Counters of the evaluation, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages = Counter("roadstead_rules_messages", "Messages that rules looked at", registry=registry)
        self.firings = Counter("roadstead_rules_firings", "Turns of alerts", ["turn"], registry=registry)
        self.watches = Gauge(
            "roadstead_rules_watches", "Sensors looked at, each counted for every rule that does", registry=registry
        )
        self.lag = Histogram(
            "roadstead_rules_lag_seconds", "From accepted to evaluated and written down, the oldest of a batch",
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip
