"""What developers do: make applications, change them, say who may install them."""

import secrets
from uuid import UUID

import msgspec

from roadstead.core.applications.model import (
    AllowedTenant,
    Application,
    ApplicationChange,
    ApplicationDraft,
    NewApplication,
    check_application,
    check_comment,
    digest,
)
from roadstead.core.applications.store import applications as store
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, NotFound, PreconditionFailed
from roadstead.kernel.ids import new_id
from roadstead.kernel.page import Page, PageQuery

_SECRET_BYTES = 12
"""16 letters in base64url, as programs expect them; 96 random bits."""


@operation(Grant.APPLICATIONS_READ)
async def list_applications(work: Work, query: PageQuery) -> Page[Application]:
    """Applications of this developer, newest first."""
    return await store.page_applications(work.tx, work.tenant_id, query)


@operation(Grant.APPLICATIONS_READ)
async def get_application(work: Work, application_id: UUID) -> Application:
    """One application of this developer."""
    return await load_application(work, application_id)


@operation(Grant.APPLICATIONS_READ)
async def get_application_of_client(work: Work, client_id: UUID) -> Application:
    """The application of this developer that has this OAuth client."""
    application = await store.select_application_of_client(work.tx, work.tenant_id, client_id)
    if application is None:
        raise NotFound("client", client_id)
    return application


@operation(Grant.APPLICATIONS_WRITE)
async def create_application(work: Work, draft: ApplicationDraft) -> NewApplication:
    """Make an application with its OAuth clients. The secret is shown this once.

    Nobody can use it yet, its developer included: they must be allowed to, and install it.
    """
    now = work.now()
    application = Application(
        id=new_id(),
        name=draft.name,
        teaser_description=draft.teaser_description,
        url=draft.url,
        active=True,
        redirect_uris=draft.redirect_uris,
        client_permissions=draft.client_permissions,
        user_permissions=draft.user_permissions,
        client_id=new_id(),
        public_client_id=new_id() if draft.with_public_client else None,
        installations=0,
        created_at=now,
        updated_at=now,
        version=1,
    )
    check_application(application)
    secret = _new_secret()
    if not await store.insert_application(work.tx, work.tenant_id, application, digest(secret)):
        raise Conflict.taken("application", "name", application.name)
    work.record("application.create", application.id, after=application)
    return NewApplication(application, secret)


@operation(Grant.APPLICATIONS_WRITE)
async def change_application(work: Work, application_id: UUID, change: ApplicationChange) -> Application:
    """Change an application. Other permissions than before are not granted until tenants consent to them."""
    before = await load_application(work, application_id)
    fields = change.sent()
    with_public_client = fields.pop("with_public_client", before.public_client_id is not None)
    if with_public_client != (before.public_client_id is not None):
        fields["public_client_id"] = new_id() if with_public_client else None
    draft = msgspec.structs.replace(before, **fields, updated_at=work.now())
    check_application(draft)
    after = await store.update_application(work.tx, work.tenant_id, draft)
    if after is None:
        raise PreconditionFailed("the application was changed by somebody else")
    work.record("application.update", application_id, before=before, after=after)
    return after


@operation(Grant.APPLICATIONS_WRITE)
async def replace_secret(work: Work, application_id: UUID) -> str:
    """A new secret, shown this once; the former one is not good any more."""
    await load_application(work, application_id)
    secret = _new_secret()
    await store.replace_secret(work.tx, work.tenant_id, application_id, digest(secret))
    work.record("application.rotate", application_id)
    return secret


@operation(Grant.APPLICATIONS_WRITE)
async def delete_application(work: Work, application_id: UUID) -> None:
    """Its clients work nowhere any more, and its custom permissions are gone from all roles."""
    before = await load_application(work, application_id)
    await store.delete_application(work.tx, work.tenant_id, application_id, work.now())
    work.record("application.delete", application_id, before=before)


@operation(Grant.APPLICATIONS_READ)
async def list_allowed_tenants(work: Work, application_id: UUID, query: PageQuery) -> Page[AllowedTenant]:
    """Who may install an application, the first to be allowed first."""
    await load_application(work, application_id)
    return await store.page_allowed_tenants(work.tx, work.tenant_id, application_id, query)


@operation(Grant.APPLICATIONS_WRITE)
async def allow_tenant(work: Work, application_id: UUID, organization_id: UUID, *, comment: str = "") -> AllowedTenant:
    """Let an organization install an application; nobody looks whether there is one. Once more changes the comment."""
    await load_application(work, application_id)
    check_comment(comment)
    before = await store.select_allowed_tenant(work.tx, work.tenant_id, application_id, organization_id)
    await store.put_allowed_tenant(
        work.tx, work.tenant_id, application_id, organization_id, comment=comment, at=work.now()
    )
    after = await store.select_allowed_tenant(work.tx, work.tenant_id, application_id, organization_id)
    if after is None:
        raise NotFound("allowed tenant", organization_id)
    work.record("application.allow", application_id, before=before, after=after)
    return after


@operation(Grant.APPLICATIONS_WRITE)
async def deny_tenant(work: Work, application_id: UUID, organization_id: UUID) -> None:
    """An organization may not install an application any more; where it is installed it does not work any more."""
    await load_application(work, application_id)
    before = await store.select_allowed_tenant(work.tx, work.tenant_id, application_id, organization_id)
    if before is None:
        raise NotFound("allowed tenant", organization_id)
    await store.delete_allowed_tenant(work.tx, work.tenant_id, application_id, organization_id)
    work.record("application.deny", application_id, before=before)


async def load_application(work: Work, application_id: UUID) -> Application:
    """One application of this developer, without asking for rights. Raises `NotFound`."""
    application = await store.select_application(work.tx, work.tenant_id, application_id)
    if application is None:
        raise NotFound("application", application_id)
    return application


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)
