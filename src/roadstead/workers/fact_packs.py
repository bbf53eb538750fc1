"""The facts of a pack, one by one: what one of them is about does not depend on the others being understood."""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
import structlog

from roadstead.bus import Pack
from roadstead.core.messages import AnyFact, FactMessage, decode_fact, decode_facts

log = structlog.get_logger()


def facts_in(pack: Pack) -> Sequence[tuple[FactMessage, AnyFact | None]]:
    """Each with how it travels; None for one that is not understood: a newer version may tell more than we know."""
    return _decode(pack.payload)


@lru_cache(maxsize=64)
def _decode(payload: bytes) -> Sequence[tuple[FactMessage, AnyFact | None]]:
    """Once for all who follow the facts in this process: they are about as far as each other."""
    try:
        messages = decode_facts(payload)
    except msgspec.DecodeError as error:
        log.error("facts cannot be read", size_bytes=len(payload), reason=str(error))
        return ()
    return [(message, _understand(message)) for message in messages]


def _understand(message: FactMessage) -> AnyFact | None:
    try:
        return decode_fact(message.fact)
    except msgspec.DecodeError as error:
        log.warning("fact not understood", fact=message.id, reason=str(error))
        return None
