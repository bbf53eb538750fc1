"""The facts of a pack, one by one: what one of them is about does not depend on the others being understood."""

from collections.abc import Collection, Iterator

import msgspec
import structlog

from roadstead.bus import Pack
from roadstead.core.messages import AnyFact, FactMessage, decode_fact, decode_facts

log = structlog.get_logger()


def facts_in(pack: Pack, *, among: Collection[bytes] = ()) -> Iterator[tuple[FactMessage, AnyFact | None]]:
    """Each with how it travels; None for one that is not understood: a newer version may tell more than we know.

    `among`: names of facts; what tells of none of them is passed over unread.
    """
    try:
        messages = decode_facts(pack.payload)
    except msgspec.DecodeError as error:
        log.error("facts cannot be read", sequence=pack.sequence, reason=str(error))
        return
    for message in messages:
        if among and not any(name in message.fact for name in among):
            continue
        try:
            fact = decode_fact(message.fact)
        except msgspec.DecodeError as error:
            log.warning("fact not understood", sequence=pack.sequence, fact=message.id, reason=str(error))
            yield message, None
        else:
            yield message, fact
