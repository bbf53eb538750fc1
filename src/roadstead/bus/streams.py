"""The streams: what is kept on the log, how long, and how far it has come."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import nats.js.errors
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from roadstead.bus.connection import Bus
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.time import EPOCH

UPLINK = "UPLINK"
"""What devices said, until the store has it. When it is full it refuses; it never drops."""
CONTROL = "CONTROL"
"""What devices answered to what the platform has sent, until a worker has applied it. When it is full it refuses."""
ACCEPTED = "ACCEPTED"
"""What was checked and stored, for projections and live streams. The oldest goes first."""
FACTS = "FACTS"
"""What happened in the core. The oldest goes first."""

_DAY_S = 86_400.0
_GIB = 1 << 30
_DUPLICATE_WINDOW_S = 120.0
_NO_MESSAGE = 10037
"""JetStream's code for "no message found"."""


class StreamPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a stream shall be."""

    name: str
    subjects: Sequence[str]
    max_bytes: int
    max_age_s: float | None = None
    """None keeps a message until it is truncated away."""
    refuse_when_full: bool = False
    """Else the oldest messages make room."""


class StreamState(msgspec.Struct, frozen=True):
    """How far a stream has come. Sequences start at 1; an empty stream has `first_sequence` = `last_sequence` + 1."""

    first_sequence: int
    last_sequence: int
    messages: int
    size_bytes: int
    created_at: datetime
    """Tells a stream from a later one of the same name."""

    def waiting_after(self, position: int) -> int:
        """How many messages a reader that has read up to `position` has before it.

        For a stream that is truncated as it is read, such as UPLINK, that is what nobody has acknowledged.
        """
        return max(0, self.last_sequence - max(position, self.first_sequence - 1))


def plan_streams(
    *,
    uplink_bytes: int = 8 * _GIB,
    control_bytes: int = _GIB,
    accepted_bytes: int = 8 * _GIB,
    facts_bytes: int = _GIB,
) -> list[StreamPlan]:
    """The platform's streams, each bounded by so many bytes on disk."""
    return [
        StreamPlan(name=UPLINK, subjects=["uplink.*"], max_bytes=uplink_bytes, refuse_when_full=True),
        StreamPlan(name=CONTROL, subjects=["control.*"], max_bytes=control_bytes, refuse_when_full=True),
        StreamPlan(name=ACCEPTED, subjects=["accepted.*"], max_bytes=accepted_bytes, max_age_s=2 * _DAY_S),
        StreamPlan(name=FACTS, subjects=["facts.>"], max_bytes=facts_bytes, max_age_s=7 * _DAY_S),
    ]


async def ensure_streams(bus: Bus, plans: Sequence[StreamPlan], *, replicas: int = 1) -> None:
    """Make the streams, or change them where they differ. Any number of processes may do this at once."""
    async with bus.asking() as jetstream:
        for plan in plans:
            config = _configure(plan, replicas)
            try:
                # Making a stream that is there already, just so, is answered like making it.
                await jetstream.add_stream(config)
            except nats.js.errors.BadRequestError:
                await jetstream.update_stream(config)


async def stream_state(bus: Bus, name: str) -> StreamState:
    """How far a stream has come; `Unavailable` when it is not there."""
    try:
        async with bus.asking() as jetstream:
            info = await jetstream.stream_info(name)
    except nats.js.errors.NotFoundError as error:
        raise Unavailable(f"The log has no stream {name}") from error
    return StreamState(
        first_sequence=max(info.state.first_seq, 1),
        last_sequence=info.state.last_seq,
        messages=info.state.messages,
        size_bytes=info.state.bytes,
        created_at=info.created or EPOCH,
    )


async def first_sequence(bus: Bus, name: str) -> int:
    """Sequence of the oldest message that is still there."""
    return (await stream_state(bus, name)).first_sequence


async def last_sequence(bus: Bus, name: str) -> int:
    """Sequence of the newest message; 0 when there never was one."""
    return (await stream_state(bus, name)).last_sequence


async def pending(bus: Bus, name: str, *, position: int = 0) -> int:
    """`StreamState.waiting_after` of a stream, now."""
    return (await stream_state(bus, name)).waiting_after(position)


async def waiting_since(bus: Bus, name: str, *, position: int = 0) -> datetime | None:
    """When the oldest message came that a reader has before it who has read up to `position`; None when there is none.

    `Unavailable` when the stream is not there.
    """
    try:
        async with bus.asking() as jetstream:
            message = await jetstream.get_msg(name, seq=position + 1, subject=">", next=True)
    except nats.js.errors.NotFoundError as error:
        if error.err_code == _NO_MESSAGE:
            return None
        raise Unavailable(f"The log has no stream {name}") from error
    return message.time


async def sequence_at(bus: Bus, name: str, instant: datetime) -> int:
    """Sequence of the first message that came at or after an instant, or one behind the last one. `Unavailable` as
    above."""
    state = await stream_state(bus, name)
    low, high = state.first_sequence, state.last_sequence + 1
    while low < high:
        middle = (low + high) // 2
        # What is found may lie behind the middle: messages in between may be gone.
        came_at = await waiting_since(bus, name, position=middle - 1)
        if came_at is None or came_at >= instant:
            high = middle
        else:
            low = middle + 1
    return low


async def last_message_id(bus: Bus, name: str, subject: str) -> str:
    """The id under which the newest message of a subject was published; empty when there is none."""
    return (await last_message(bus, name, subject))[1]


async def last_message(bus: Bus, name: str, subject: str) -> tuple[int, str]:
    """Sequence and id of the newest message of a subject; 0 and nothing when there is none."""
    try:
        async with bus.asking() as jetstream:
            message = await jetstream.get_last_msg(name, subject)
    except nats.js.errors.NotFoundError:
        return 0, ""
    return message.seq or 0, str((message.headers or {}).get("Nats-Msg-Id", ""))


async def truncate(bus: Bus, name: str, *, below: int, subject: str | None = None) -> None:
    """Forget the messages (of `subject`) with a sequence smaller than `below`."""
    async with bus.asking() as jetstream:
        await jetstream.purge_stream(name, seq=below, subject=subject)


def _configure(plan: StreamPlan, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=plan.name,
        subjects=list(plan.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW if plan.refuse_when_full else DiscardPolicy.OLD,
        max_bytes=plan.max_bytes,
        max_age=plan.max_age_s,
        duplicate_window=_DUPLICATE_WINDOW_S,
        num_replicas=replicas,
        allow_direct=True,
    )
