"""/v1/applications: what a tenant may install, has installed and has consented to (contract section 3.7)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post, put
from litestar.params import PathParameter, QueryParameter
from msgspec import UNSET, UnsetType

from roadstead.core import applications
from roadstead.core.applications import Availability, Consent, Installation, InstallationStatus, OfferedApplication
from roadstead.core.identity import ID_OF_PERMISSION, PERMISSION_OF_ID, Permission
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.custom_permissions import CustomPermissionShape
from roadstead.dialects.lightelligence.envelopes import (
    DEFAULT_PAGE_SIZE,
    Data,
    Paged,
    PageNumber,
    StrictPageSize,
    page_query,
    paged,
    read_json,
)
from roadstead.dialects.lightelligence.errors import Service
from roadstead.kernel.errors import Invalid
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

ApplicationPath = Annotated[UUID, PathParameter(name="applicationId")]
Installed = Annotated[bool | None, QueryParameter(name="installed")]

_READ = {"service": Service.APPLICATIONS, "permissions": [Permission.APPLICATIONS_READ]}
_WRITE = {"service": Service.APPLICATIONS, "permissions": [Permission.APPLICATIONS_WRITE]}


class PermissionShape(msgspec.Struct):
    """One permission, by its id."""

    id: UUID


class PermissionsShape(msgspec.Struct):
    """Shape `ApplicationPermissions`, in bodies as in answers."""

    client: list[PermissionShape]
    user: list[PermissionShape]

    @classmethod
    def of(cls, client: Sequence[Permission], user: Sequence[Permission]) -> "PermissionsShape":
        return cls(
            [PermissionShape(ID_OF_PERMISSION[one]) for one in client],
            [PermissionShape(ID_OF_PERMISSION[one]) for one in user],
        )

    def read_client(self) -> list[Permission]:
        """What it asks for to act by itself. Raises `Invalid` for an id that is of no permission."""
        return _read_permissions("client", self.client)

    def read_user(self) -> list[Permission]:
        """What it asks for to act for people. Raises `Invalid` for an id that is of no permission."""
        return _read_permissions("user", self.user)


class ConsentBody(msgspec.Struct):
    """Body of `installApplication` and `updateInstallation`."""

    permissions: PermissionsShape = msgspec.field(default_factory=lambda: PermissionsShape([], []))
    """Those that ask for nothing were installed without saying so."""

    def read(self) -> Consent:
        """As a consent."""
        return Consent(client_permissions=self.permissions.read_client(), user_permissions=self.permissions.read_user())


class BasicInstallationShape(msgspec.Struct, rename="camel"):
    """Shape `BasicInstallationResponse`."""

    tenant_id: UUID
    status: InstallationStatus
    created_at: datetime


class ApplicationShape(msgspec.Struct, rename="camel", kw_only=True):
    """Shape `ApplicationResponse`."""

    id: UUID
    name: str
    teaser_description: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    available: bool
    available_code: str
    installation: BasicInstallationShape | UnsetType = UNSET

    @classmethod
    def of(cls, work: Work, application: OfferedApplication) -> "ApplicationShape":
        installation: BasicInstallationShape | UnsetType = UNSET
        if application.installed_at is not None and application.status is not None:
            installation = BasicInstallationShape(
                work.actor.organization_id, application.status, application.installed_at
            )
        return cls(
            id=application.id,
            name=application.name,
            teaser_description=application.teaser_description or UNSET,
            url=application.url or UNSET,
            available=application.availability is Availability.AVAILABLE,
            available_code=f"APP_{application.availability}",
            installation=installation,
        )


class InstallationShape(msgspec.Struct, rename="camel", kw_only=True):
    """Shape `InstallationResponse`."""

    application_id: UUID
    tenant_id: UUID
    status: InstallationStatus
    permissions: PermissionsShape
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, tenant: UUID, installation: Installation) -> "InstallationShape":
        return cls(
            application_id=installation.application_id,
            tenant_id=tenant,
            status=installation.status,
            permissions=PermissionsShape.of(installation.client_permissions, installation.user_permissions),
            created_at=installation.created_at,
            updated_at=installation.updated_at,
        )


class InstalledShape(msgspec.Struct, rename="camel"):
    """What installing was answered before there were permissions."""

    tenant_id: UUID
    created_at: datetime


@get("/", operation_id="listApplications", opt=_READ)
async def list_applications(
    work: Work, installed: Installed = None, page: PageNumber = 0, page_size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Paged[ApplicationShape]:
    """Those that the tenant may install or has, in order of creation."""
    found = await applications.list_offered(work, page_query(page, page_size), installed=installed)
    return paged(found, page, page_size, lambda application: ApplicationShape.of(work, application))


@get("/{applicationId:str}", operation_id="getApplication", opt=_READ)
async def get_application(work: Work, application_id: ApplicationPath) -> Data[ApplicationShape]:
    """One of them."""
    return Data(ApplicationShape.of(work, await applications.get_offered(work, application_id)))


@get("/{applicationId:str}/permissions", operation_id="getApplicationPermissions", opt=_READ)
async def get_permissions(work: Work, application_id: ApplicationPath) -> Data[PermissionsShape]:
    """What it asks for: to be repeated when it is installed."""
    application = await applications.get_offered(work, application_id)
    return Data(PermissionsShape.of(application.client_permissions, application.user_permissions))


@get(
    "/{applicationId:str}/custom-permissions",
    operation_id="applicationCustomPermissions",
    opt={"service": Service.IDENTITY, "permissions": [Permission.APPLICATIONS_READ]},
)
async def list_custom_permissions(
    work: Work, application_id: ApplicationPath, page: PageNumber = 0, page_size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Paged[CustomPermissionShape]:
    """What an installed application brings along."""
    found = await applications.list_offered_permissions(work, application_id, page_query(page, page_size))
    return paged(found, page, page_size, CustomPermissionShape.of)


@post("/{applicationId:str}/installation", operation_id="installApplication", opt=_WRITE)
async def install_application(
    work: Work, request: AnyRequest, application_id: ApplicationPath
) -> Data[InstallationShape]:
    """Installs it; the body repeats all that it asks for."""
    body = read_as(await read_json(request), ConsentBody)
    installation = await applications.install(work, application_id, body.read())
    return Data(InstallationShape.of(work.actor.organization_id, installation))


@put("/{applicationId:str}/installation", operation_id="legacyInstallPut", opt=_WRITE)
async def install_as_before(work: Work, request: AnyRequest, application_id: ApplicationPath) -> Data[InstalledShape]:
    """Installs it as programs did before there were permissions: without a body, whatever it asks for is granted."""
    body = await read_json(request)
    consent = read_as(body, ConsentBody).read() if body else None
    installation = await applications.install(work, application_id, consent)
    return Data(InstalledShape(work.actor.organization_id, installation.created_at))


@get("/{applicationId:str}/installation", operation_id="getInstallation", opt=_READ)
async def get_installation(work: Work, application_id: ApplicationPath) -> Data[InstallationShape]:
    """What the tenant has consented to."""
    installation = await applications.get_installation(work, application_id)
    return Data(InstallationShape.of(work.actor.organization_id, installation))


@patch("/{applicationId:str}/installation", operation_id="updateInstallation", opt=_WRITE)
async def update_installation(
    work: Work, request: AnyRequest, application_id: ApplicationPath
) -> Data[InstallationShape]:
    """Consents to what it asks for today."""
    body = read_as(await read_json(request), ConsentBody)
    installation = await applications.renew_consent(work, application_id, body.read())
    return Data(InstallationShape.of(work.actor.organization_id, installation))


@delete("/{applicationId:str}/installation", operation_id="uninstallApplication", opt=_WRITE)
async def uninstall_application(work: Work, application_id: ApplicationPath) -> None:
    """It has no access any more."""
    await applications.uninstall(work, application_id)


def _read_permissions(name: str, listed: Sequence[PermissionShape]) -> list[Permission]:
    found = []
    for index, each in enumerate(listed):
        permission = PERMISSION_OF_ID.get(each.id)
        if permission is None:
            raise Invalid.field(f"/permissions/{name}/{index}/id", "is not the id of a permission")
        found.append(permission)
    return found


router = Router(
    "/v1/applications",
    route_handlers=[
        list_applications,
        get_application,
        get_permissions,
        list_custom_permissions,
        install_application,
        install_as_before,
        get_installation,
        update_installation,
        uninstall_application,
    ],
)
