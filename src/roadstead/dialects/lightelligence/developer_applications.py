"""/v1/application-developer/applications: applications of a developer, and who may install them (contract 3.7)."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post, put
from litestar.params import PathParameter
from msgspec import UNSET, UnsetType

from roadstead.core import applications
from roadstead.core.applications import AllowedTenant, Application, ApplicationChange, ApplicationDraft
from roadstead.core.identity import Permission
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.applications import PermissionsShape
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
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

ApplicationPath = Annotated[UUID, PathParameter(name="applicationId")]
TenantPath = Annotated[UUID, PathParameter(name="tenantId")]
Status = Literal["active", "inactive"]

_READ = {"service": Service.APPLICATIONS, "permissions": [Permission.APPLICATIONS_DEVELOPMENT_READ]}
_WRITE = {"service": Service.APPLICATIONS, "permissions": [Permission.APPLICATIONS_DEVELOPMENT_WRITE]}


class AllowedTenantBody(msgspec.Struct, rename="camel"):
    """Shape `AllowedTenant`."""

    tenant_id: UUID
    comment: str = ""


class CommentBody(msgspec.Struct):
    """Body of `addAllowedTenant`."""

    comment: str = ""


class ApplicationBody(msgspec.Struct, rename="camel"):
    """Body of `createApplication`."""

    name: str
    teaser_description: str = ""
    url: str = ""
    with_public_oauth2_client: bool = False
    redirect_uris: list[str] = []
    allowed_tenants: list[AllowedTenantBody] = []
    permissions: PermissionsShape = msgspec.field(default_factory=lambda: PermissionsShape([], []))

    def read(self) -> ApplicationDraft:
        """As a draft."""
        return ApplicationDraft(
            name=self.name,
            teaser_description=self.teaser_description,
            url=self.url,
            with_public_client=self.with_public_oauth2_client,
            redirect_uris=self.redirect_uris,
            client_permissions=self.permissions.read_client(),
            user_permissions=self.permissions.read_user(),
        )


class ApplicationPatch(msgspec.Struct, rename="camel"):
    """Body of `updateDevelopedApplication`; an empty text takes teaser and address away."""

    name: str | UnsetType = UNSET
    teaser_description: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    with_public_oauth2_client: bool | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    redirect_uris: list[str] | UnsetType = UNSET
    permissions: PermissionsShape | UnsetType = UNSET

    def read(self) -> ApplicationChange:
        """As a change."""
        return ApplicationChange(
            name=self.name,
            teaser_description=self.teaser_description,
            url=self.url,
            active=UNSET if self.status is UNSET else self.status == "active",
            redirect_uris=self.redirect_uris,
            client_permissions=UNSET if self.permissions is UNSET else self.permissions.read_client(),
            user_permissions=UNSET if self.permissions is UNSET else self.permissions.read_user(),
            with_public_client=self.with_public_oauth2_client,
        )


class ClientShape(msgspec.Struct, kw_only=True):
    """Shapes `OAuth2Client`, with a secret `OAuth2ClientWithSecret`; the type is spelled like that."""

    id: UUID
    secret: str | UnsetType = UNSET
    type: Literal["confidental"] = "confidental"


class PublicClientShape(msgspec.Struct):
    """Shape `PublicOAuth2Client`."""

    id: UUID
    type: Literal["public"] = "public"

    @classmethod
    def of(cls, application: Application) -> "PublicClientShape | UnsetType":
        return UNSET if application.public_client_id is None else cls(application.public_client_id)


class AllowedTenantShape(msgspec.Struct, rename="camel", kw_only=True):
    """Shape `AllowedTenantResponse`."""

    tenant_id: UUID
    tenant_name: str | UnsetType
    installed: bool
    comment: str
    created_at: datetime

    @classmethod
    def of(cls, tenant: AllowedTenant) -> "AllowedTenantShape":
        return cls(
            tenant_id=tenant.organization_id,
            tenant_name=UNSET if tenant.name is None else tenant.name,
            installed=tenant.installed,
            comment=tenant.comment,
            created_at=tenant.created_at,
        )


class DevelopedShape(msgspec.Struct, rename="camel", kw_only=True):
    """Shape `DeveloperApplicationResponse`."""

    id: UUID
    name: str
    with_public_oauth2_client: bool
    teaser_description: str | UnsetType
    url: str | UnsetType
    oauth2_client: ClientShape
    public_oauth2_client: PublicClientShape | UnsetType
    tenant_id: UUID
    status: Status
    installations_count: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, work: Work, application: Application) -> "DevelopedShape":
        return cls(
            id=application.id,
            name=application.name,
            with_public_oauth2_client=application.public_client_id is not None,
            teaser_description=application.teaser_description or UNSET,
            url=application.url or UNSET,
            oauth2_client=ClientShape(id=application.client_id),
            public_oauth2_client=PublicClientShape.of(application),
            tenant_id=work.actor.organization_id,
            status="active" if application.active else "inactive",
            installations_count=application.installations,
            created_at=application.created_at,
            updated_at=application.updated_at,
        )


class DetailShape(DevelopedShape, kw_only=True):
    """Shapes `DeveloperApplicationDetailResponse` and `DeveloperApplicationPostResponse`."""

    redirect_uris: list[str]
    permissions: PermissionsShape
    allowed_tenants: list[AllowedTenantShape] | UnsetType = UNSET
    """In the answer to its creation only."""

    @classmethod
    def detail(cls, work: Work, application: Application) -> "DetailShape":
        """From an application of ours."""
        return cls(
            **msgspec.structs.asdict(DevelopedShape.of(work, application)),
            redirect_uris=application.redirect_uris,
            permissions=PermissionsShape.of(application.client_permissions, application.user_permissions),
        )


class ChangedShape(msgspec.Struct, rename="camel", kw_only=True):
    """Shape `DeveloperApplicationPatchResponse`: what was sent, as it is now."""

    id: UUID
    name: str | UnsetType
    teaser_description: str | UnsetType
    url: str | UnsetType
    with_public_oauth2_client: bool | UnsetType
    public_oauth2_client: PublicClientShape | UnsetType
    status: Status | UnsetType
    redirect_uris: list[str] | UnsetType
    permissions: PermissionsShape | UnsetType
    updated_at: datetime

    @classmethod
    def of(cls, sent: ApplicationPatch, application: Application) -> "ChangedShape":
        asked_for_client = sent.with_public_oauth2_client is not UNSET
        return cls(
            id=application.id,
            public_oauth2_client=PublicClientShape.of(application) if asked_for_client else UNSET,
            updated_at=application.updated_at,
            **msgspec.structs.asdict(sent),
        )


class SecretShape(msgspec.Struct):
    """What `regenerateSecret` answers."""

    secret: str


@post("/", operation_id="createApplication", opt=_WRITE)
async def create_application(work: Work, request: AnyRequest) -> Data[DetailShape]:
    """Makes one; the secret of its client is in this answer and in no other."""
    body = read_as(await read_json(request), ApplicationBody)
    made = await applications.create_application(work, body.read())
    comments = {each.tenant_id: each.comment for each in body.allowed_tenants}
    allowed = [
        await applications.allow_tenant(work, made.application.id, tenant_id, comment=comment)
        for tenant_id, comment in comments.items()
    ]
    shape = DetailShape.detail(work, made.application)
    shape.oauth2_client.secret = made.secret
    shape.allowed_tenants = [AllowedTenantShape.of(each) for each in allowed]
    return Data(shape)


@get("/", operation_id="listDevelopedApplications", opt=_READ)
async def list_applications(
    work: Work, page: PageNumber = 0, page_size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Paged[DevelopedShape]:
    """Those of the tenant, newest first."""
    found = await applications.list_applications(work, page_query(page, page_size))
    return paged(found, page, page_size, lambda application: DevelopedShape.of(work, application))


@get("/{applicationId:str}", operation_id="getDevelopedApplication", opt=_READ)
async def get_application(work: Work, application_id: ApplicationPath) -> Data[DetailShape]:
    """One of them."""
    return Data(DetailShape.detail(work, await applications.get_application(work, application_id)))


@patch("/{applicationId:str}", operation_id="updateDevelopedApplication", opt=_WRITE)
async def update_application(work: Work, request: AnyRequest, application_id: ApplicationPath) -> Data[ChangedShape]:
    """Changes it; other permissions must be consented to before they are granted."""
    body = read_as(await read_json(request), ApplicationPatch)
    application = await applications.change_application(work, application_id, body.read())
    return Data(ChangedShape.of(body, application))


@delete("/{applicationId:str}", operation_id="deleteDevelopedApplication", opt=_WRITE)
async def delete_application(work: Work, application_id: ApplicationPath) -> None:
    """Its clients stop working at once."""
    await applications.delete_application(work, application_id)


@post("/{applicationId:str}/secret", operation_id="regenerateSecret", opt=_WRITE)
async def regenerate_secret(work: Work, request: AnyRequest, application_id: ApplicationPath) -> Data[SecretShape]:
    """Another secret in place of the former one; a body is not needed."""
    await read_json(request)
    return Data(SecretShape(await applications.replace_secret(work, application_id)))


@get("/{applicationId:str}/allowed-tenants", operation_id="listAllowedTenants", opt=_READ)
async def list_allowed_tenants(
    work: Work, application_id: ApplicationPath, page: PageNumber = 0, page_size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Paged[AllowedTenantShape]:
    """Who may install it."""
    found = await applications.list_allowed_tenants(work, application_id, page_query(page, page_size))
    return paged(found, page, page_size, AllowedTenantShape.of)


@put("/{applicationId:str}/allowed-tenants/{tenantId:str}", operation_id="addAllowedTenant", opt=_WRITE)
async def add_allowed_tenant(
    work: Work, request: AnyRequest, application_id: ApplicationPath, tenant_id: TenantPath
) -> Data[AllowedTenantShape]:
    """Lets a tenant install it, whether there is one or not."""
    body = read_as(await read_json(request), CommentBody)
    allowed = await applications.allow_tenant(work, application_id, tenant_id, comment=body.comment)
    return Data(AllowedTenantShape.of(allowed))


@delete("/{applicationId:str}/allowed-tenants/{tenantId:str}", operation_id="removeAllowedTenant", opt=_WRITE)
async def remove_allowed_tenant(work: Work, application_id: ApplicationPath, tenant_id: TenantPath) -> None:
    """It may not install it any more, and where it is installed it stops working."""
    await applications.deny_tenant(work, application_id, tenant_id)


router = Router(
    "/v1/application-developer/applications",
    route_handlers=[
        create_application,
        list_applications,
        get_application,
        update_application,
        delete_application,
        regenerate_secret,
        list_allowed_tenants,
        add_allowed_tenant,
        remove_allowed_tenant,
    ],
)
