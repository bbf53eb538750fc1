"""/applications: spaces of the organization (contract section 20)."""

from typing import Any

from litestar import get, post

from roadstead.core import registry
from roadstead.core.registry import Space, SpaceDraft
from roadstead.core.work import Work
from roadstead.dialects.losant.envelopes import single, spell_time
from roadstead.dialects.losant.schemas import read_body
from roadstead.web.edge import AnyRequest


@get("/applications/{applicationId:str}", operation_id="application.get")
async def get_application(request: AnyRequest, application: Space) -> dict[str, Any]:
    """One application."""
    return _spell(request, application)


@post("/applications", operation_id="applications.post", status_code=201)
async def create_application(request: AnyRequest, work: Work) -> dict[str, Any]:
    """Makes one."""
    body = await read_body(request, "applicationPost")
    return _spell(request, await registry.create_space(work, SpaceDraft(name=body["name"])))


def _spell(request: AnyRequest, space: Space) -> dict[str, Any]:
    fields = {"name": space.name, "creationDate": spell_time(space.created_at)}
    return single(request, "application", space.id, fields)


handlers = [get_application, create_application]
