"""Whose credential is this? The one question that every request begins with."""

import re
from datetime import datetime, timedelta
from functools import lru_cache

import msgspec

from roadstead.core.identity import model, signing, tokens
from roadstead.core.identity.role_model import rights_of
from roadstead.core.identity.store import keys, sessions
from roadstead.core.tenancy import OrganizationStatus
from roadstead.core.work import Entry
from roadstead.kernel import time
from roadstead.kernel.actor import Actor, ActorKind, Grant
from roadstead.kernel.errors import Forbidden, Unauthenticated

_KEY = re.compile(r"sk_(live|test)_[0-9A-Za-z]{43}")
_SEEN_EVERY = timedelta(minutes=1)
_SCOPES = {str(grant): grant for grant in Grant}


async def authenticate(entry: Entry, credential: str) -> Actor:
    """Whose API key or session token this is, and what they may do.

    Both are looked up each time, so that revoking a key, signing out, removing a member and changing a role act at
    once. Raises `Unauthenticated` for a credential that is not, or no longer, good; `Forbidden` when a key is used from
    a network it is not meant for, or nobody may work in the organization.
    """
    if credential.startswith("sk_"):
        return await authenticate_key(entry, credential)
    return await _session(entry, credential)


async def authenticate_key(entry: Entry, secret: str) -> Actor:
    """Whose API key this is; see `authenticate`."""
    now = time.now()
    known = None
    if _KEY.fullmatch(secret):
        known = await keys.select_known_key(entry.tx, tokens.digest(secret), now)
    if known is None:
        raise Unauthenticated("no such API key")
    return await _admit(entry, known, now)


async def authenticate_client_token(entry: Entry, secret: str) -> Actor:
    """Who holds a token of `exchange_key`: the key it was given for, as far as that may read.

    Raises `Unauthenticated` when either is not, or no longer, good; `Forbidden` like `authenticate`.
    """
    now = time.now()
    known = await keys.select_key_of_token(entry.tx, tokens.digest(secret), now)
    if known is None:
        raise Unauthenticated("the token is not good, or not any more: exchange the API key for another")
    actor = await _admit(entry, known, now)
    reads = frozenset(grant for grant in actor.grants if grant.endswith(":read"))
    return msgspec.structs.replace(actor, grants=reads)


async def _admit(entry: Entry, known: keys.KnownKey, now: datetime) -> Actor:
    if known.revoked_at is not None:
        raise Unauthenticated("this API key was revoked")
    if known.expires_at is not None and known.expires_at <= now:
        raise Unauthenticated("this API key has expired")
    if known.allowed_cidrs and not model.is_within(entry.address, known.allowed_cidrs):
        raise Forbidden(f"this API key may not be used from {entry.address or 'an unknown address'}")
    OrganizationStatus(known.status).check_working()

    if _is_stale(known.last_used_at, now):
        await keys.touch_key(entry.tx, known.tenant_id, known.id, now)
    return Actor(
        kind=ActorKind.API_KEY,
        id=known.id,
        name=known.name,
        tenant_id=known.tenant_id,
        organization_id=known.organization_id,
        grants=_read_scopes(tuple(known.scopes)),
        request_id=entry.request_id,
        address=entry.address,
        expires_at=known.expires_at,
    )


async def _session(entry: Entry, text: str) -> Actor:
    now = time.now()
    token = signing.take_apart(text)
    known = await sessions.select_known_session(
        entry.tx,
        organization_id=token.claims.org,
        session_id=token.claims.sid,
        key_id=token.key_id,
        at=now,
        key_retired_after=now - signing.LIFETIME - signing.LEEWAY,
    )
    if known is None:
        raise Unauthenticated("the session is over; sign in again")
    claims = token.verify(known.public_jwk, entry.ports)
    if claims.sub != known.person_id:
        raise Unauthenticated("the session token is not one of ours")
    OrganizationStatus(known.status).check_working()

    if _is_stale(known.last_seen_at, now):
        await sessions.touch_member(entry.tx, known.tenant_id, known.person_id, now)
    return Actor(
        kind=ActorKind.USER,
        id=known.person_id,
        name=known.person_name,
        tenant_id=known.tenant_id,
        organization_id=known.organization_id,
        grants=rights_of(known.role, known.held).grants,
        role=known.role,
        session_id=claims.sid,
        request_id=entry.request_id,
        address=entry.address,
    )


@lru_cache(maxsize=1024)
def _read_scopes(scopes: tuple[str, ...]) -> frozenset[Grant]:
    """What somebody with these may do. Keys have few combinations among them."""
    return frozenset(_SCOPES[scope] for scope in scopes if scope in _SCOPES)


def _is_stale(seen_at: datetime | None, now: datetime) -> bool:
    return seen_at is None or seen_at <= now - _SEEN_EVERY
