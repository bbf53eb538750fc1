"""What a session hears: its filters, seen against the few topics that are meant for it."""

from collections.abc import Mapping
from typing import NamedTuple

from roadstead.gateways.mqtt.packets import Subscription
from roadstead.gateways.mqtt.topics import matches


class Heard(NamedTuple):
    """How messages on a topic go out."""

    qos: int
    """The highest that a matching filter was granted [MQTT-3.3.4-2]."""
    ids: tuple[int, ...]
    """Subscription identifiers of the matching filters, to be sent along [MQTT-3.3.4-4]."""


class Subscriptions:
    """The filters of one session. There is no routing between devices: a session hears the topics of its own rules."""

    def __init__(self, topics: tuple[str, ...]) -> None:
        self._topics = topics
        self._filters: dict[str, tuple[int, int]] = {}
        self._heard: dict[str, Heard] = {}

    @property
    def heard(self) -> Mapping[str, Heard]:
        """By topic; what is not there is not heard."""
        return self._heard

    def __len__(self) -> int:
        return len(self._filters)

    def __contains__(self, filter_: str) -> bool:
        return filter_ in self._filters

    def is_allowed(self, filter_: str) -> bool:
        """Whether a filter is about anything that this session may hear."""
        return any(matches(filter_, topic) for topic in self._topics)

    def add(self, subscription: Subscription, identifier: int) -> int:
        """Subscribe, in place of an earlier one with this filter [MQTT-3.8.4-3]. Answers the QoS granted, at most 1."""
        qos = min(subscription.qos, 1)
        self._filters[subscription.filter] = (qos, identifier)
        self._update()
        return qos

    def remove(self, filter_: str) -> bool:
        """Unsubscribe; False when there was no such subscription."""
        if self._filters.pop(filter_, None) is None:
            return False
        self._update()
        return True

    def change_topics(self, topics: tuple[str, ...]) -> None:
        """The session goes on under new rules; filters that are about nothing now are forgotten."""
        self._topics = topics
        self._filters = {filter_: terms for filter_, terms in self._filters.items() if self.is_allowed(filter_)}
        self._update()

    def _update(self) -> None:
        self._heard.clear()
        for topic in self._topics:
            matching = [terms for filter_, terms in self._filters.items() if matches(filter_, topic)]
            if matching:
                ids = tuple(identifier for _, identifier in matching if identifier)
                self._heard[topic] = Heard(max(qos for qos, _ in matching), ids)
