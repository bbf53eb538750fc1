"""Tickets: addresses under which somebody who may listen opens one stream, once and soon."""

import hashlib
import secrets
from datetime import datetime, timedelta

import msgspec

from roadstead.core.operation import operation, unguarded
from roadstead.core.streams import store
from roadstead.core.work import Entry, Work
from roadstead.kernel import time
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Forbidden

TICKET_LIFE = timedelta(seconds=15)


class Ticket(msgspec.Struct, frozen=True):
    """What a ticket is good for."""

    credential: str
    """Of whoever asked for it: the stream ends when it is not good any more."""
    request: msgspec.Raw
    """What was asked for, in the words of the dialect."""
    buffer: str | None
    """What the next stream goes on from, if it is to go on from anything."""


class NewTicket(msgspec.Struct, frozen=True):
    """A ticket with its secret, which is shown this once."""

    token: str
    valid_until: datetime


@operation(Grant.READINGS_READ)
async def issue_ticket(work: Work, ticket: Ticket) -> NewTicket:
    """A ticket for a stream that was found right."""
    token, valid_until = secrets.token_hex(32), work.now() + TICKET_LIFE
    sealed = work.ports.vault.seal(msgspec.json.encode(ticket), "stream-ticket")
    await store.insert_ticket(work.tx, _hash(token), sealed, valid_until)
    return NewTicket(token, valid_until)


@unguarded("the token is the secret that is asked for")
async def check_ticket(entry: Entry, token: str) -> None:
    """Raises `Forbidden` when there is no ticket of this token, or not any more."""
    if not await store.has_ticket(entry.tx, _hash(token), time.now()):
        raise _refused()


@unguarded("the token is the secret that is asked for")
async def redeem_ticket(entry: Entry, token: str) -> Ticket:
    """What the ticket is good for; with that it is used. Raises `Forbidden` as `check_ticket`."""
    sealed = await store.take_ticket(entry.tx, _hash(token), time.now())
    if sealed is None:
        raise _refused()
    return msgspec.json.decode(entry.ports.vault.open(sealed, "stream-ticket"), type=Ticket)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _refused() -> Forbidden:
    return Forbidden("the token was never given out, was used, or is older than 15 seconds: ask for another one")
