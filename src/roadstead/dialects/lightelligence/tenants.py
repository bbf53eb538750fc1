"""/v1/tenants: tenants, who pays for them, and their users (contract sections 4 and 19)."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post, put
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import identity, tenancy
from roadstead.core.identity import Permission
from roadstead.core.tenancy import Organization, OrganizationChange, OrganizationDraft
from roadstead.core.work import Account, Work
from roadstead.dialects.lightelligence.envelopes import (
    DEFAULT_PAGE_SIZE,
    Data,
    Paged,
    PageNumber,
    StrictPageSize,
    page_query,
    paged,
    read_any_json,
    read_json,
)
from roadstead.dialects.lightelligence.errors import Service
from roadstead.dialects.lightelligence.roles import (
    RoleNameShape,
    RoleShape,
    TenantPath,
    UserPath,
    check_tenant,
    read_roles,
    spell_roles,
)
from roadstead.dialects.lightelligence.topics import DIALECT
from roadstead.dialects.lightelligence.users import TenantStatusShape
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

_USER = {"service": Service.IDENTITY, "token": "user"}
_READ = {"service": Service.IDENTITY, "permissions": [Permission.TENANT_READ]}
_WRITE = {"service": Service.IDENTITY, "permissions": [Permission.TENANT_WRITE]}
_USERS_READ = {"service": Service.IDENTITY, "permissions": [Permission.TENANT_USER_MANAGEMENT_READ]}
_USERS_WRITE = {"service": Service.IDENTITY, "permissions": [Permission.TENANT_USER_MANAGEMENT_WRITE]}

Name = Annotated[str, Meta(min_length=3, max_length=32)]
Text8 = Annotated[str, Meta(min_length=1, max_length=8)]
Text15 = Annotated[str, Meta(min_length=1, max_length=15)]
Text40 = Annotated[str, Meta(min_length=1, max_length=40)]
Email = Annotated[str, Meta(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]
OptionalText12 = Annotated[str, Meta(max_length=12)]
OptionalText40 = Annotated[str, Meta(max_length=40)]
"""An empty one is none, and takes away what was there."""


class BillingContact(msgspec.Struct, rename="camel"):
    """`BillingContact`: looked at once, then kept as it came."""

    title: Literal["Mr.", "Mrs.", "Ms."]
    firstname: Text40
    lastname: Text40
    email: Email
    phone_country_prefix: str = ""
    phone: OptionalText40 = ""


class BillingCompany(msgspec.Struct, rename="camel"):
    """`BillingCompany`."""

    name1: Text40
    street: Text40
    housenum: Text8
    postcode: Text15
    city: Text40
    country_code: str
    name2: OptionalText40 = ""
    vat: OptionalText12 = ""


class Package(msgspec.Struct):
    """What was booked."""

    id: Annotated[str, Meta(min_length=1)]


class PaymentDetails(msgspec.Struct, rename="camel"):
    """`PaymentDetails`."""

    shopper_reference: UUID
    recurring_detail_reference: Annotated[str, Meta(min_length=1)]


class TenantPatch(msgspec.Struct, rename="camel"):
    """Body of `updateTenant`."""

    name: Name | UnsetType = UNSET
    billing_contact: BillingContact | UnsetType = UNSET
    billing_company: BillingCompany | UnsetType = UNSET
    package: Package | UnsetType = UNSET
    payment: PaymentDetails | UnsetType = UNSET
    contract_id: Annotated[str, Meta(max_length=127)] | UnsetType = UNSET


class TenantBody(TenantPatch, rename="camel", kw_only=True):
    """Body of `createTenant`. Nobody is billed here, so that only the name has to be told."""

    name: Name


class TenantShape(msgspec.Struct, rename="camel"):
    """`TenantResponse`."""

    id: UUID
    name: str
    status: TenantStatusShape
    billing_contact: dict[str, Any]
    billing_company: dict[str, Any]
    package: dict[str, Any]
    payment: dict[str, Any] | UnsetType = UNSET
    contract_id: str | UnsetType = UNSET

    @classmethod
    def of(cls, organization: Organization) -> "TenantShape":
        kept = organization.notes.get(DIALECT, {})
        return cls(
            id=organization.public_id,
            name=organization.name,
            status=TenantStatusShape.of(organization.status),
            billing_contact=kept.get("billingContact", _NO_CONTACT),
            billing_company=kept.get("billingCompany", _NO_COMPANY),
            package=kept.get("package", _NO_PACKAGE),
            payment=kept.get("payment", UNSET),
            contract_id=kept.get("contractId", UNSET),
        )


class TenantPatchShape(msgspec.Struct, rename="camel"):
    """`PatchTenant`: what was sent, as it is now."""

    id: UUID
    name: str | UnsetType = UNSET
    billing_contact: dict[str, Any] | UnsetType = UNSET
    billing_company: dict[str, Any] | UnsetType = UNSET
    package: dict[str, Any] | UnsetType = UNSET
    payment: dict[str, Any] | UnsetType = UNSET
    contract_id: str | UnsetType = UNSET


class TenantRoleShape(msgspec.Struct, rename="camel"):
    """`TenantRole`."""

    id: UUID
    name: str
    description: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, role: identity.TenantRole) -> "TenantRoleShape":
        return cls(role.id, role.name, role.description, role.created_at, role.updated_at)


class TenantUserShape(msgspec.Struct, rename="camel"):
    """`UserOfTenant`."""

    id: UUID
    email: str
    first_name: str
    last_name: str
    user_roles: list[RoleNameShape]
    two_factor_auth_enabled: bool

    @classmethod
    def of(cls, member: identity.RoledMember) -> "TenantUserShape":
        return cls(
            id=member.person_id,
            email=member.email,
            first_name=member.first_name,
            last_name=member.last_name,
            user_roles=[RoleNameShape.of(role) for role in member.roles],
            two_factor_auth_enabled=member.totp_confirmed_at is not None,
        )


@post("/v1/tenants", operation_id="createTenant", opt=_USER)
async def create_tenant(request: AnyRequest, account: Account) -> Data[TenantShape]:
    """Founds a tenant; the caller becomes its owner."""
    sent = await read_json(request)
    body = read_as(sent, TenantBody)
    await tenancy.check_name_is_free(account, body.name, but=None)
    draft = OrganizationDraft(name=body.name, notes={DIALECT: _merge({}, sent)})
    return Data(TenantShape.of(await identity.create_organization(account, draft)))


@get("/v1/tenants/{tenantId:str}", operation_id="getTenant", opt=_READ)
async def get_tenant(work: Work, tenant_id: TenantPath) -> Data[TenantShape]:
    """The tenant of the token."""
    check_tenant(work, tenant_id)
    return Data(TenantShape.of(await tenancy.get_organization(work)))


@patch("/v1/tenants/{tenantId:str}", operation_id="updateTenant", opt=_WRITE)
async def change_tenant(work: Work, request: AnyRequest, tenant_id: TenantPath) -> Data[TenantPatchShape]:
    """Changes what is sent and answers it; an empty text takes one away."""
    check_tenant(work, tenant_id)
    sent = await read_json(request)
    body = read_as(sent, TenantPatch)
    before = await tenancy.get_organization(work)
    if body.name is not UNSET:
        await tenancy.check_name_is_free(work, body.name, but=work.tenant_id)
    kept = _merge(before.notes.get(DIALECT, {}), sent)
    change = OrganizationChange(name=body.name, notes={DIALECT: kept})
    after = await tenancy.change_organization(work, change, expected=before.version)
    return Data(
        TenantPatchShape(
            id=after.public_id,
            name=body.name,
            **{field: kept.get(name, "") for name, field in _KEPT.items() if name in sent},
        )
    )


@delete("/v1/tenants/{tenantId:str}", operation_id="legacyDeleteTenant", opt=_WRITE)
async def delete_tenant(work: Work, tenant_id: TenantPath) -> None:
    """Marks it for deletion, as the native API does; for owners."""
    check_tenant(work, tenant_id)
    organization = await tenancy.get_organization(work)
    await tenancy.delete_organization(work, confirm=organization.slug)


@get("/v1/tenants/{tenantId:str}/roles", operation_id="listTenantRoles", opt=_READ)
async def list_roles(
    work: Work, tenant_id: TenantPath, page: PageNumber = 0, page_size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Paged[TenantRoleShape]:
    """The old form of `listRoles`."""
    check_tenant(work, tenant_id)
    found = await identity.list_roles(work, held_by=None, query=page_query(page, page_size))
    return paged(found, page, page_size, TenantRoleShape.of)


@get("/v1/tenants/{tenantId:str}/users", operation_id="listTenantUsers", opt=_USERS_READ)
async def list_users(
    work: Work, tenant_id: TenantPath, page: PageNumber = 0, page_size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Paged[TenantUserShape]:
    """Members with their roles, the latest to get one first."""
    check_tenant(work, tenant_id)
    found = await identity.list_roled_members(work, page_query(page, page_size))
    return paged(found, page, page_size, TenantUserShape.of)


@delete("/v1/tenants/{tenantId:str}/users/{userId:str}", operation_id="removeTenantUser", opt=_USERS_WRITE)
async def remove_user(work: Work, tenant_id: TenantPath, user_id: UserPath) -> None:
    """Ends a membership and its sessions; the last owner stays."""
    check_tenant(work, tenant_id)
    await identity.remove_member(work, user_id)


@get("/v1/tenants/{tenantId:str}/users/{userId:str}/roles", operation_id="listTenantUserRoles", opt=_USERS_READ)
async def list_member_roles(
    work: Work,
    tenant_id: TenantPath,
    user_id: UserPath,
    page: PageNumber = 0,
    page_size: StrictPageSize = DEFAULT_PAGE_SIZE,
) -> Paged[RoleShape]:
    """Roles of one member, newest first."""
    check_tenant(work, tenant_id)
    found = await identity.list_member_roles(work, user_id, page_query(page, page_size))
    return await spell_roles(work, found, page, page_size)


@put(
    "/v1/tenants/{tenantId:str}/users/{userId:str}/roles",
    operation_id="setTenantUserRoles",
    opt=_USERS_WRITE,
    status_code=204,
)
async def set_member_roles(work: Work, request: AnyRequest, tenant_id: TenantPath, user_id: UserPath) -> None:
    """Gives a member these roles in place of all others."""
    check_tenant(work, tenant_id)
    await identity.set_member_roles(work, user_id, read_roles(await read_any_json(request)))


@put(
    "/v1/tenants/{tenantId:str}/users/{userId:str}", operation_id="legacyAssignUser", opt=_USERS_WRITE, status_code=204
)
async def assign_user(work: Work, request: AnyRequest, tenant_id: TenantPath, user_id: UserPath) -> None:
    """The old path of `setTenantUserRoles`; it adds nobody."""
    check_tenant(work, tenant_id)
    await identity.set_member_roles(work, user_id, read_roles(await read_any_json(request)))


_KEPT = {
    "billingContact": "billing_contact",
    "billingCompany": "billing_company",
    "package": "package",
    "payment": "payment",
    "contractId": "contract_id",
}
"""What is kept for programs that look for it, and nothing is done with."""
# Tenants of other origin have none of it, but programs count on its being there.
_NO_CONTACT = {"title": "Mr.", "firstname": "-", "lastname": "-", "email": "nobody@example.invalid"}
_NO_COMPANY = {"name1": "-", "street": "-", "housenum": "-", "postcode": "-", "city": "-", "countryCode": "-"}
_NO_PACKAGE = {"id": "OLT_FREE2019"}


def _merge(kept: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """What was kept with what was sent over it, part by part; empty texts are none."""
    merged = dict(kept)
    for name in _KEPT.keys() & sent.keys():
        part = sent[name]
        if isinstance(part, dict):
            part = {key: value for key, value in {**kept.get(name, {}), **part}.items() if value != ""}
        merged[name] = part
    return {name: part for name, part in merged.items() if part != ""}


router = Router(
    "/",
    route_handlers=[
        create_tenant,
        get_tenant,
        change_tenant,
        delete_tenant,
        list_roles,
        list_users,
        remove_user,
        assign_user,
        list_member_roles,
        set_member_roles,
    ],
)
