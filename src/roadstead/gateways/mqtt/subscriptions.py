"""What a session hears: its filters, seen against the few topics that are meant for it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from roadstead.gateways.mqtt.packets import Subscription
from roadstead.kernel.topics import matches


class Heard(NamedTuple):
    """How messages on a topic go out."""

    qos: int
    """The highest that a matching filter was granted [MQTT-3.3.4-2]."""
    ids: tuple[int, ...]
    """Subscription identifiers of the matching filters, to be sent along [MQTT-3.3.4-4]."""


class Subscriptions:
    """The filters of one session. There is no routing between devices: a session hears the topics of its own rules."""

    def __init__(self, topics: tuple[str, ...]) -> None:
        self._topics = dict.fromkeys(topics)
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

    def allow(self, topics: Iterable[str]) -> None:
        """These are meant for the session as well."""
        self._topics |= dict.fromkeys(topics)

    def is_allowed(self, filter_: str) -> bool:
        """Whether a filter is about anything that this session may hear."""
        return bool(self._about(filter_))

    def add(self, subscription: Subscription, identifier: int) -> int:
        """Subscribe, in place of an earlier one with this filter [MQTT-3.8.4-3]. Answers the QoS granted, at most 1."""
        qos = min(subscription.qos, 1)
        self._filters[subscription.filter] = (qos, identifier)
        self._update(self._about(subscription.filter))
        return qos

    def remove(self, filter_: str) -> bool:
        """Unsubscribe; False when there was no such subscription."""
        if self._filters.pop(filter_, None) is None:
            return False
        self._update(self._about(filter_))
        return True

    def change_topics(self, topics: tuple[str, ...]) -> None:
        """The session goes on under new rules; filters that are about nothing now are forgotten."""
        self._topics = dict.fromkeys(topics)
        self._filters = {filter_: terms for filter_, terms in self._filters.items() if self.is_allowed(filter_)}
        self._heard.clear()
        self._update(self._topics)

    def _about(self, filter_: str) -> list[str]:
        """The topics that a filter is about. Who speaks for many others has thousands, and asks for one at a time."""
        if "+" not in filter_ and "#" not in filter_:
            return [filter_] if filter_ in self._topics else []
        return [topic for topic in self._topics if matches(filter_, topic)]

    def _update(self, topics: Iterable[str]) -> None:
        for topic in topics:
            matching = [terms for filter_, terms in self._filters.items() if matches(filter_, topic)]
            if matching:
                ids = tuple(identifier for _, identifier in matching if identifier)
                self._heard[topic] = Heard(max(qos for qos, _ in matching), ids)
            else:
                self._heard.pop(topic, None)
