"""/applications: spaces of the organizations of whoever asks (contract section 20)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from litestar import delete, get, patch, post
from litestar.di import Provide
from msgspec import UNSET, UnsetType

from roadstead.core import contents, registry, tenancy
from roadstead.core.registry import Archive, Global, OwnedSpace, Space, SpaceChange, SpaceDraft
from roadstead.core.work import Account, Work
from roadstead.dialects.losant.archives import ArchiveBody, spell_archive
from roadstead.dialects.losant.envelopes import SUCCESS, collection, read_listing, single, spell_time
from roadstead.dialects.losant.places import Places, provide_places
from roadstead.dialects.losant.schemas import read_body
from roadstead.dialects.losant.summaries import read_wanted, summarise
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import to_hex24
from roadstead.kernel.page import Page
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

SORTS = {
    "name": "name",
    "id": "id",
    "creationDate": "createdAt",
    "ownerId": "organizationId",
    "lastUpdated": "updatedAt",
}


class GlobalBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of `globals`."""

    key: str
    json: str
    cloud_only: bool = False
    description: str | None = None

    def value(self) -> Global:
        """As the core has it."""
        return Global(key=self.key, value=self.json, cloud_only=self.cloud_only, description=self.description)


class ApplicationBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`applicationPost` and `applicationPatch`."""

    name: str | UnsetType = UNSET
    org_id: str | None = None
    application_template_id: str | None = None
    endpoint_slug: str | UnsetType = UNSET
    archive_config: ArchiveBody | UnsetType | None = UNSET
    globals: list[GlobalBody] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    applied_template_ids: list[str] | UnsetType = UNSET
    exp_user_token_cutoff: datetime | UnsetType = UNSET
    endpoint_default_cors: bool | UnsetType = UNSET
    ftue_tracking: list[dict[str, Any]] | UnsetType = UNSET
    blob_url_ttl: float | UnsetType = msgspec.field(default=UNSET, name="blobUrlTTL")

    def notes(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """What only this dialect knows, beside what others keep there."""
        values = {
            "description": self.description,
            "appliedTemplateIds": self.applied_template_ids,
            "expUserTokenCutoff": _time(self.exp_user_token_cutoff),
            "endpointDefaultCors": self.endpoint_default_cors,
            "ftueTracking": self.ftue_tracking,
            "blobUrlTTL": self.blob_url_ttl,
        }
        own = {name: value for name, value in values.items() if value is not UNSET}
        return {**before, "losant": {**before.get("losant", {}), **own}}

    def archive(self) -> Archive | UnsetType | None:
        """What shall be archived."""
        body = self.archive_config
        return body.archive() if isinstance(body, ArchiveBody) else body

    def values(self) -> list[Global] | None:
        """The globals, if they are to be others."""
        return None if isinstance(self.globals, UnsetType) else [each.value() for each in self.globals]


def _time(instant: datetime | UnsetType) -> str | UnsetType:
    return UNSET if isinstance(instant, UnsetType) else spell_time(instant)


@get("/applications", operation_id="applications.get", dependencies={"places": Provide(provide_places)})
async def list_applications(request: AnyRequest, places: Places) -> dict[str, Any]:
    """Those of one organization, or of all that the caller is in."""
    listing = read_listing(request, list(SORTS))
    found = await find_applications(request, places)
    return collection(request, "applications", await spell_all(request, places, found.items), listing, found.total or 0)


async def find_applications(request: AnyRequest, places: Places) -> Page[OwnedSpace]:
    """What a request for a list asks for. There are no applications outside of organizations."""
    listing = read_listing(request, list(SORTS))
    org_id = request.query_params.get("orgId")
    return await registry.search_spaces(
        places.asked,
        [] if org_id == "" else places.among(org_id),
        only=places.only,
        pattern=listing.filter,
        sort=SORTS[listing.sort_field],
        descending=listing.descending,
        page=listing.query,
    )


@post(
    "/applications",
    operation_id="applications.post",
    status_code=201,
    dependencies={"places": Provide(provide_places)},
)
async def create_application(request: AnyRequest, places: Places) -> dict[str, Any]:
    """Makes one, in the organization that is named or else in that of the caller."""
    body = read_as(await read_body(request, "applicationPost"), ApplicationBody)
    if body.application_template_id is not None:
        raise Invalid.field("applicationTemplateId", "there is no store of templates here; import a bundle instead")
    async with places.work(places.first(body.org_id)) as work:
        draft = SpaceDraft(
            name=body.name or "",
            endpoint_slug=body.endpoint_slug or None,
            archive=body.archive() or None,
            notes=body.notes({}),
        )
        space = await registry.create_space(work, draft)
        if (values := body.values()) is not None:
            await registry.replace_globals(work, space.id, values)
        return await spell_one(request, work, await registry.load_space(work, space.id))


@get("/applications/{applicationId:str}", operation_id="application.get")
async def get_application(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """One application."""
    return await spell_one(request, work, application)


@patch("/applications/{applicationId:str}", operation_id="application.patch")
async def change_application(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """What was sent; globals as a whole."""
    body = read_as(await read_body(request, "applicationPatch"), ApplicationBody)
    if (values := body.values()) is not None:
        await registry.replace_globals(work, application.id, values)
    change = SpaceChange(
        name=body.name,
        endpoint_slug=body.endpoint_slug or (UNSET if body.endpoint_slug is UNSET else None),
        archive=body.archive(),
        notes=body.notes(application.notes),
    )
    return await spell_one(request, work, await registry.change_space(work, application.id, change))


@delete("/applications/{applicationId:str}", operation_id="application.delete", status_code=200)
async def delete_application(work: Work, application: Space) -> dict[str, Any]:
    """With everything in it. The application that devices of other APIs go to stays."""
    await contents.delete_space_with_contents(work, application.id)
    return SUCCESS


async def spell_one(request: AnyRequest, work: Work, space: Space) -> dict[str, Any]:
    """An application of the caller's work as it is answered."""
    organization = await tenancy.get_organization(work)
    fields = msgspec.structs.asdict(space)
    owned = OwnedSpace(
        **fields,
        tenant_id=work.tenant_id,
        organization_id=organization.public_id,
        organization_name=organization.name,
    )
    return (await _spell(request, work, [owned]))[0]


