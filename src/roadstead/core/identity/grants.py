"""Tokens of the realm: for a code, for a refresh token, for an application by itself (contract section 3)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog

from roadstead.core.identity import authorizations, realm_keys, tokens
from roadstead.core.identity.model import Person
from roadstead.core.identity.realm_keys import ACCESS_LIFE, REFRESH_LIFE
from roadstead.core.identity.realm_model import Hint, RealmClient, RealmSession, Tokens
from roadstead.core.identity.store import people
from roadstead.core.identity.store import realm_sessions as store
from roadstead.core.identity.store.realm_sessions import RealmToken
from roadstead.core.operation import unguarded
from roadstead.core.work import Entry
from roadstead.kernel import time
from roadstead.kernel.errors import Forbidden, Invalid, Unauthenticated
from roadstead.kernel.ids import UserId, new_id

APPLICATION_SCOPE = "olt-applications"
_REUSE = timedelta(minutes=1)
"""For so long a refresh token may come twice: two tabs of a browser renew at the same moment."""

log = structlog.get_logger()


@unguarded("the code is the secret that is asked for")
async def exchange_code(
    entry: Entry, client: RealmClient, *, issuer: str, code: str, redirect_uri: str, verifier: str | None
) -> Tokens:
    """Tokens for a code. Raises `Unauthenticated`; a code that comes again was stolen, and ends the session."""
    now, code_hash = time.now(), tokens.digest(code)
    known = await store.select_code(entry.tx, code_hash)
    if known is None or known.client_id != client.id:
        raise Unauthenticated("no such code")
    if known.used_at is not None:
        await _end_stolen(entry, known.session_id, "code")
        raise Unauthenticated("this code was used before; the session is over")
    if known.expires_at <= now:
        raise Unauthenticated("the code has expired")
    if not hmac.compare_digest(known.redirect_uri.encode(), redirect_uri.encode()):
        raise Unauthenticated("the code was given for another redirect_uri")
    _check_verifier(known, verifier)
    session = await _load_session(entry, known.session_id)
    await store.use_code(entry.tx, code_hash, now)
    return await _issue(
        entry,
        session,
        client,
        issuer=issuer,
        organization_id=known.organization_id,
        scope=known.scope,
        nonce=known.nonce,
    )


@unguarded("the refresh token is what is asked for")
async def renew_tokens(
    entry: Entry,
    client: RealmClient,
    *,
    issuer: str,
    refresh_token: str,
    organization_id: UUID | None = None,
    scope: str | None = None,
) -> Tokens:
    """New tokens for the tenant of the old ones, or for another one; with fewer scopes if fewer are asked for.

    With a program that has no secret, a refresh token that comes again after a minute was stolen, and ends the session;
    one that proves itself may use it again. Raises `Unauthenticated`, `Forbidden` for a tenant that is not theirs.
    """
    now, token_hash = time.now(), tokens.digest(refresh_token)
    token = await store.select_realm_token(entry.tx, token_hash)
    if token is None or token.client_id != client.id:
        raise Unauthenticated("no such refresh token")
    if client.is_public and token.used_at is not None and token.used_at <= now - _REUSE:
        await _end_stolen(entry, token.session_id, "refresh token")
        raise Unauthenticated("this refresh token was used before; the session is over, sign in again")
    if token.expires_at <= now:
        raise Unauthenticated("the refresh token has expired")
    session = await _load_session(entry, token.session_id)
    await store.use_realm_token(entry.tx, token_hash, now)
    prolonged = msgspec.structs.replace(session, expires_at=now + REFRESH_LIFE)
    await store.update_realm_session(entry.tx, prolonged)
    return await _issue(
        entry,
        prolonged,
        client,
        issuer=issuer,
        organization_id=organization_id or token.organization_id,
        scope=token.scope if scope is None else _narrow(token.scope, scope),
    )


@unguarded("the secret of the application was shown")
async def grant_to_application(
    entry: Entry, client: RealmClient, *, issuer: str, organization_id: UUID | None
) -> Tokens:
    """Tokens of an application by itself, for a tenant or for none. Raises `Forbidden` where it may not work."""
    now = time.now()
    session = RealmSession(
        id=new_id(),
        person_id=None,
        organization_id=organization_id,
        authenticated_at=now,
        expires_at=now + REFRESH_LIFE,
    )
    await store.insert_realm_session(entry.tx, session, None)
    return await _issue(entry, session, client, issuer=issuer, organization_id=organization_id, scope=APPLICATION_SCOPE)


@unguarded("the token was shown")
async def describe_person(entry: Entry, person_id: UUID, organization_id: UUID | None) -> dict[str, Any]:
    """What programs are told about a person (contract section 3.5). Raises `Unauthenticated` when they are gone."""
    person = await people.select_person(entry.tx, UserId(person_id))
    if person is None:
        raise Unauthenticated("this account is gone")
    return {"sub": str(person.id), **_profile(person, organization_id)}


@unguarded("a program that has proved itself shows the token")
async def introspect_token(entry: Entry, text: str) -> Mapping[str, Any] | None:
    """What an access or refresh token says (RFC 7662), or None when it is not, or no longer, one.

    Of a refresh token, it says that it can be used; whether somebody is still behind an access token is for whoever
    asks to look up.
    """
    try:
        claims = await realm_keys.verify(entry.tx, text)
        if claims.get("typ") == "Refresh":
            token = await store.select_realm_token(entry.tx, tokens.digest(text))
            if token is None or token.used_at is not None:
                return None
            await _load_session(entry, token.session_id)
    except Unauthenticated:
        return None
    return claims if claims.get("typ") in {"Bearer", "Refresh"} else None


@unguarded("the id token is what is asked for")
async def read_hint(entry: Entry, id_token: str) -> Hint:
    """Whose session an id token is about, even an old one's. Raises `Invalid` for one that is not ours."""
    try:
        claims = await realm_keys.verify(entry.tx, id_token, even_expired=True)
        if claims.get("typ") != "ID":
            raise Unauthenticated("this is no id token")
        return Hint(UUID(claims["session_state"]), UUID(claims["sub"]), claims["azp"])
    except Unauthenticated as error:
        raise Invalid.field("id_token_hint", "is no id token of ours") from error


