"""What can be done with the accounts of a project (contract leverege, `account.*` and `user.*`).

Those that change something need a transaction that sees all tenants, for people are nobody's rows.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from roadstead.core.identity import passwords
from roadstead.core.identity.account_model import (
    AccountChange,
    AccountDraft,
    MemberAccount,
    address_of,
    check_metadata,
)
from roadstead.core.identity.members import remove_member
from roadstead.core.identity.model import Person, check_within
from roadstead.core.identity.role_model import rights_of
from roadstead.core.identity.store import accounts as store
from roadstead.core.identity.store import members, people, roles, sessions
from roadstead.core.operation import check_grant, operation, unguarded
from roadstead.core.work import Entry, Work
from roadstead.kernel.actor import ActorKind, Grant, Role
from roadstead.kernel.errors import Conflict, Forbidden, NotFound
from roadstead.kernel.ids import UserId, new_id


@operation(Grant.ORGANIZATION_READ)
async def list_accounts(
    work: Work,
    *,
    among: Sequence[UUID] | None = None,
    managed: bool | None = None,
    text: str | None = None,
    limit: int,
    offset: int,
) -> tuple[list[MemberAccount], int]:
    """Members by name from an index on, and how many there are; `text` is looked for in what they are called."""
    return await store.page_accounts(
        work.tx, work.tenant_id, among=among, managed=managed, text=text, limit=limit, offset=offset
    )


@unguarded("oneself may always be read; for anyone else it asks for organization:read")
async def get_account(work: Work, person_id: UUID) -> MemberAccount:
    """One member."""
    if person_id != work.actor.id:
        check_grant(work.actor, Grant.ORGANIZATION_READ)
    return await _load(work, person_id)


@operation(Grant.ORGANIZATION_READ)
async def get_account_named(work: Work, name: str) -> MemberAccount:
    """The member with a name, upper and lower case alike."""
    account = await store.select_account_named(work.tx, work.tenant_id, name)
    if account is None:
        raise NotFound("user", name)
    return account


@unguarded("for those who have just shown that it is them")
async def load_account_in(entry: Entry, project_id: UUID, person_id: UUID) -> MemberAccount:
    """A member of a project."""
    account = await store.select_account_in(entry.tx, project_id, person_id)
    if account is None:
        raise NotFound("user", person_id)
    return account


@unguarded("for those who have just shown that it is them")
async def load_person_of(entry: Entry, person_id: UserId) -> Person:
    """Somebody by themselves."""
    person = await people.select_person(entry.tx, person_id)
    if person is None:
        raise NotFound("user", person_id)
    return person


@operation(Grant.MEMBERS_WRITE)
async def create_account(work: Work, draft: AccountDraft) -> MemberAccount:
    """A new person with an account here, who may do nothing until they are given a role on something.

    Raises `Conflict` when somebody here has the name.
    """
    return await make_account(work, draft)


async def make_account(work: Work, draft: AccountDraft) -> MemberAccount:
    """The same without asking for rights, for modules that have."""
    now, person_id = work.now(), UserId(new_id())
    account = MemberAccount(
        person_id=person_id,
        username=draft.username,
        name=draft.name or draft.username,
        email=draft.email,
        phone=draft.phone,
        metadata=draft.metadata,
        managed=True,
        confined=True,
        role=Role.MEMBER,
        created_at=now,
        updated_at=now,
    )
    account.check()
    hashed = None
    if draft.password is not None:
        passwords.check_password(draft.password, field="/password", shortest=passwords.SHORTEST_OF_ACCOUNT)
        hashed = await passwords.hash_password(draft.password, work.ports.password_cost)
    await roles.lock_roles(work.tx, work.tenant_id)
    await _check_name_is_free(work, account)

    address = address_of(account.username, person_id, work.actor.organization_id)
    person = Person(id=person_id, email=address, name=account.name)
    if not await people.insert_person(work.tx, person, hashed, now):
        # It belongs to somebody who was called this once.
        address = address_of(f"@={person_id}", person_id, work.actor.organization_id)
        await people.insert_person(work.tx, msgspec.structs.replace(person, email=address), hashed, now)
    await members.insert_member(work.tx, work.tenant_id, person_id, Role.MEMBER, now)
    await store.confine_member(work.tx, work.tenant_id, person_id)
    await store.insert_account(work.tx, work.tenant_id, account)
    work.record("account.create", person_id, after=account)
    return account


@unguarded("one's own account may always be changed; for anyone else's it asks for members:write")
async def change_account(work: Work, person_id: UUID, change: AccountChange) -> MemberAccount:
    """Change what the project knows of a member; name, user name and password only of those whom it has made.

    A new password ends their sessions. Nobody changes the account of somebody who may do more than they themselves.
    Raises `Forbidden` for what belongs to a person who has an account of their own.
    """
    before = await _load(work, person_id)
    is_self = person_id == work.actor.id
    if not is_self:
        await _check_covers(work, before)
    sent = change.sent()
    password = sent.pop("password", None)
    if password is not None and is_self:
        raise Forbidden("the own password is changed with the old one")
    after = msgspec.structs.replace(before, **sent, updated_at=work.now())
    after.check()
    # With the address of somebody who is known elsewhere, too, one could ask for a new password of theirs.
    is_theirs = after.name != before.name or (before.managed and after.email != before.email)
    if password is not None or after.username != before.username or (is_theirs and not is_self):
        await _check_is_ours(work, before)
    if after.username != before.username:
        await roles.lock_roles(work.tx, work.tenant_id)
        await _check_name_is_free(work, after)
    if after.name != before.name:
        await _rename(work, after)
    await store.update_account(work.tx, work.tenant_id, after)
    work.record("account.update", person_id, before=before, after=after)
    if change.password is not UNSET:
        await _set_password(work, before, change.password)
    return after


@unguarded("oneself may always leave; for anyone else it asks for members:write")
async def delete_account(work: Work, person_id: UUID) -> None:
    """No member any more, at once. Whoever was made here and has nothing else is gone altogether.

    Raises `Conflict` for the last owner.
    """
    before = await _load(work, person_id)
    await remove_member(work, person_id)
    if before.managed and not await store.count_memberships(work.tx, before.person_id):
        await store.delete_person(work.tx, before.person_id)


@operation(Grant.MEMBERS_WRITE)
async def add_known_person(work: Work, person_id: UUID) -> MemberAccount:
    """Make somebody a member whom the caller knows from another organization; they may do nothing until they are given
    a role on something.

    Raises `NotFound` for anybody else, `Conflict` for a member.
    """
    known = work.actor.kind is ActorKind.USER and await store.is_known_to(work.tx, work.actor.id, person_id)
    if not known:
        raise NotFound("user", person_id)
    person = UserId(person_id)
    if not await members.insert_member(work.tx, work.tenant_id, person, Role.MEMBER, work.now()):
        raise Conflict.taken("member", "id", person_id, code="already-member")
    await store.confine_member(work.tx, work.tenant_id, person)
    account = await _load(work, person_id)
    work.record("member.create", person_id, after=account)
    return account


# --- what is noted beside roles --------------------------------------------------------------------------------------


@operation(Grant.ORGANIZATION_READ)
async def load_notes(work: Work, resource_id: UUID, person_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """What is noted about these people on a resource."""
    return await store.select_notes(work.tx, work.tenant_id, resource_id, person_ids)


@operation(Grant.MEMBERS_WRITE)
async def note(work: Work, resource_id: UUID, person_id: UUID, metadata: dict[str, Any]) -> None:
    """Note something about a member on a resource, in place of what was noted."""
    check_metadata(metadata)
    await _load(work, person_id)
    await store.upsert_notes(work.tx, work.tenant_id, resource_id, person_id, metadata)
    work.record("account.note", person_id)


@operation(Grant.MEMBERS_WRITE)
async def forget_notes(work: Work, resource_id: UUID, person_id: UUID) -> None:
    """Nothing is noted about them on a resource any more."""
    await store.delete_notes(work.tx, work.tenant_id, resource_id, person_id)
    work.record("account.note", person_id)


async def _load(work: Work, person_id: UUID) -> MemberAccount:
    account = await store.select_account(work.tx, work.tenant_id, person_id)
    if account is None:
        raise NotFound("user", person_id)
    return account


async def _check_covers(work: Work, account: MemberAccount) -> None:
    check_grant(work.actor, Grant.MEMBERS_WRITE)
    held = await roles.select_held(work.tx, work.tenant_id, account.person_id)
    check_within(work.actor.grants, rights_of(account.role, held.held if held else None).grants)


async def _check_is_ours(work: Work, account: MemberAccount) -> None:
    if not account.managed or await store.count_memberships(work.tx, account.person_id) != 1:
        raise Forbidden("this person has an account of their own: what they are called and sign in with is theirs")


async def _check_name_is_free(work: Work, account: MemberAccount) -> None:
    other = await store.select_account_named(work.tx, work.tenant_id, account.username)
    if other is not None and other.person_id != account.person_id:
        raise Conflict.taken("user", "username", account.username)


async def _rename(work: Work, account: MemberAccount) -> None:
    person = await people.select_person(work.tx, account.person_id)
    if person is not None:
        await people.update_person(work.tx, msgspec.structs.replace(person, name=account.name), work.now())


async def _set_password(work: Work, account: MemberAccount, password: str) -> None:
    passwords.check_password(password, field="/password", shortest=passwords.SHORTEST_OF_ACCOUNT)
    hashed = await passwords.hash_password(password, work.ports.password_cost)
    await people.update_password(work.tx, account.person_id, hashed, work.now())
    await sessions.revoke_sessions_of_person(work.tx, account.person_id, work.now())
    work.record("account.set-password", account.person_id)
