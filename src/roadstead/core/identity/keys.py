"""What can be done with API keys."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from roadstead.core.identity import tokens
from roadstead.core.identity.model import (
    ApiKey,
    Environment,
    KeyChange,
    KeyDraft,
    KeyStatus,
    NewKey,
    check_within,
    read_networks,
    read_scopes,
)
from roadstead.core.identity.store import keys as store
from roadstead.core.messages import KeyRevoked
from roadstead.core.operation import operation
from roadstead.core.work import Work, check_version
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound, PreconditionFailed
from roadstead.kernel.ids import KeyId, new_id
from roadstead.kernel.page import Page, PageQuery

_SHOWN_LETTERS = 4


@operation(Grant.API_KEYS_READ)
async def list_keys(work: Work, statuses: Sequence[KeyStatus], query: PageQuery) -> Page[ApiKey]:
    """Keys, newest first; of all statuses when none is named."""
    return await store.page_keys(work.tx, work.tenant_id, statuses, query)


@operation(Grant.API_KEYS_READ)
async def get_key(work: Work, key_id: UUID) -> ApiKey:
    """One key."""
    return await _load(work, key_id)


@operation(Grant.API_KEYS_WRITE)
async def create_key(work: Work, draft: KeyDraft) -> NewKey:
    """Make a key that may do no more than whoever makes it; it stays when they leave. The secret is shown this once."""
    scopes = sorted(work.actor.grants) if draft.scopes is None else read_scopes(draft.scopes)
    check_within(work.actor.grants, scopes)
    _check_expiry(draft.expires_at, work.now())
    secret, prefix = _new_secret(draft.environment)
    at = work.now()
    key = ApiKey(
        id=KeyId(new_id()),
        name=draft.name,
        prefix=prefix,
        environment=draft.environment,
        scopes=[str(scope) for scope in scopes],
        allowed_cidrs=read_networks(draft.allowed_cidrs),
        expires_at=draft.expires_at,
        created_by=work.actor.id,
        created_at=at,
        updated_at=at,
    )
    await store.insert_key(work.tx, work.tenant_id, key, tokens.digest(secret))
    work.record("api-key.create", key.id, after=key)
    return NewKey(key, secret)


@operation(Grant.API_KEYS_WRITE)
async def change_key(work: Work, key_id: UUID, change: KeyChange, *, expected: int | None) -> ApiKey:
    """Rename, narrow the scopes, set expiry and networks. Who needs more scopes makes another key."""
    before = await _load_good(work, key_id)
    check_version(before.version, expected)
    check_within(work.actor.grants, _known(before.scopes))
    sent: dict[str, Any] = change.sent() | {"updated_at": work.now()}
    if change.scopes is not UNSET:
        sent["scopes"] = [str(scope) for scope in read_scopes(change.scopes)]
        wider = sorted(set(sent["scopes"]) - set(before.scopes))
        if wider:
            raise Invalid.field("/scopes", f"can only become fewer; this key never had {', '.join(wider)}")
    if change.allowed_cidrs is not UNSET:
        sent["allowed_cidrs"] = read_networks(change.allowed_cidrs)
    if change.expires_at is not UNSET:
        _check_expiry(change.expires_at, work.now())
    after = _found(await store.update_key(work.tx, work.tenant_id, msgspec.structs.replace(before, **sent)))
    work.record("api-key.update", key_id, before=before, after=after)
    return after


@operation(Grant.API_KEYS_WRITE)
async def rotate_key(work: Work, key_id: UUID, *, grace: timedelta) -> NewKey:
    """A new secret, shown this once; the one before stays good for the grace. Only for those who may do what it may."""
    before = await _load_good(work, key_id)
    check_within(work.actor.grants, _known(before.scopes))
    secret, prefix = _new_secret(before.environment)
    draft = msgspec.structs.replace(before, prefix=prefix, updated_at=work.now())
    after = _found(
        await store.replace_secret(
            work.tx, work.tenant_id, draft, tokens.digest(secret), previous_until=work.now() + grace
        )
    )
    work.record("api-key.rotate", key_id, before=before, after=after)
    return NewKey(after, secret)


@operation(Grant.API_KEYS_WRITE)
async def revoke_key(work: Work, key_id: UUID) -> None:
    """No longer good, at once. Its record stays; revoking again changes nothing."""
    before = await _load(work, key_id)
    if before.revoked_at is not None:
        return
    draft = msgspec.structs.replace(before, revoked_at=work.now(), updated_at=work.now())
    after = _found(await store.update_key(work.tx, work.tenant_id, draft))
    work.record("api-key.revoke", key_id, before=before, after=after)
    work.emit(KeyRevoked(KeyId(key_id)))


async def _load(work: Work, key_id: UUID) -> ApiKey:
    key = await store.select_key(work.tx, work.tenant_id, key_id)
    if key is None:
        raise NotFound("API key", key_id)
    return key


async def _load_good(work: Work, key_id: UUID) -> ApiKey:
    key = await _load(work, key_id)
    if key.revoked_at is not None:
        raise Conflict("this API key was revoked for good; make another", code="invalid-state")
    return key


def _found(key: ApiKey | None) -> ApiKey:
    if key is None:
        raise PreconditionFailed("the API key was changed by somebody else")
    return key


def _known(scopes: Sequence[str]) -> frozenset[Grant]:
    return frozenset(grant for grant in Grant if grant in scopes)


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise Invalid.field("/expiresAt", "lies in the past")


def _new_secret(environment: Environment) -> tuple[str, str]:
    """A secret, and what may be shown of it."""
    start = f"sk_{environment.lower()}_"
    letters = tokens.new_secret()
    return start + letters, start + letters[:_SHOWN_LETTERS]
