"""Asking people to join with roles of the tenant, and answering as one who has an account."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from roadstead.core.identity import model
from roadstead.core.identity.invitations import check_not_member, invite, join
from roadstead.core.identity.model import Invitation, InvitationStatus, Person
from roadstead.core.identity.people import get_self
from roadstead.core.identity.role_model import Offer, OfferStatus, TenantRole, rights_of
from roadstead.core.identity.roles import check_may_give, load_roles
from roadstead.core.identity.store import offers as store
from roadstead.core.identity.store import roles
from roadstead.core.operation import operation, unguarded
from roadstead.core.work import Account, Entry, Work
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import Grant, Role
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.ORGANIZATION_READ)
async def list_offers(work: Work, *, statuses: Sequence[OfferStatus], query: PageQuery) -> Page[Offer]:
    """Invitations to this organization, newest first; of all statuses when none is named."""
    return await store.page_offers_of(work.tx, work.tenant_id, statuses=statuses, at=work.now(), query=query)


@operation(Grant.MEMBERS_WRITE)
async def create_offer(work: Work, *, email: str, role_ids: Sequence[UUID]) -> Offer:
    """Invite somebody to have these roles. It is an invitation like all others, for the nearest role of the platform.

    Raises `Conflict` for a member and for somebody who was asked and has not answered, `NotFound` for a role that is
    not there, `Forbidden` for one that may do more than whoever invites, `Unavailable` like `create_invitation`.
    """
    await roles.lock_roles(work.tx, work.tenant_id)
    return await _offer(work, email, await load_roles(work, role_ids))


@operation(Grant.MEMBERS_WRITE)
async def create_offer_by_names(work: Work, *, email: str, names: Sequence[str]) -> Offer:
    """`create_offer` for roles that are told by name."""
    await roles.lock_roles(work.tx, work.tenant_id)
    found = await roles.select_roles_named(work.tx, work.tenant_id, names)
    known = {role.name.lower() for role in found}
    for name in names:
        if name.lower() not in known:
            raise NotFound("role", name)
    return await _offer(work, email, found)


@unguarded("everyone may know where they are invited")
async def list_own_offers(account: Account, *, statuses: Sequence[OfferStatus], query: PageQuery) -> Page[Offer]:
    """Invitations to the caller's address, newest first; of all statuses when none is named."""
    person = await get_self(account)
    return await store.page_offers_to(account.tx, person.email, statuses=statuses, at=time.now(), query=query)


@unguarded("whoever has this address was invited")
async def accept_offer(account: Account, invitation_id: UUID) -> None:
    """Join with the roles that were offered. Raises `Invalid` for one that is not open, `Conflict` for a member."""
    person = await get_self(account)
    invitation = await _lock_open(account, person, invitation_id)
    actor = account.actor
    entry = Entry(account.tx, account.ports, address=actor.address, request_id=actor.request_id)
    await join(entry, invitation, person)


@unguarded("whoever has this address was invited")
async def decline_offer(account: Account, invitation_id: UUID) -> None:
    """Nobody can accept it any more. Raises `Invalid` for one that is not open."""
    person = await get_self(account)
    invitation = await _lock_open(account, person, invitation_id)
    await store.decline_offer(account.tx, invitation, time.now())
    offer = await _load_offer(account.tx, invitation)
    guest = msgspec.structs.replace(
        account.actor,
        tenant_id=invitation.tenant_id,
        organization_id=offer.organization_id,
        grants=frozenset(),
        role=None,
    )
    Work(guest, account.tx, account.ports).record("invitation.decline", invitation.id)


async def _offer(work: Work, email: str, offered: Sequence[TenantRole]) -> Offer:
    model.check_email(email)
    if not offered:
        raise Invalid.field("/roles", "must name at least one role")
    await check_may_give(work, offered)
    await check_not_member(work, email)
    if await store.has_open_offer(work.tx, work.tenant_id, email, work.now()):
        raise Conflict(f"{email} was invited already and has not answered")
    nearest = rights_of(Role.MEMBER, offered).role
    invitation = await invite(
        work,
        email=email,
        # Nobody is invited as owner of the platform's making; the roles make them one when they join.
        role=Role.ADMIN if nearest is Role.OWNER else nearest,
        role_ids=[role.id for role in offered],
        spoken=", ".join(sorted(role.name for role in offered)),
    )
    return await _load_offer(work.tx, invitation)


async def _lock_open(account: Account, person: Person, invitation_id: UUID) -> Invitation:
    invitation = await store.lock_offer_to(account.tx, person.email, invitation_id)
    if invitation is None:
        raise NotFound("invitation", invitation_id)
    status = invitation.status(time.now())
    if status is not InvitationStatus.PENDING:
        raise Invalid.field("/status", f"this invitation is {status.lower()} already")
    return invitation


async def _load_offer(tx: Tx, invitation: Invitation) -> Offer:
    offer = await store.select_offer(tx, invitation.tenant_id, invitation.id)
    if offer is None:
        raise NotFound("invitation", invitation.id)
    return offer
