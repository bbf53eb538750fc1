"""Goes through the log once more for one listener, from where it was, in the order in which things happened."""

import asyncio

import msgspec

from roadstead.bus import ACCEPTED, FACTS, Bus, Pack, Reader, Start, first_sequence
from roadstead.core.streams import LOGGED_TOPICS, Channel, Channels, Directory, Event, Gap, Position, Told
from roadstead.kernel import time
from roadstead.kernel.errors import Unavailable
from roadstead.workers.telling import Teller, read_epoch

_RETRY_S = 0.25


class Replay:
    """Reads the streams that one channel wants to hear, each up to a target, merged by the time of their messages."""

    def __init__(
        self, directory: Directory, channel: Channel, after: Position, readers: dict[str, Reader], *, lost: bool
    ) -> None:
        """`after`: what has been told. The readers are open and go on behind it; `lost`: not right behind it."""
        self._channel = channel
        self._teller = Teller(directory, Channels([channel]), after)
        self._readers = readers
        self._heads: dict[str, Pack] = {}
        self._gaps = set(readers) if lost else {stream for stream, reader in readers.items() if reader.gap}
        """Streams of which something is missing, and nobody has said so yet."""
        self._said = {stream for stream, reader in readers.items() if reader.gap}
        """Streams whose next pack repeats what `_gaps` knows already."""

    @property
    def position(self) -> Position:
        """Everything up to here has been handed out."""
        return self._teller.position

    def distance(self, target: Position) -> int:
        """How many packs are left up to a target."""
        left = {ACCEPTED: target.accepted - self.position.accepted, FACTS: target.facts - self.position.facts}
        return sum(max(left[stream], 0) for stream in self._readers)

    async def next(self, target: Position, timeout_s: float) -> list[Event] | None:
        """The events of the next pack (there may be none in it), nothing after `timeout_s`, or None at the target."""
        until = asyncio.get_running_loop().time() + timeout_s
        try:
            goals = {ACCEPTED: target.accepted, FACTS: target.facts}
            waiting = [stream for stream in self._readers if not await self._look(stream, goals[stream], until)]
            if self._gaps:
                return [] if self._gaps & set(waiting) else [self._tell_gap()]
            due = [stream for stream, head in self._heads.items() if head.sequence <= goals[stream]]
            if waiting:
                return []
            if not due:
                return None
            return await self._tell(min(due, key=lambda stream: self._heads[stream].stored_at))
        except Unavailable:
            await asyncio.sleep(min(_RETRY_S, timeout_s))
            return []

    async def close(self) -> None:
        """Stop reading."""
        for reader in self._readers.values():
            await reader.close()

    async def _look(self, stream: str, goal: int, until: float) -> bool:
        """Have the next pack of a stream at hand, if there is one up to the goal. False: it has not come in time."""
        reader = self._readers[stream]
        if stream in self._heads or (reader.position is not None and reader.position >= goal):
            return True
        head = await reader.next(max(until - asyncio.get_running_loop().time(), 0))
        if head is None:
            return False
        self._heads[stream] = head
        if head.gap and stream not in self._said:
            self._gaps.add(stream)
        self._said.discard(stream)
        return True

    async def _tell(self, stream: str) -> list[Event]:
        tell = self._teller.tell_accepted if stream == ACCEPTED else self._teller.tell_facts
        told: Told = await tell(self._heads[stream])
        del self._heads[stream]
        return told.get(self._channel, [])

    def _tell_gap(self) -> Event:
        """One event for all that is missing, with the time of the first message that is not."""
        heads = [self._heads[stream] for stream in self._gaps if stream in self._heads]
        since = min((time.from_millis(head.stored_at) for head in heads), default=time.now())
        position = self._teller.position
        if ACCEPTED in self._gaps:
            position = msgspec.structs.replace(position, accepted=self._before(ACCEPTED), index=0)
        if FACTS in self._gaps:
            position = msgspec.structs.replace(position, facts=self._before(FACTS), fact_index=0)
        self._gaps = set()
        self._teller.position = position
        return Event(Gap(since), position)

    def _before(self, stream: str) -> int:
        head = self._heads.get(stream)
        return (self._readers[stream].position or 0) if head is None else head.sequence - 1


async def open_replay(bus: Bus, directory: Directory, channel: Channel, after: Position) -> Replay:
    """A replay of everything after a position, or of all that is kept when that is less. `Unavailable` without NATS."""
    epoch = await read_epoch(bus)
    lost = epoch != after.epoch
    starts = {ACCEPTED: after.accepted + 1, FACTS: after.facts + 1}
    if lost:
        starts = {stream: await first_sequence(bus, stream) for stream in starts}
        after = Position(epoch, starts[ACCEPTED] - 1, 0, starts[FACTS] - 1)
    readers = {
        stream: Reader(bus, stream, start=Start(sequence=starts[stream]))
        for stream in sorted({ACCEPTED if topic in LOGGED_TOPICS else FACTS for topic in channel.filter.topics})
    }
    try:
        for reader in readers.values():
            await reader.open()
    except BaseException:
        for reader in readers.values():
            await reader.close()
        raise
    return Replay(directory, channel, after, readers, lost=lost)
