"""What tenants do with the applications of others: look at them, install them, consent anew, get rid of them."""

from uuid import UUID

from roadstead.core.applications.developing import allow_tenant, create_application
from roadstead.core.applications.model import (
    ApplicationDraft,
    Availability,
    Consent,
    Installation,
    NewApplication,
    OfferedApplication,
)
from roadstead.core.applications.store import installations as store
from roadstead.core.identity import grants_of_permissions
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Forbidden, NotFound
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.APPLICATIONS_READ)
async def list_offered(work: Work, query: PageQuery, *, installed: bool | None) -> Page[OfferedApplication]:
    """Applications that this tenant may install or has, in order of creation; only those (not) installed on request."""
    return await store.page_offered(work.tx, query, installed=installed)


@operation(Grant.APPLICATIONS_READ)
async def get_offered(work: Work, application_id: UUID) -> OfferedApplication:
    """One application that this tenant may install or has."""
    return await _load_offered(work, application_id)


@operation(Grant.APPLICATIONS_READ)
async def get_installation(work: Work, application_id: UUID) -> Installation:
    """What this tenant has consented to."""
    return await _load_installation(work, application_id)


@operation(Grant.APPLICATIONS_WRITE)
async def install(work: Work, application_id: UUID, consent: Consent | None) -> Installation:
    """Let an application work here. The consent names all that it asks for; None: whatever it asks for."""
    application = await _load_offered(work, application_id)
    if application.installed_at is not None:
        raise Conflict(f"application {application_id} is installed already")
    granted = _check_consent(work, application, consent)
    if not await store.insert_installation(work.tx, work.tenant_id, application, granted, work.now()):
        raise Conflict(f"application {application_id} is installed already")
    installation = await _load_installation(work, application_id)
    work.record("application.install", application_id, after=installation)
    return installation


@operation(Grant.APPLICATIONS_WRITE)
async def create_own_application(work: Work, draft: ApplicationDraft) -> NewApplication:
    """Make an application that works in this tenant at once, with all that it asks for."""
    made = await create_application(work, draft)
    await allow_tenant(work, made.application.id, work.actor.organization_id)
    await install(work, made.application.id, None)
    return made


@operation(Grant.APPLICATIONS_WRITE)
async def renew_consent(work: Work, application_id: UUID, consent: Consent) -> Installation:
    """Consent to what an application asks for today."""
    application = await _load_offered(work, application_id)
    before = await _load_installation(work, application_id)
    granted = _check_consent(work, application, consent)
    await store.update_installation(work.tx, work.tenant_id, application, granted, work.now())
    after = await _load_installation(work, application_id)
    work.record("application.consent", application_id, before=before, after=after)
    return after


@operation(Grant.APPLICATIONS_WRITE)
async def uninstall(work: Work, application_id: UUID) -> None:
    """The application does not work here any more, and roles lose what it has brought along."""
    before = await _load_installation(work, application_id)
    await store.delete_installation(work.tx, work.tenant_id, application_id)
    work.record("application.uninstall", application_id, before=before)


def _check_consent(work: Work, application: OfferedApplication, consent: Consent | None) -> Consent:
    """What is granted then. Nobody gives more than they have: raises `Forbidden`."""
    if application.availability is not Availability.AVAILABLE:
        raise Forbidden(f"this application cannot be used here: {application.availability.lower()}")
    asked = Consent(client_permissions=application.client_permissions, user_permissions=application.user_permissions)
    if consent is not None:
        consent.check_is(asked)
    missing = sorted(grants_of_permissions(asked.all_permissions) - work.actor.grants)
    if missing:
        raise Forbidden(f"it asks for more than you may do yourself: {', '.join(missing)}")
    return asked


async def _load_offered(work: Work, application_id: UUID) -> OfferedApplication:
    application = await store.select_offered(work.tx, application_id)
    if application is None:
        raise NotFound("application", application_id)
    return application


async def _load_installation(work: Work, application_id: UUID) -> Installation:
    installation = await store.select_installation(work.tx, work.tenant_id, application_id)
    if installation is None:
        raise NotFound("installation of application", application_id)
    return installation
