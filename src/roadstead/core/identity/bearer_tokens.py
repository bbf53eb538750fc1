"""Tokens with scopes, of people, of spaces, of devices: JWTs that programs may read, rows that say what they are worth.

The text says who it is for, to programs. What counts is the row that is found by its hash, at every request: so what is
taken back is out at once.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import msgspec
from joserfc import jws
from joserfc.errors import JoseError

from roadstead.core.identity import passwords, signing, tokens, totp
from roadstead.core.identity.bearer_model import (
    GRANTS_OF_TOKEN_ROLE,
    Issued,
    PersonToken,
    TokenHolder,
    TokenRole,
)
from roadstead.core.identity.model import Membership, Person
from roadstead.core.identity.people import get_self, renew_password
from roadstead.core.identity.sessions import prove_password
from roadstead.core.identity.store import bearer_tokens as store
from roadstead.core.identity.store import people, sessions
from roadstead.core.operation import unguarded
from roadstead.core.ports import Ports
from roadstead.core.tenancy import OrganizationStatus
from roadstead.core.work import Account, Entry
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import Actor, ActorKind, Grant
from roadstead.kernel.errors import Forbidden, Unauthenticated
from roadstead.kernel.ids import UserId, new_id, to_hex24

_WRONG = "Invalid access token"


class Subtype(StrEnum):
    """Whose a token is, as its text says."""

    USER = "user"
    DEVICE = "device"
    PROGRAM = "apiToken"


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the text of a token says."""

    sub: str
    subtype: Subtype
    scope: Sequence[str]
    iss: str
    iat: int
    jti: str
    exp: int | None = None


# --- the text --------------------------------------------------------------------------------------------------------


def find_subtype(text: str) -> Subtype | None:
    """Whose token it says it is, which says only where to look; None for what is none of these."""
    try:
        return msgspec.json.decode(jws.extract_compact(text.encode()).payload or b"", type=Claims).subtype
    except (JoseError, msgspec.DecodeError, ValueError):
        return None


async def write_token(
    tx: Tx,
    ports: Ports,
    subtype: Subtype,
    subject: Any,
    *,
    scopes: Sequence[str],
    created_at: datetime,
    expires_at: datetime | None,
) -> str:
    """The text of a new token. It is worth something once its hash is kept."""
    claims = Claims(
        sub=to_hex24(subject),
        subtype=subtype,
        scope=scopes,
        iss=urlsplit(ports.public_url).netloc,
        iat=int(created_at.timestamp()),
        jti=secrets.token_urlsafe(16),
        exp=None if expires_at is None else int(expires_at.timestamp()),
    )
    return await signing.sign(tx, ports, msgspec.to_builtins(claims))


# --- of people, from signing in --------------------------------------------------------------------------------------


@unguarded("the password is what is asked for")
async def sign_in_for_token(
    entry: Entry, *, email: str, password: str, otp: str | None, scopes: Sequence[str], life: timedelta | None
) -> Issued:
    """A token of a person for all their organizations; with no life it has no end.

    Raises `Unauthenticated`, the same for a wrong password and for an unknown address; with code `otp-required` when a
    code of the second factor is missing or wrong. Raises `TooMany` after ten failures.
    """
    person, known = await prove_password(entry, email=email, password=password)
    if known.totp_confirmed_at is not None:
        await totp.check_code(entry.tx, entry.ports, person, known, otp)
    issued = await _issue(entry, person.id, scopes, life)
    for membership in await people.select_memberships(entry.tx, person.id):
        entry.as_actor(membership.actor(person, entry)).record("session.create", issued.token_id)
        break
    return issued


@unguarded("the token is the secret that is asked for")
async def renew_token(entry: Entry, text: str) -> Issued:
    """Another token of signing in, with the scopes and for as long as the one that is shown was given for.

    `Forbidden` for one that was made for a program: its end and its roles stay what they are.
    """
    token = await store.select_good_person_token(entry.tx, tokens.digest(text), time.now())
    if token is None or token.name:
        raise Forbidden("only a token of signing in can be renewed")
    life = None if token.expires_at is None else token.expires_at - token.created_at
    return await _issue(entry, token.person_id, token.scopes, life)


