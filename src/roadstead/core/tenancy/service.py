"""What can be done with organizations."""

import secrets
from collections.abc import Sequence
from datetime import timedelta

import msgspec
from msgspec import UNSET

from roadstead.core.messages import OrganizationChanged
from roadstead.core.operation import operation, unguarded
from roadstead.core.tenancy import store
from roadstead.core.tenancy.model import (
    Organization,
    OrganizationChange,
    OrganizationDraft,
    OrganizationSettings,
    OrganizationStatus,
    slug_from,
)
from roadstead.core.work import Account, Entry, Work, check_version
from roadstead.kernel import ids, time
from roadstead.kernel.actor import ActorKind, Grant, system_actor
from roadstead.kernel.errors import Conflict, FieldProblem, Forbidden, Invalid, NotFound, PreconditionFailed
from roadstead.kernel.ids import TenantId, new_id
from roadstead.kernel.page import Page, PageQuery

DELETE_AFTER = timedelta(days=14)
"""How long a deleted organization can be restored (contract, `organization.delete`)."""

_HIDDEN = frozenset({"notes"})
"""What people and their bills are called is nothing for the audit log."""


@unguarded("whoever has signed in may know the organization this happened in")
async def get_organization(work: Work) -> Organization:
    """The organization the request resolves to."""
    return await load_organization(work)


@operation(Grant.ORGANIZATION_WRITE)
async def change_organization(work: Work, change: OrganizationChange, *, expected: int | None) -> Organization:
    """Change name, slug, settings or notes. `expected` is the version the caller has seen."""
    before = await load_organization(work)
    check_version(before.version, expected)
    sent = change.sent()
    if change.settings is not UNSET:
        sent["settings"] = before.settings.changed(change.settings)
    if change.notes is not UNSET:
        sent["notes"] = {**before.notes, **change.notes}
    draft = msgspec.structs.replace(before, **sent)
    if draft.slug != before.slug and await store.is_slug_taken(work.tx, draft.slug):
        raise Conflict.taken("organization", "slug", draft.slug, code="slug-taken")

    after = await store.update_organization(work.tx, draft, work.now())
    if after is None:
        raise PreconditionFailed("the organization was changed by somebody else")
    work.record("organization.update", after.public_id, before=before, after=after, hide=_HIDDEN)
    work.emit(OrganizationChanged())
    return after


@unguarded("a name that is taken is told to whoever wants it")
async def check_name_is_free(asked: Account | Work, name: str, *, but: TenantId | None) -> None:
    """Raises `Conflict` when another organization has this name, for dialects that want names to be unique.

    Until the end of the transaction nobody else takes it in such a dialect.
    """
    if await store.is_name_taken(asked.tx, name, but=but):
        raise Conflict.taken("organization", "name", name)


@operation(Grant.ORGANIZATION_DELETE)
async def delete_organization(work: Work, *, confirm: str) -> None:
    """Mark it for deletion: from now on nobody can work in it, and after 14 days it is gone with everything in it.

    `confirm` repeats the slug. Keys are refused: this is for the owner in person.
    """
    if work.actor.kind is ActorKind.API_KEY:
        raise Forbidden("an organization is deleted by its owner, not by a key")
    before = await load_organization(work)
    if confirm != before.slug:
        problem = FieldProblem("confirm", "confirmation-mismatch", "is not the slug of this organization", "query")
        raise Invalid(f"confirm: {problem.detail}", code="confirmation-mismatch", fields=[problem])
    await _set_status(work, before, OrganizationStatus.DELETING, "organization.delete")


@unguarded("for the command line and the first start, and for people who found their own")
async def found_organization(entry: Entry | Account, draft: OrganizationDraft) -> Organization:
    """Found an organization with its default space. Raises `Conflict` when a slug that was asked for is taken."""
    at = time.now()
    organization = Organization(
        tenant_id=TenantId(0),
        public_id=new_id(),
        name=draft.name,
        slug=draft.slug or slug_from(draft.name),
        settings=OrganizationSettings().changed(draft.settings),
        status=OrganizationStatus.ACTIVE,
        notes=draft.notes,
        created_at=at,
        updated_at=at,
        version=1,
    )
    number = await store.insert_organization(entry.tx, organization)
    while number is None and draft.slug is None:
        organization = msgspec.structs.replace(organization, slug=f"{slug_from(draft.name)}-{secrets.token_hex(3)}")
        number = await store.insert_organization(entry.tx, organization)
    if number is None:
        raise Conflict.taken("organization", "slug", organization.slug, code="slug-taken")
    organization = msgspec.structs.replace(organization, tenant_id=number)
    await store.insert_default_space(entry.tx, number, new_id(), at)

    actor = system_actor(number, organization.public_id)
    if isinstance(entry, Account):
        actor = msgspec.structs.replace(entry.actor, tenant_id=number, organization_id=organization.public_id)
    work = Work(actor, entry.tx, entry.ports)
    work.record("organization.create", organization.public_id, after=organization, hide=_HIDDEN)
    return organization


@unguarded("for the command line: whoever runs the platform")
async def suspend_organization(entry: Entry, name: str) -> Organization:
    """Nobody can work in it until it is restored. `name` is its slug or its id."""
    before = await load_organization_named(entry, name)
    work = entry.as_actor(system_actor(before.tenant_id, before.public_id))
    return await _set_status(work, before, OrganizationStatus.SUSPENDED, "organization.suspend")


@unguarded("for the command line: whoever runs the platform")
async def restore_organization(entry: Entry, name: str) -> Organization:
    """Work again in one that was suspended or deleted less than 14 days ago. `name` is its slug or its id."""
    before = await load_organization_named(entry, name)
    work = entry.as_actor(system_actor(before.tenant_id, before.public_id))
    return await _set_status(work, before, OrganizationStatus.ACTIVE, "organization.restore")


async def load_organization_named(entry: Entry, name: str) -> Organization:
    """The organization with this slug or this id, for whoever runs the platform. Raises `NotFound`."""
    organization = await store.select_organization_named(entry.tx, name, ids.parse_uuid(name))
    if organization is None:
        raise NotFound("organization", name)
    return organization


async def list_organizations(
    entry: Entry | Account, query: PageQuery, *, among: Sequence[TenantId] | None = None
) -> Page[Organization]:
    """Those among some (all of the platform when `among` is None), by name."""
    return await store.page_organizations(entry.tx, among, query)


async def is_platform_empty(entry: Entry) -> bool:
    """Whether there is no organization yet; who learns so can found the first one before anybody else does."""
    return await store.is_platform_empty(entry.tx)


async def load_organization(work: Work) -> Organization:
    """The organization of the work, without asking for rights."""
    organization = await store.select_organization(work.tx, work.tenant_id)
    if organization is None:
        raise NotFound("organization", work.actor.organization_id)
    return organization


async def _set_status(work: Work, before: Organization, status: OrganizationStatus, action: str) -> Organization:
    delete_at = work.now() + DELETE_AFTER if status is OrganizationStatus.DELETING else None
    after = await store.update_status(work.tx, before.tenant_id, status, delete_at=delete_at, updated_at=work.now())
    if after is None:
        raise NotFound("organization", before.public_id)
    work.record(action, after.public_id, before=before, after=after, hide=_HIDDEN)
    work.emit(OrganizationChanged())
    return after
