"""/applications/{applicationId}/globals, /readme, /search (contract section 20)."""

from typing import Any

import msgspec
from litestar import get, patch
from msgspec import UNSET, UnsetType

from roadstead.core import contents, registry
from roadstead.core.contents import Found, FoundKind
from roadstead.core.registry import GlobalChange, Readme, Space
from roadstead.core.work import Work
from roadstead.dialects.losant.applications import spell_one
from roadstead.dialects.losant.envelopes import spell_time
from roadstead.dialects.losant.schemas import read_body
from roadstead.kernel.actor import ActorKind
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import to_hex24
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

_AUTHORS = {ActorKind.USER: "user", ActorKind.SYSTEM: "flow"}
_KINDS = {FoundKind.DEVICE: "device", FoundKind.EVENT: "event", FoundKind.ACCESS: "applicationApiToken"}


class GlobalChangeBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of `applicationGlobalPatch`."""

    key: str
    json: str | UnsetType | None = UNSET
    cloud_only: bool | UnsetType = UNSET
    description: str | UnsetType = UNSET

    def change(self) -> GlobalChange:
        """As the core has it."""
        return GlobalChange(key=self.key, value=self.json, cloud_only=self.cloud_only, description=self.description)


@patch("/applications/{applicationId:str}/globals", operation_id="application.globals")
async def change_globals(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """Those that are named; the others stay."""
    body = read_as(await read_body(request, "applicationGlobalPatch"), list[GlobalChangeBody])
    await registry.change_globals(work, application.id, [each.change() for each in body])
    return await spell_one(request, work, await registry.load_space(work, application.id))


@get("/applications/{applicationId:str}/readme", operation_id="application.readme")
async def get_readme(work: Work, application: Space) -> dict[str, Any]:
    """Nothing written yet is an empty text."""
    return _spell_readme(application, await registry.find_readme(work, application.id))


@patch("/applications/{applicationId:str}/readme", operation_id="application.readmePatch")
async def write_readme(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """A body without content changes nothing."""
    body = await read_body(request, "applicationReadmePatch")
    if "content" not in body:
        return _spell_readme(application, await registry.find_readme(work, application.id))
    return _spell_readme(application, await registry.write_readme(work, application.id, body["content"]))


@get("/applications/{applicationId:str}/search", operation_id="application.search")
async def search(request: AnyRequest, work: Work, application: Space) -> list[dict[str, Any]]:
    """What has the text in its name, in any case."""
    text = request.query_params.get("filter")
    if not text:
        raise Invalid.field("filter", "is required", place="query")
    return [_spell_found(each) for each in await contents.search_contents(work, application.id, text)]


def _spell_readme(application: Space, readme: Readme | None) -> dict[str, Any]:
    spelled: dict[str, Any] = {"applicationId": to_hex24(application.id), "content": ""}
    if readme is not None:
        spelled |= {
            "content": readme.content,
            "lastUpdated": spell_time(readme.updated_at),
            "lastUpdatedById": to_hex24(readme.updated_by),
            "lastUpdatedByType": _AUTHORS.get(readme.updated_by_kind, "apiToken"),
        }
    return spelled | {"_type": "applicationReadme"}


def _spell_found(found: Found) -> dict[str, Any]:
    spelled = {"id": to_hex24(found.id), "name": found.name, "_type": _KINDS[found.kind]}
    return spelled if found.device_class is None else spelled | {"deviceClass": found.device_class}


handlers = [change_globals, get_readme, write_readme, search]
