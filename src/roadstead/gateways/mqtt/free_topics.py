"""Free topics in one gateway process: which of its sessions listen to what, each within its own space.

A hall is a space of which sessions here listen. What is said elsewhere comes into the hall of its space and into no
other, because each has its own subject on the bus and its own tree of filters.
"""

import asyncio
from collections.abc import Iterator
from typing import Protocol

import msgspec
import structlog

from roadstead.core.free_topics import Ear, FreeTopics, Place, Said
from roadstead.gateways.mqtt.packets import Subscription
from roadstead.gateways.mqtt.subscriptions import Heard
from roadstead.kernel.errors import Unavailable

log = structlog.get_logger(__name__)


class Guest(Protocol):
    """A session that listens to free topics."""

    key: bytes
    """The 12 free bytes of the id of its device."""

    def overhear(self, said: Said, heard: Heard) -> None:
        """Something was said that it listens to."""


class Wish(msgspec.Struct, frozen=True):
    """How a guest wants what a filter is about."""

    qos: int
    identifier: int
    without_own: bool
    """Not what it has said itself."""


class FilterTree:
    """The filters of all guests of a hall, level by level: finding those of a topic does not look at all others."""

    def __init__(self) -> None:
        self._below: dict[str, FilterTree] = {}
        self._wishes: dict[Guest, Wish] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nobody listens to anything."""
        return not self._below and not self._wishes

    def add(self, filter_: str, guest: Guest, wish: Wish) -> None:
        """A guest listens, or does so in another way."""
        node = self
        for level in filter_.split("/"):
            node = node._below.setdefault(level, FilterTree())
        node._wishes[guest] = wish

    def remove(self, filter_: str, guest: Guest) -> None:
        """A guest does not listen to this any more."""
        self._remove(filter_.split("/"), guest)

    def _remove(self, levels: list[str], guest: Guest) -> None:
        if not levels:
            self._wishes.pop(guest, None)
            return
        below = self._below.get(levels[0])
        if below is not None:
            below._remove(levels[1:], guest)
            if below.is_empty:
                del self._below[levels[0]]

    def find(self, said: Said) -> dict[Guest, Heard]:
        """Who wants to hear it, each once; with the best of what their filters ask for."""
        found: dict[Guest, Heard] = {}
        levels = said.topic.split("/")
        for wishes in self._matching(levels, 0, wildcards=not said.topic.startswith("$")):
            for guest, wish in wishes.items():
                if wish.without_own and guest.key == said.speaker:
                    continue
                qos, ids = found.get(guest, _NOTHING)
                found[guest] = Heard(max(qos, wish.qos), (*ids, wish.identifier) if wish.identifier else ids)
        return found

    def _matching(self, levels: list[str], at: int, *, wildcards: bool = True) -> Iterator[dict[Guest, Wish]]:
        rest = self._below.get("#") if wildcards else None
        if rest is not None:
            yield rest._wishes
        if at == len(levels):
            yield self._wishes
            return
        for level in (levels[at], "+") if wildcards else (levels[at],):
            below = self._below.get(level)
            if below is not None:
                yield from below._matching(levels, at + 1)


_NOTHING = Heard(0, ())


class _Hall:
    """A space of which guests are here."""

    def __init__(self, free_topics: FreeTopics, place: Place) -> None:
        self.tree = FilterTree()
        self.ear: asyncio.Task[Ear] = asyncio.get_running_loop().create_task(free_topics.listen(place, self._hear))

    def _hear(self, said: Said) -> None:
        for guest, heard in self.tree.find(said).items():
            guest.overhear(said, heard)


class Halls:
    """All halls of one process."""

    def __init__(self, free_topics: FreeTopics) -> None:
        self.free_topics = free_topics
        self._halls: dict[Place, _Hall] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def listen(self, place: Place, guest: Guest, wanted: Subscription, identifier: int) -> None:
        """From the return on the guest hears what is said in the space on the topics of a filter.

        Raises `Unavailable` when the bus is away.
        """
        hall = self._halls.get(place)
        if hall is None:
            hall = self._halls[place] = _Hall(self.free_topics, place)
        wish = Wish(min(wanted.qos, 1), identifier, wanted.no_local)
        hall.tree.add(wanted.filter, guest, wish)
        try:
            await asyncio.shield(hall.ear)
        except Unavailable:
            # Nobody hears anything in it: whoever comes next shall try anew.
            if self._halls.get(place) is hall:
                del self._halls[place]
            raise

    def leave(self, place: Place, guest: Guest, filter_: str) -> None:
        """It does not listen to this filter any more."""
        hall = self._halls.get(place)
        if hall is None:
            return
        hall.tree.remove(filter_, guest)
        if hall.tree.is_empty:
            del self._halls[place]
            task = asyncio.get_running_loop().create_task(_close(hall))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)


async def _close(hall: _Hall) -> None:
    ear = await hall.ear
    await ear.close()