@unguarded("it is their own account")
async def change_password_for_token(
    account: Account,
    *,
    current: str,
    new: str,
    otp: str | None,
    ends_others: bool,
    scopes: Sequence[str],
    life: timedelta | None,
) -> Issued:
    """Change the password; answers a fresh token. `ends_others`: those before are no good any more, nor are sessions.

    Raises `Unauthenticated` when the current one, or the code of the second factor, is wrong.
    """
    person = await change_password_with_code(account, current=current, new=new, otp=otp)
    if ends_others:
        await sessions.revoke_sessions_of_person(account.tx, person.id, time.now())
        await store.update_cutoff(account.tx, person.id, time.now())
    return await _issue(account, person.id, scopes, life)


@unguarded("it is their own account")
async def change_password_with_code(account: Account, *, current: str, new: str, otp: str | None) -> Person:
    """Change the password and nothing else. Raises `Unauthenticated` as `change_password_for_token` does."""
    passwords.check_password(new, field="/newPassword")
    person = await get_self(account)
    known = await people.select_secrets(account.tx, person.id)
    if known is not None and known.totp_confirmed_at is not None:
        await totp.check_code(account.tx, account.ports, person, known, otp)
    return await renew_password(account, current=current, new=new)


@unguarded("it is their own account")
async def cut_tokens_off(account: Account, cutoff: datetime) -> None:
    """Tokens of the person that were made before are no good from now on, those of programs included."""
    await store.update_cutoff(account.tx, account.person_id, cutoff)
    account.as_work().record("user.cut-tokens-off", account.person_id)


@unguarded("it is their own account")
async def find_token_cutoff(account: Account) -> datetime | None:
    """Since when tokens of the person are good, if that was ever said."""
    return await store.select_cutoff(account.tx, account.person_id)


async def _issue(entry: Entry | Account, person_id: UserId, scopes: Sequence[str], life: timedelta | None) -> Issued:
    now = time.now()
    expires_at = None if life is None else now + life
    text = await write_token(
        entry.tx, entry.ports, Subtype.USER, person_id, scopes=scopes, created_at=now, expires_at=expires_at
    )
    token = PersonToken(
        id=new_id(),
        name="",
        description="",
        scopes=list(scopes),
        enabled=True,
        created_at=now,
        updated_at=now,
        expires_at=expires_at,
        person_id=person_id,
    )
    await store.insert_person_token(entry.tx, token, tokens.digest(text))
    return Issued(text, token.id, person_id)


# --- whose it is -----------------------------------------------------------------------------------------------------


@unguarded("the token is the secret that is asked for")
async def authenticate_token(entry: Entry, text: str) -> TokenHolder:
    """Who shows a token of a person or of a space: the person in each organization where they and the token may do
    something, or the program in the only one.

    Raises `Unauthenticated` for a token that is not, or no longer, good; `Forbidden` when nobody may work in the
    organization of a space.
    """
    token_hash, now = tokens.digest(text), time.now()
    of_person = await store.select_good_person_token(entry.tx, token_hash, now)
    if of_person is not None:
        return await _person(entry, of_person)
    of_space = await store.select_good_space_token(entry.tx, token_hash, now)
    if of_space is None:
        raise Unauthenticated(_WRONG)
    return _program(entry, of_space)


async def _person(entry: Entry, token: PersonToken) -> TokenHolder:
    person = await people.select_person(entry.tx, token.person_id)
    if person is None:
        raise Unauthenticated(_WRONG)
    memberships = await people.select_memberships(entry.tx, person.id)
    actors = [_actor(entry, token, person, membership) for membership in memberships if _opens(token, membership)]
    return TokenHolder(actors=actors, scopes=frozenset(token.scopes), person=person, is_limited=token.is_limited)


def _program(entry: Entry, token: store.KnownSpaceToken) -> TokenHolder:
    OrganizationStatus(token.status).check_working()
    actor = Actor(
        kind=ActorKind.API_KEY,
        id=token.id,
        name=token.name,
        tenant_id=token.tenant_id,
        organization_id=token.organization_id,
        grants=frozenset(grant for grant in Grant if grant in token.grants),
        request_id=entry.request_id,
        address=entry.address,
        expires_at=token.expires_at,
    )
    return TokenHolder(actors=[actor], scopes=frozenset(token.scopes), space_id=token.space_id)


def _opens(token: PersonToken, membership: Membership) -> bool:
    role = token.role_in(membership.organization_id)
    return membership.status == OrganizationStatus.ACTIVE and role is not TokenRole.NONE


def _actor(entry: Entry, token: PersonToken, person: Person, membership: Membership) -> Actor:
    actor = membership.actor(person, entry)
    grants = actor.grants & GRANTS_OF_TOKEN_ROLE[token.role_in(membership.organization_id)]
    return msgspec.structs.replace(actor, grants=grants, expires_at=token.expires_at)