async def _load_session(entry: Entry, session_id: UUID) -> RealmSession:
    session = await store.select_realm_session(entry.tx, session_id, time.now())
    if session is None:
        raise Unauthenticated("the session is over; sign in again")
    return session


async def _end_stolen(entry: Entry, session_id: UUID, what: str) -> None:
    log.warning(f"{what} used twice", session=str(session_id), address=entry.address)
    await authorizations.end_realm_session(entry, session_id, action="session.revoke")
    # Kept although the request fails: whoever stole it is out.
    await entry.tx.commit()


async def _issue(
    entry: Entry,
    session: RealmSession,
    client: RealmClient,
    *,
    issuer: str,
    organization_id: UUID | None,
    scope: str,
    nonce: str | None = None,
) -> Tokens:
    if organization_id is not None:
        client.check_reach(organization_id)
    person = None
    if session.person_id is not None:
        person = await authorizations.load_person(entry, session)
        if organization_id is not None:
            await _enter(entry, session, person, organization_id)

    now = time.now()
    common: dict[str, Any] = {
        "nbf": 0,
        "iat": int(now.timestamp()),
        "iss": issuer,
        "aud": client.id,
        "sub": str(person.id) if person else client.id,
        "azp": client.id,
        "auth_time": int(session.authenticated_at.timestamp()),
        "session_state": str(session.id),
        "acr": "1",
    }
    access = common | {"typ": "Bearer", "allowed-origins": ["*"], "resource_access": {}, "scope": scope}
    if organization_id is not None:
        access["tenant"] = str(organization_id)
    if person is None:
        access |= {"clientId": client.id, "clientHost": entry.address, "clientAddress": entry.address}
    access_token = await _sign(entry, access, now + ACCESS_LIFE)
    refresh_token = await _sign(entry, common | {"typ": "Refresh", "scope": scope}, now + REFRESH_LIFE)
    kept = RealmToken(
        session_id=session.id,
        client_id=client.id,
        organization_id=organization_id,
        scope=scope,
        expires_at=now + REFRESH_LIFE,
    )
    await store.insert_realm_token(entry.tx, tokens.digest(refresh_token), kept)
    id_token = None
    if person is not None and "openid" in scope.split():
        said = common | {"typ": "ID", "at_hash": _half_hash(access_token)} | _profile(person, organization_id)
        id_token = await _sign(entry, said if nonce is None else said | {"nonce": nonce}, now + ACCESS_LIFE)
    return Tokens(
        access_token=access_token,
        refresh_token=refresh_token,
        id_token=id_token,
        session_id=session.id,
        scope=scope,
        issued_at=now,
    )


async def _sign(entry: Entry, claims: dict[str, Any], expires_at: datetime) -> str:
    made = {"jti": str(new_id()), "exp": int(expires_at.timestamp())}
    return await realm_keys.sign(entry.tx, entry.ports, claims | made)


async def _enter(entry: Entry, session: RealmSession, person: Person, organization_id: UUID) -> None:
    """Raises `Forbidden` when they are no member, or nobody may work there."""
    for membership in await people.select_memberships(entry.tx, person.id):
        if membership.organization_id == organization_id:
            await authorizations.enter(entry, session, person, membership)
            return
    raise Forbidden("you are not a member of this organization")


def _profile(person: Person, organization_id: UUID | None) -> dict[str, Any]:
    profile = {
        "emailVerified": True,  # accounts come by mailed invitations, or from whoever runs the platform
        "name": person.display_name,
        "preferred_username": person.email,
        "given_name": person.first_name,
        "family_name": person.last_name,
        "email": person.email,
        "twoFactorAuthEnabled": person.totp_confirmed_at is not None,
    }
    return profile if organization_id is None else profile | {"tenant": str(organization_id)}


def _check_verifier(code: store.Code, verifier: str | None) -> None:
    """Proof Key for Code Exchange (RFC 7636). Raises `Unauthenticated`."""
    if code.challenge is None:
        if verifier is not None:
            raise Unauthenticated("the code was asked for without code_challenge")
        return
    sent = (verifier or "").encode()
    if code.challenge_method == "S256":
        sent = base64.urlsafe_b64encode(hashlib.sha256(sent).digest()).rstrip(b"=")
    if not hmac.compare_digest(sent, code.challenge.encode()):
        raise Unauthenticated("code_verifier does not fit the code_challenge")


def _narrow(granted: str, asked: str) -> str:
    """Those of the scopes that are asked for. Raises `Invalid` when none of them was granted."""
    wanted = asked.split()
    scope = " ".join(one for one in granted.split() if one in wanted)
    if not scope:
        raise Invalid.field("scope", "was not granted")
    return scope


def _half_hash(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()[:16]).rstrip(b"=").decode()
