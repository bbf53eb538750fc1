"""/v1/users: what somebody who has signed in may know about themselves."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Router, get, patch
from litestar.params import PathParameter, QueryParameter

from roadstead.core import applications, identity
from roadstead.core.applications import InstallationStatus
from roadstead.core.identity import Bearer, OfferStatus
from roadstead.core.tenancy import OrganizationStatus
from roadstead.core.work import Account, Work
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
from roadstead.dialects.lightelligence.invites import InviteShape
from roadstead.dialects.lightelligence.roles import PermissionsShape, RoleNameShape, TenantPath, check_tenant
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

InvitePath = Annotated[UUID, PathParameter(name="inviteId")]
Status = Annotated[OfferStatus | None, QueryParameter()]

_SELF = {"service": Service.IDENTITY, "token": "user_self"}


class UserShape(msgspec.Struct, rename="camel"):
    """Answer of `getUser`."""

    id: UUID
    email: str
    first_name: str
    last_name: str
    two_factor_auth_enabled: bool
    enabled: bool = True
    """There are no accounts that are switched off."""
    email_verified: bool = True
    """Accounts come from a token that was mailed to this address, or from whoever runs the platform."""

    @classmethod
    def of(cls, person: identity.Person) -> "UserShape":
        return cls(
            id=person.id,
            email=person.email,
            first_name=person.first_name,
            last_name=person.last_name,
            two_factor_auth_enabled=person.totp_confirmed_at is not None,
        )


class TenantStatusShape(msgspec.Struct):
    """`TenantStatus`."""

    code: Literal["active", "suspended"]

    @classmethod
    def of(cls, status: str) -> "TenantStatusShape":
        return cls("active" if status == OrganizationStatus.ACTIVE else "suspended")


class OwnTenantShape(msgspec.Struct, rename="camel"):
    """`TenantOfUser`."""

    id: UUID
    name: str
    status: TenantStatusShape
    user_roles: list[RoleNameShape]
    application_installation_status: InstallationStatus

    @classmethod
    def of(cls, tenant: identity.OwnTenant, reach: dict[UUID, InstallationStatus] | None) -> "OwnTenantShape":
        installed = InstallationStatus.OK
        if reach is not None:
            installed = reach.get(tenant.organization_id, InstallationStatus.OUTDATED)
        return cls(
            id=tenant.organization_id,
            name=tenant.name,
            status=TenantStatusShape.of(tenant.status),
            user_roles=[RoleNameShape.of(role) for role in tenant.roles],
            application_installation_status=installed,
        )


class AnswerBody(msgspec.Struct):
    """Body of `answerInvite`."""

    status: OfferStatus


class AnswerShape(msgspec.Struct):
    """`UserInvitePatchResponse`."""

    id: UUID
    status: OfferStatus


@get("/v1/users/{userId:str}", operation_id="getUser", opt=_SELF)
async def get_user(account: Account) -> Data[UserShape]:
    """Who the caller is."""
    return Data(UserShape.of(await identity.get_self(account)))


@get("/v1/users/{userId:str}/tenants", operation_id="listUserTenants", opt=_SELF)
async def list_tenants(
    account: Account, bearer: Bearer, page: PageNumber = 0, page_size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Paged[OwnTenantShape]:
    """Where the caller is a member, newest tenant first."""
    reach = await _load_reach(account, bearer)
    found = await identity.list_own_tenants(account, page_query(page, page_size))
    return paged(found, page, page_size, lambda tenant: OwnTenantShape.of(tenant, reach))


@get("/v1/users/{userId:str}/tenants/{tenantId:str}", operation_id="getUserTenant", opt=_SELF)
async def get_tenant(account: Account, bearer: Bearer, tenant_id: TenantPath) -> Data[OwnTenantShape]:
    """The tenant of the token; others are not told from unknown ones."""
    if tenant_id != bearer.within_tenant().organization_id:
        raise NotFound("tenant", tenant_id)
    return Data(OwnTenantShape.of(await identity.get_own_tenant(account), await _load_reach(account, bearer)))


@get("/v1/users/{userId:str}/permissions", operation_id="listUserPermissions", opt=_SELF)
async def list_permissions(work: Work, bearer: Bearer) -> Data[PermissionsShape]:
    """What the caller may do in the tenant of the token, through the program that shows it."""
    custom = await applications.load_custom_permissions(work, list(bearer.custom_permissions))
    return Data(PermissionsShape.of(bearer.permissions, custom))


@get("/v1/tenants/{tenantId:str}/users/{userId:str}/permissions", operation_id="legacyTenantUserPermissions", opt=_SELF)
async def list_permissions_in_tenant(work: Work, bearer: Bearer, tenant_id: TenantPath) -> Data[PermissionsShape]:
    """The old path of `listUserPermissions`."""
    check_tenant(work, tenant_id)
    custom = await applications.load_custom_permissions(work, list(bearer.custom_permissions))
    return Data(PermissionsShape.of(bearer.permissions, custom))


@get("/v1/users/{userId:str}/invites", operation_id="listUserInvites", opt=_SELF)
async def list_invites(
    account: Account, status: Status = None, page: PageNumber = 0, page_size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Paged[InviteShape]:
    """Invitations to the caller's address, newest first."""
    statuses = [] if status is None else [status]
    found = await identity.list_own_offers(account, statuses=statuses, query=page_query(page, page_size))
    return paged(found, page, page_size, InviteShape.of)


@patch("/v1/users/{userId:str}/invites/{inviteId:str}", operation_id="answerInvite", opt=_SELF)
async def answer_invite(request: AnyRequest, account: Account, invite_id: InvitePath) -> Data[AnswerShape]:
    """Accepts or declines one that is open."""
    body = read_as(await read_json(request), AnswerBody)
    match body.status:
        case "accepted":
            await identity.accept_offer(account, invite_id)
        case "declined":
            await identity.decline_offer(account, invite_id)
        case _:
            raise Invalid.field("/status", "must be 'accepted' or 'declined'")
    return Data(AnswerShape(invite_id, body.status))


async def _load_reach(account: Account, bearer: Bearer) -> dict[UUID, InstallationStatus] | None:
    if bearer.application_id is None:
        return None
    return await applications.load_reach(account, bearer.application_id)


router = Router(
    "/",
    route_handlers=[
        get_user,
        list_tenants,
        get_tenant,
        list_permissions,
        list_permissions_in_tenant,
        list_invites,
        answer_invite,
    ],
)