async def spell_all(request: AnyRequest, places: Places, spaces: Sequence[OwnedSpace]) -> list[dict[str, Any]]:
    """Applications of several organizations as they are answered."""
    return await _spell(request, places.asked, spaces)


async def _spell(request: AnyRequest, asked: Account | Work, spaces: Sequence[OwnedSpace]) -> list[dict[str, Any]]:
    values = await registry.list_globals(asked, [each.id for each in spaces])
    summaries = await summarise(asked, read_wanted(request), spaces)
    return [
        _spell_application(request, space, values[space.id], summary)
        for space, summary in zip(spaces, summaries, strict=True)
    ]


def _spell_application(
    request: AnyRequest, space: OwnedSpace, values: Sequence[Global], summary: dict[str, Any] | None
) -> dict[str, Any]:
    fields = {
        "name": space.name,
        "creationDate": spell_time(space.created_at),
        "lastUpdated": spell_time(space.updated_at),
        "ownerId": to_hex24(space.organization_id),
        "ownerType": "organization",
        "organizationName": space.organization_name,
        "endpointSlug": space.endpoint_slug,
        "archiveConfig": None if space.archive is None else spell_archive(space.archive),
        "globals": [spell_global(each) for each in values],
        **space.notes.get("losant", {}),
        "summary": summary,
    }
    shown = single(request, "application", space.id, fields)
    if "_links" in shown:
        shown["_links"]["self"] = {"href": f"/applications/{shown['id']}"}
    return shown


def spell_global(value: Global) -> dict[str, Any]:
    """One of `globals`."""
    told = {"key": value.key, "json": value.value, "cloudOnly": value.cloud_only, "description": value.description}
    return {name: each for name, each in told.items() if each is not None}


handlers = [list_applications, create_application, get_application, change_application, delete_application]
