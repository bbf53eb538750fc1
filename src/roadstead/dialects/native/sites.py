"""/sites: places that hold devices and other sites."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import registry
from roadstead.core.registry import Location
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape, read_reference
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import SiteId, parse_uuid
from roadstead.kernel.page import Page, PageQuery
from roadstead.web.edge import AnyRequest

Name = Annotated[str, Meta(min_length=1, max_length=120)]
_ROOT = "root"


class SiteShape(Shape, kw_only=True):
    """Contract schema `Site`; deviceCount counts the sites below, too."""

    id: str
    name: str
    parent_id: str | None = None
    path: list[str]
    location: Location | None = None
    time_zone: str | None = None
    address: dict[str, Any] | None = None
    tags: dict[str, str]
    metadata: dict[str, Any]
    device_count: int
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def of(cls, site: registry.Site) -> "SiteShape":
        return cls(
            id=str(site.id),
            name=site.name,
            parent_id=str(site.parent_id) if site.parent_id else None,
            path=site.path,
            location=site.location,
            time_zone=site.time_zone,
            address=site.address,
            tags=site.tags,
            metadata=site.metadata,
            device_count=site.device_count,
            created_at=site.created_at,
            updated_at=site.updated_at,
            version=site.version,
        )


class SiteBody(Body, kw_only=True):
    """Contract schema `SiteInput`."""

    name: Name
    parent_id: str | None = None
    location: Location | None = None
    time_zone: str | None = None
    address: dict[str, Any] | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    def draft(self) -> registry.SiteDraft:
        """In words of the core."""
        return registry.SiteDraft(
            name=self.name,
            parent_id=None if self.parent_id is None else SiteId(read_reference(self.parent_id, "/parentId")),
            location=self.location,
            time_zone=self.time_zone,
            address=self.address,
            tags=self.tags,
            metadata=self.metadata,
        )


class SitePatch(Body, kw_only=True):
    """Contract schema `SiteInput`, all optional; a merge patch."""

    name: Name | UnsetType = UNSET
    parent_id: str | UnsetType | None = UNSET
    location: dict[str, Any] | UnsetType | None = UNSET
    time_zone: str | UnsetType | None = UNSET
    address: dict[str, Any] | UnsetType | None = UNSET
    tags: dict[str, str | None] | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET

    def change(self) -> registry.SiteChange:
        """In words of the core."""
        parent = self.parent_id
        return registry.SiteChange(
            name=self.name,
            parent_id=SiteId(read_reference(parent, "/parentId")) if isinstance(parent, str) else parent,
            location=self.location,
            time_zone=self.time_zone,
            address=self.address,
            tags=self.tags,
            metadata=self.metadata,
        )


class SiteNodeShape(Shape, kw_only=True):
    """Contract schema `SiteNode`; deviceCount counts the sites below, too."""

    id: str
    name: str
    device_count: int
    children: "list[SiteNodeShape]"

    @classmethod
    def of(cls, node: registry.SiteNode) -> "SiteNodeShape":
        return cls(
            id=str(node.id),
            name=node.name,
            device_count=node.device_count,
            children=[cls.of(child) for child in node.children],
        )


class SiteTreeShape(Shape, kw_only=True):
    """Answer of `site.tree`."""

    items: list[SiteNodeShape]


@get("/", operation_id="site.list")
async def list_sites(
    work: Work,
    page: PageQuery,
    sort: Annotated[str | None, QueryParameter(description="name (default), createdAt; -field descends")] = None,
    parent_id: Annotated[
        str | None, QueryParameter(name="parentId", description="those right below a site; root: the top level")
    ] = None,
    q: Annotated[str | None, QueryParameter(description="part of the name", max_length=200)] = None,
) -> PageShape[SiteShape]:
    """Lists sites of the organization."""
    parent = parse_uuid(parent_id or "")
    if parent_id not in (None, _ROOT) and parent is None:
        return page_shape(Page(items=[], total=0 if page.include_total else None), page, SiteShape.of)
    found = await registry.list_sites(
        work,
        parent=None if parent is None else SiteId(parent),
        top_level=parent_id == _ROOT,
        text=q,
        sort=sort,
        page=page,
    )
    return page_shape(found, page, SiteShape.of)


@post("/", operation_id="site.create", status_code=201)
@idempotent
async def create_site(request: AnyRequest, work: Work, data: SiteBody) -> Response[SiteShape | None]:
    """Creates one. Sites form a tree up to depth 8."""
    site = await registry.create_site(work, data.draft())
    return versioned(request, SiteShape.of(site), site.version, location=f"/api/v1/sites/{site.id}")


@get("/tree", operation_id="site.tree")
async def get_tree(work: Work) -> SiteTreeShape:
    """Whole tree with device counts."""
    return SiteTreeShape(items=[SiteNodeShape.of(node) for node in await registry.get_site_tree(work)])


@get("/{id:str}", operation_id="site.get")
async def get_site(request: AnyRequest, work: Work, id: str) -> Response[SiteShape | None]:
    """One of them, with ETag; If-None-Match gives 304."""
    site = await registry.get_site(work, read_site_id(id))
    return versioned(request, SiteShape.of(site), site.version)


@put("/{id:str}", operation_id="site.replace")
async def replace_site(
    request: AnyRequest, work: Work, id: str, expected: int | None, data: SiteBody
) -> Response[SiteShape | None]:
    """Replaces all writable fields; a field left out goes back to its default."""
    site = await registry.replace_site(work, read_site_id(id), data.draft(), expected=expected)
    return versioned(request, SiteShape.of(site), site.version)


@patch("/{id:str}", operation_id="site.patch")
async def change_site(
    request: AnyRequest, work: Work, id: str, expected: int | None, data: SitePatch
) -> Response[SiteShape | None]:
    """JSON merge patch of the writable fields. A site that moves takes along all below it."""
    site = await registry.change_site(work, read_site_id(id), data.change(), expected=expected)
    return versioned(request, SiteShape.of(site), site.version)


@delete("/{id:str}", operation_id="site.delete")
async def delete_site(
    work: Work,
    id: str,
    expected: int | None,
    reassign_to: Annotated[
        str | None, QueryParameter(name="reassignTo", description="the site that its devices and sites go to")
    ] = None,
) -> None:
    """Deletes it. 409 with child sites or devices unless reassignTo names another site."""
    target = None if reassign_to is None else parse_uuid(reassign_to)
    if reassign_to is not None and target is None:
        raise Invalid.field("reassignTo", "there is no such site", place="query")
    target_id = None if target is None else SiteId(target)
    await registry.delete_site(work, read_site_id(id), reassign_to=target_id, expected=expected)


def read_site_id(text: str) -> SiteId:
    """The id of a site in a path."""
    return SiteId(read_id(text, "site"))


router = Router(
    "/v1/sites",
    route_handlers=[list_sites, create_site, get_tree, get_site, replace_site, change_site, delete_site],
    tags=["devices"],
)
