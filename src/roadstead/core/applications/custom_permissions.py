"""Permissions that applications bring along: the platform keeps them and hands them out, and never looks at them."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from roadstead.core.applications.developing import load_application
from roadstead.core.applications.model import (
    CustomPermission,
    CustomPermissionChange,
    CustomPermissionDraft,
    check_alias,
    check_words,
)
from roadstead.core.applications.store import custom_permissions as store
from roadstead.core.operation import operation, unguarded
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, NotFound
from roadstead.kernel.ids import new_id
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.APPLICATIONS_READ)
async def list_custom_permissions(work: Work, application_id: UUID, query: PageQuery) -> Page[CustomPermission]:
    """Those of an application of this developer, newest first."""
    await load_application(work, application_id)
    return await store.page_permissions(work.tx, work.tenant_id, application_id, query)


@operation(Grant.APPLICATIONS_READ)
async def get_custom_permission(work: Work, application_id: UUID, permission_id: UUID) -> CustomPermission:
    """One of an application of this developer."""
    return await _load(work, application_id, permission_id)


@operation(Grant.APPLICATIONS_WRITE)
async def create_custom_permission(work: Work, application_id: UUID, draft: CustomPermissionDraft) -> CustomPermission:
    """Add one. Its alias is free in the application."""
    await load_application(work, application_id)
    now = work.now()
    permission = CustomPermission(
        id=new_id(),
        application_id=application_id,
        alias=draft.alias,
        category=draft.category,
        name=draft.name,
        description=draft.description,
        created_at=now,
        updated_at=now,
    )
    check_alias(permission.alias)
    check_words("name", permission.name, most=255)
    check_words("category", permission.category, most=32)
    if not await store.insert_permission(work.tx, work.tenant_id, permission):
        raise Conflict.taken("custom permission", "alias", permission.alias)
    work.record("custom-permission.create", permission.id, after=permission)
    return permission


@operation(Grant.APPLICATIONS_WRITE)
async def change_custom_permission(
    work: Work, application_id: UUID, permission_id: UUID, change: CustomPermissionChange
) -> CustomPermission:
    """Change category and description."""
    before = await _load(work, application_id, permission_id)
    after = msgspec.structs.replace(before, **change.sent(), updated_at=work.now())
    check_words("category", after.category, most=32)
    await store.update_permission(work.tx, work.tenant_id, after)
    work.record("custom-permission.update", permission_id, before=before, after=after)
    return after


@operation(Grant.APPLICATIONS_WRITE)
async def delete_custom_permission(work: Work, application_id: UUID, permission_id: UUID) -> None:
    """It is gone from all roles, in all tenants."""
    before = await _load(work, application_id, permission_id)
    await store.delete_permission(work.tx, work.tenant_id, permission_id)
    work.record("custom-permission.delete", permission_id, before=before)


@operation(Grant.APPLICATIONS_READ)
async def list_offered_permissions(work: Work, application_id: UUID, query: PageQuery) -> Page[CustomPermission]:
    """Those that come with an application which this tenant has installed, newest first."""
    return await store.page_offered_permissions(work.tx, application_id, query)


@unguarded("for rooms and routes that have asked already: names of what a role or a person of this tenant holds")
async def load_custom_permissions(work: Work, wanted: Sequence[UUID]) -> list[CustomPermission]:
    """Those among some that come with applications which this tenant has installed, by alias."""
    return await store.select_offered_permissions(work.tx, wanted) if wanted else []


async def _load(work: Work, application_id: UUID, permission_id: UUID) -> CustomPermission:
    permission = await store.select_permission(work.tx, work.tenant_id, application_id, permission_id)
    if permission is None:
        raise NotFound("custom permission", permission_id)
    return permission
