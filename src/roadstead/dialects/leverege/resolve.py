"""`resolveOnWrite`: who writes may wait until others can read it (contract section 3)."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from roadstead.core.telemetry import Stage, WrittenValues
from roadstead.kernel.errors import Invalid
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest, Edge

NAME = "resolveOnWrite"
_STAGES = {"rt": Stage.STATE, "timescale": Stage.STORE}
_LONGEST_MS = 30_000


class Waiting(msgspec.Struct, frozen=True, rename="camel"):
    """What is waited for, and how long."""

    writers: list[str] = msgspec.field(default_factory=lambda: ["rt"])
    max_wait_time: Annotated[float, Meta(ge=0)] = 5_000
    """In ms; 30 seconds are the most."""


class ResolvedShape(msgspec.Struct, frozen=True):
    """What became of the waiting."""

    resolved: bool
    pending: list[str]


def read_waiting(request: AnyRequest, body: Any = None) -> Waiting | None:
    """What the query, or else the body, wants to be waited for. Raises `Invalid`, so ask before anything is written."""
    said: Any = request.query_params.get(NAME)
    if isinstance(said, str):
        try:
            said = msgspec.json.decode(said) if said else None
        except msgspec.DecodeError as error:
            raise Invalid.field(NAME, "is true, false or JSON", place="query") from error
    elif isinstance(body, dict):
        said = body.get(NAME)
    if said is None or said is False:
        return None
    waiting = Waiting() if said is True else read_as(said, Waiting)
    unknown = [writer for writer in waiting.writers if writer not in _STAGES]
    if unknown:
        raise Invalid.field(f"{NAME}.writers", f"there is no writer {unknown[0]!r}, but {', '.join(_STAGES)}")
    return waiting


async def store_values(
    request: AnyRequest, written: WrittenValues | None, waiting: Waiting | None
) -> ResolvedShape | UnsetType:
    """Put values on the log, after what they rest upon was committed; then wait, if that was asked for.

    Without values, for instance when only the name of a device was changed, there is nothing to wait for.
    """
    edge: Edge = request.app.state.edge
    sequence = await edge.uplinks.put(written.uplink) if written is not None else 0
    if waiting is None:
        return UNSET
    if written is None:
        return ResolvedShape(True, [])
    timeout_s = min(waiting.max_wait_time, _LONGEST_MS) / 1000
    stages = {_STAGES[writer] for writer in waiting.writers}
    pending = await edge.passage.wait(sequence, stages, timeout_s)
    names = [writer for writer in dict.fromkeys(waiting.writers) if _STAGES[writer] in pending]
    return ResolvedShape(not names, names)
