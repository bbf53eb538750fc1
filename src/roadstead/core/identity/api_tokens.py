"""Tokens that people make for programs: of their own, for all their organizations, or of a space."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from roadstead.core.identity import tokens
from roadstead.core.identity.bearer_model import (
    GRANTS_OF_SPACE,
    PersonToken,
    PersonTokenChange,
    RoleIn,
    RolesDraft,
    SpaceToken,
    TokenChange,
    TokenDraft,
)
from roadstead.core.identity.bearer_tokens import Subtype, write_token
from roadstead.core.identity.store import bearer_tokens as store
from roadstead.core.identity.store import people
from roadstead.core.operation import operation, unguarded
from roadstead.core.work import Account, Work
from roadstead.kernel import time
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import SpaceId, new_id
from roadstead.kernel.page import Page, PageQuery

TOKEN_SORTS = frozenset(store.SORTS)
"""What tokens can be sorted by."""
_Token = TypeVar("_Token", PersonToken, SpaceToken)


# --- one's own -------------------------------------------------------------------------------------------------------


@unguarded("it is their own account")
async def list_person_tokens(
    account: Account, where: Filter | None, *, sort: str, descending: bool, page: PageQuery
) -> Page[PersonToken]:
    """The caller's own (fields: name, status)."""
    key = msgspec.structs.replace(store.SORTS[sort], descending=descending)
    return await store.page_person_tokens(account.tx, account.person_id, where, key, page)


@unguarded("it is their own account")
async def get_person_token(account: Account, token_id: UUID) -> PersonToken:
    """One of the caller's own."""
    return _found(await store.select_person_token(account.tx, account.person_id, token_id))


@unguarded("it is their own account")
async def create_person_token(account: Account, draft: TokenDraft, roles: RolesDraft) -> tuple[PersonToken, str]:
    """A token for what the caller may do, or less; its text is shown this once.

    `Invalid` when it names an organization where they are no member.
    """
    _check_end(draft.expires_at)
    await _check_roles(account, roles.roles)
    now = time.now()
    token = PersonToken(
        id=new_id(),
        name=draft.name,
        description=draft.description,
        scopes=list(draft.scopes),
        enabled=draft.enabled,
        created_at=now,
        updated_at=now,
        expires_at=draft.expires_at,
        person_id=account.person_id,
        default_role=roles.default_role,
        roles=list(roles.roles),
    )
    text = await _write(account, token)
    await store.insert_person_token(account.tx, token, tokens.digest(text))
    account.as_work().record("person-token.create", token.id, after=token)
    return token, text


@unguarded("it is their own account")
async def change_person_token(account: Account, token_id: UUID, change: PersonTokenChange) -> PersonToken:
    """Change name, description, whether it is good, and what it is for."""
    before = await get_person_token(account, token_id)
    after = _changed(before, change)
    if after.roles != before.roles:
        await _check_roles(account, after.roles)
    await store.update_person_token(account.tx, after)
    account.as_work().record("person-token.update", token_id, before=before, after=after)
    return after


@unguarded("it is their own account")
async def delete_person_token(account: Account, token_id: UUID) -> None:
    """It is no good any more, at once."""
    if not await store.delete_person_token(account.tx, account.person_id, token_id):
        raise NotFound("API token", token_id)
    account.as_work().record("person-token.delete", token_id)


# --- of a space ------------------------------------------------------------------------------------------------------


@operation(Grant.API_KEYS_READ)
async def list_space_tokens(
    work: Work, space_id: SpaceId, where: Filter | None, *, sort: str, descending: bool, page: PageQuery
) -> Page[SpaceToken]:
    """Those of a space (fields: name, status)."""
    key = msgspec.structs.replace(store.SORTS[sort], descending=descending)
    return await store.page_space_tokens(work.tx, space_id, where, key, page)


@operation(Grant.API_KEYS_READ)
async def get_space_token(work: Work, space_id: SpaceId, token_id: UUID) -> SpaceToken:
    """One of a space."""
    return _found(await store.select_space_token(work.tx, space_id, token_id))


@operation(Grant.API_KEYS_WRITE)
async def create_space_token(work: Work, space_id: SpaceId, draft: TokenDraft) -> tuple[SpaceToken, str]:
    """A token for this space, and no more than whoever makes it may do; its text is shown this once."""
    _check_end(draft.expires_at)
    now = work.now()
    token = SpaceToken(
        id=new_id(),
        name=draft.name,
        description=draft.description,
        scopes=list(draft.scopes),
        enabled=draft.enabled,
        created_at=now,
        updated_at=now,
        expires_at=draft.expires_at,
        space_id=space_id,
        grants=sorted(str(grant) for grant in GRANTS_OF_SPACE & work.actor.grants),
        created_by=work.actor.id,
        created_by_kind=work.actor.kind,
        created_by_name=work.actor.name,
    )
    text = await _write(work, token)
    await store.insert_space_token(work.tx, work.tenant_id, token, tokens.digest(text))
    work.record("space-token.create", token.id, after=token)
    return token, text


@operation(Grant.API_KEYS_WRITE)
async def change_space_token(work: Work, space_id: SpaceId, token_id: UUID, change: TokenChange) -> SpaceToken:
    """Change name, description and whether it is good."""
    before = await get_space_token(work, space_id, token_id)
    after = _changed(before, change)
    await store.update_space_token(work.tx, after)
    work.record("space-token.update", token_id, before=before, after=after)
    return after


@operation(Grant.API_KEYS_WRITE)
async def delete_space_token(work: Work, space_id: SpaceId, token_id: UUID) -> None:
    """It is no good any more, at once."""
    if not await store.delete_space_token(work.tx, space_id, token_id):
        raise NotFound("API token", token_id)
    work.record("space-token.delete", token_id)


# --- both ------------------------------------------------------------------------------------------------------------


async def _write(work: Work | Account, token: PersonToken | SpaceToken) -> str:
    return await write_token(
        work.tx,
        work.ports,
        Subtype.PROGRAM,
        token.id,
        scopes=token.scopes,
        created_at=token.created_at,
        expires_at=token.expires_at,
    )


def _found(token: _Token | None) -> _Token:
    if token is None:
        raise NotFound("API token")
    return token


def _changed(before: _Token, change: TokenChange) -> _Token:
    return msgspec.structs.replace(before, **change.sent(), updated_at=time.now())


def _check_end(expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= time.now():
        raise Invalid.field("/expirationDate", "lies in the past")


async def _check_roles(account: Account, roles: Sequence[RoleIn]) -> None:
    own = {each.organization_id for each in await people.select_memberships(account.tx, account.person_id)}
    for index, each in enumerate(roles):
        if each.organization_id not in own:
            raise Invalid.field(f"/orgRoles/{index}/orgId", "is no organization of yours")
