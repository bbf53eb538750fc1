"""/v1/tenants/{tenantId}/invites: asking people to join (contract section 4)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, delete, get, post
from litestar.params import PathParameter, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import identity
from roadstead.core.identity import OfferStatus, Permission
from roadstead.core.work import Work
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
from roadstead.dialects.lightelligence.roles import Reference, RoleNameShape, TenantPath, check_tenant
from roadstead.kernel.errors import Invalid
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

InvitePath = Annotated[UUID, PathParameter(name="inviteId")]
Status = Annotated[OfferStatus | None, QueryParameter()]

_READ = {"service": Service.IDENTITY, "permissions": [Permission.TENANT_USER_MANAGEMENT_READ]}
_WRITE = {"service": Service.IDENTITY, "permissions": [Permission.TENANT_USER_MANAGEMENT_WRITE]}


class InviteBody(msgspec.Struct, rename="camel"):
    """Body of `createInvite`: `roles`, or of old `role_names`."""

    receiver_email: str
    roles: Annotated[list[Reference], Meta(min_length=1)] | UnsetType = UNSET
    role_names: Annotated[list[str], Meta(min_length=1)] | UnsetType = UNSET


class InvitingTenantShape(msgspec.Struct):
    """The tenant of an invitation."""

    id: UUID
    name: str


class InviteShape(msgspec.Struct, rename="camel"):
    """`UserInvite`."""

    id: UUID
    receiver_email: str
    sender_id: UUID
    status: OfferStatus
    created_at: datetime
    tenant: InvitingTenantShape
    roles: list[RoleNameShape]

    @classmethod
    def of(cls, offer: identity.Offer) -> "InviteShape":
        return cls(
            id=offer.id,
            receiver_email=offer.email,
            sender_id=offer.invited_by,
            status=offer.status,
            created_at=offer.created_at,
            tenant=InvitingTenantShape(offer.organization_id, offer.organization_name),
            roles=[RoleNameShape.of(role) for role in offer.roles],
        )


@get("/", operation_id="listTenantInvites", opt=_READ)
async def list_invites(
    work: Work,
    tenant_id: TenantPath,
    status: Status = None,
    page: PageNumber = 0,
    page_size: StrictPageSize = DEFAULT_PAGE_SIZE,
) -> Paged[InviteShape]:
    """Invitations, newest first; neither withdrawn ones nor those that have run out."""
    check_tenant(work, tenant_id)
    statuses = [] if status is None else [status]
    found = await identity.list_offers(work, statuses=statuses, query=page_query(page, page_size))
    return paged(found, page, page_size, InviteShape.of)


@post("/", operation_id="createInvite", opt=_WRITE)
async def create_invite(work: Work, request: AnyRequest, tenant_id: TenantPath) -> Data[InviteShape]:
    """Mails an invitation, good for 7 days; 409 when one is open for the address."""
    check_tenant(work, tenant_id)
    body = read_as(await read_json(request), InviteBody)
    if (body.roles is UNSET) is (body.role_names is UNSET):
        raise Invalid.field("/roles", "name the roles by 'roles' or by 'roleNames', and not by both")
    if body.role_names is not UNSET:
        _check_unique(body.role_names, "/roleNames")
        offer = await identity.create_offer_by_names(work, email=body.receiver_email, names=body.role_names)
        return Data(InviteShape.of(offer))
    role_ids = [role.id for role in body.roles or ()]
    _check_unique(role_ids, "/roles")
    return Data(InviteShape.of(await identity.create_offer(work, email=body.receiver_email, role_ids=role_ids)))


@delete("/{inviteId:str}", operation_id="revokeInvite", opt=_WRITE)
async def revoke_invite(work: Work, tenant_id: TenantPath, invite_id: InvitePath) -> None:
    """Withdraws one that is open."""
    check_tenant(work, tenant_id)
    await identity.withdraw_invitation(work, invite_id)


def _check_unique(listed: Sequence[object], field: str) -> None:
    if len(set(listed)) < len(listed):
        raise Invalid.field(field, "names a role twice")


router = Router("/v1/tenants/{tenantId:str}/invites", route_handlers=[list_invites, create_invite, revoke_invite])
