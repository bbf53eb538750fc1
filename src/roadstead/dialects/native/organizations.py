"""/organizations: those of the caller, and the one a request resolves to."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Response, Router, delete, get, patch, post
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import identity, tenancy
from roadstead.core.tenancy import OrganizationChange, OrganizationDraft
from roadstead.core.work import Account, Work
from roadstead.dialects.native.edge import versioned
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest


class OrganizationShape(Shape):
    """Contract schema `Organization`."""

    id: str
    name: str
    slug: str
    settings: dict[str, Any]
    status: str
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def of(cls, organization: tenancy.Organization) -> "OrganizationShape":
        return cls(
            id=str(organization.public_id),
            name=organization.name,
            slug=organization.slug,
            settings={
                key: value for key, value in msgspec.to_builtins(organization.settings).items() if value is not None
            },
            status=organization.status,
            created_at=organization.created_at,
            updated_at=organization.updated_at,
            version=organization.version,
        )


class OrganizationBody(Body):
    """Contract schema `OrganizationInput`."""

    name: Annotated[str, Meta(min_length=1, max_length=120)]
    slug: Annotated[str, Meta(min_length=3, max_length=40, pattern="^[a-z0-9-]+$")] | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET


class OrganizationPatch(Body):
    """Contract schema `OrganizationInput`, all optional."""

    name: Annotated[str, Meta(min_length=1, max_length=120)] | UnsetType = UNSET
    slug: Annotated[str, Meta(min_length=3, max_length=40, pattern="^[a-z0-9-]+$")] | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET


@get("/", operation_id="organization.list")
async def list_own(account: Account, page: PageQuery) -> PageShape[OrganizationShape]:
    """Organizations of the calling user."""
    return page_shape(await identity.list_own_organizations(account, page), page, OrganizationShape.of)


@post("/", operation_id="organization.create", status_code=201)
@idempotent
async def create_organization(
    request: AnyRequest, account: Account, data: OrganizationBody
) -> Response[OrganizationShape | None]:
    """Creates an organization; the caller becomes owner. Without a slug, one is made from the name."""
    draft = OrganizationDraft(
        name=data.name,
        slug=None if data.slug is UNSET else data.slug,
        settings={} if data.settings is UNSET else data.settings,
    )
    organization = await identity.create_organization(account, draft)
    return versioned(
        request, OrganizationShape.of(organization), organization.version, location="/api/v1/organizations/current"
    )


@get("/current", operation_id="organization.current")
async def get_current(request: AnyRequest, work: Work) -> Response[OrganizationShape | None]:
    """The organization the request resolves to."""
    organization = await tenancy.get_organization(work)
    return versioned(request, OrganizationShape.of(organization), organization.version)


@patch("/current", operation_id="organization.update")
async def change_current(
    request: AnyRequest, work: Work, expected: int | None, data: OrganizationPatch
) -> Response[OrganizationShape | None]:
    """Changes name and settings; settings merge per key, null puts a key back to its default."""
    change = OrganizationChange(name=data.name, slug=data.slug, settings=data.settings)
    organization = await tenancy.change_organization(work, change, expected=expected)
    return versioned(request, OrganizationShape.of(organization), organization.version)


@delete("/current", operation_id="organization.delete", status_code=202, media_type=MediaType.TEXT)
async def delete_current(work: Work, confirm: Annotated[str, QueryParameter(description="the slug")]) -> None:
    """Marks for deletion; data is purged after 14 days unless restored by whoever runs the platform."""
    await tenancy.delete_organization(work, confirm=confirm)


router = Router(
    "/v1/organizations",
    route_handlers=[list_own, create_organization, get_current, change_current, delete_current],
    tags=["access"],
)
