"""Tokens that servers sign themselves (contract leverege, section 1.1), and the keys they do it with."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from roadstead.core.identity import tokens
from roadstead.core.identity.api_access_model import (
    AccessLimits,
    ApiAccess,
    ApiAccessChange,
    ApiAccessHolder,
    Audience,
    NewApiAccess,
)
from roadstead.core.identity.model import check_within
from roadstead.core.identity.store import api_accesses as store
from roadstead.core.operation import operation, unguarded
from roadstead.core.tenancy import OrganizationStatus
from roadstead.core.work import Entry, Work
from roadstead.kernel import time
from roadstead.kernel.actor import Actor, ActorKind, Grant
from roadstead.kernel.errors import NotFound, Unauthenticated
from roadstead.kernel.ids import new_id, parse_base62

_ALGORITHM = "HS256"
_TYPE = "apiAccess"
_LEEWAY = timedelta(seconds=60)
_LONGEST = timedelta(hours=24)
_SEEN_EVERY = timedelta(minutes=1)


class AccessToken(msgspec.Struct, frozen=True):
    """What a token says. Nothing of it is true before its signature was checked."""

    type: str
    iss: str
    prj: str
    exp: float
    aud: Any = None


def find_access_token(text: str) -> AccessToken | None:
    """What a token says that looks like one of an API access, or None."""
    try:
        claims = msgspec.json.decode(jws.extract_compact(text.encode()).payload or b"", type=AccessToken)
    except (JoseError, ValueError):
        return None
    return claims if claims.type == _TYPE else None


@unguarded("the signature is what is asked for")
async def authenticate_access_token(
    entry: Entry, text: str, claims: AccessToken, audience: Audience
) -> ApiAccessHolder:
    """Whose token this is. The access is looked up each time, so that deleting or disabling it acts at once.

    Raises `Unauthenticated` when it is not, or no longer, good; `Forbidden` when nobody may work in its project.
    """
    now = time.now()
    access_id = parse_base62(claims.iss)
    known = await store.select_known_access(entry.tx, access_id) if access_id else None
    if known is None or not known.enabled:
        raise Unauthenticated("iss: there is no such API access, or not any more")
    try:
        jwt.decode(text, OctKey.import_key(entry.ports.vault.open(known.secret, "api-access")), algorithms=[_ALGORITHM])
    except (JoseError, ValueError) as error:
        raise Unauthenticated("the token was not signed with the secret of this API access, by HS256") from error
    _check_claims(claims, known, audience, now)
    OrganizationStatus(known.status).check_working()
    if known.last_used_at is None or known.last_used_at <= now - _SEEN_EVERY:
        await store.touch_access(entry.tx, known.tenant_id, known.id, now)
    actor = Actor(
        kind=ActorKind.API_KEY,
        id=known.id,
        name=known.name,
        tenant_id=known.tenant_id,
        organization_id=known.organization_id,
        grants=frozenset(grant for grant in Grant if grant in known.scopes),
        request_id=entry.request_id,
        address=entry.address,
        expires_at=datetime.fromtimestamp(claims.exp, now.tzinfo),
    )
    return ApiAccessHolder(actor, known.permissions.role_names)


def _check_claims(claims: AccessToken, known: store.KnownApiAccess, audience: Audience, now: datetime) -> None:
    if parse_base62(claims.prj) != known.organization_id:
        raise Unauthenticated("prj: is not the project of this API access")
    if claims.exp <= (now - _LEEWAY).timestamp():
        raise Unauthenticated("exp: the token has expired")
    if claims.exp > (now + _LONGEST + _LEEWAY).timestamp():
        raise Unauthenticated("exp: lies more than 24 hours ahead")
    if not audience.accepts(claims.aud):
        raise Unauthenticated("aud: the token is for another host")


@operation(Grant.API_KEYS_READ)
async def list_api_accesses(work: Work) -> list[ApiAccess]:
    """All of them, by name."""
    return await store.select_accesses(work.tx, work.tenant_id)


@operation(Grant.API_KEYS_READ)
async def get_api_access(work: Work, access_id: UUID) -> ApiAccess:
    """One of them."""
    return await _load(work, access_id)


@operation(Grant.API_KEYS_WRITE)
async def create_api_access(work: Work, *, name: str, permissions: AccessLimits, enabled: bool) -> NewApiAccess:
    """A key that may do no more than whoever makes it; it stays when they leave. The secret is shown this once."""
    now, secret = work.now(), tokens.new_secret()
    access = ApiAccess(
        id=new_id(),
        name=name,
        permissions=permissions,
        scopes=sorted(work.actor.grants),
        enabled=enabled,
        created_by=work.actor.id,
        created_at=now,
        updated_at=now,
    )
    access.check()
    await store.insert_access(work.tx, work.tenant_id, access, work.ports.vault.seal(secret.encode(), "api-access"))
    work.record("api-access.create", access.id, after=access)
    return NewApiAccess(access, secret)


@operation(Grant.API_KEYS_WRITE)
async def change_api_access(work: Work, access_id: UUID, change: ApiAccessChange) -> ApiAccess:
    """Rename it, limit it to other roles, or switch it off and on, at once. For those who may do what it may."""
    before = await _load(work, access_id)
    check_within(work.actor.grants, frozenset(grant for grant in Grant if grant in before.scopes))
    after = msgspec.structs.replace(before, **change.sent(), updated_at=work.now())
    after.check()
    await store.update_access(work.tx, work.tenant_id, after)
    work.record("api-access.update", access_id, before=before, after=after)
    return after


@operation(Grant.API_KEYS_WRITE)
async def delete_api_access(work: Work, access_id: UUID) -> None:
    """Its tokens are no good any more, at once."""
    before = await _load(work, access_id)
    await store.delete_access(work.tx, work.tenant_id, access_id)
    work.record("api-access.delete", access_id, before=before)


async def _load(work: Work, access_id: UUID) -> ApiAccess:
    access = await store.select_access(work.tx, work.tenant_id, access_id)
    if access is None:
        raise NotFound("API access", access_id)
    return access
