"""/v1/project/{projectId}/template: texts that programs make messages from. They are kept; nothing here sends them."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import delete, get, patch, post, put
from litestar.params import PathParameter

from roadstead.core import notify
from roadstead.core.notify import Medium, MessageTemplate, MessageTemplateDraft
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.lists import Listed, ListQuery, pick
from roadstead.dialects.leverege.patches import patched
from roadstead.dialects.leverege.project_of import ProjectPath, check_project, check_project_if_named
from roadstead.dialects.leverege.statuses import Deleted
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import parse_base62, to_base62
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

TemplatePath = Annotated[str, PathParameter(name="templateId")]

_PATHS = ["/v1/project/{projectId:str}/template/{templateId:str}", "/v1/template/{templateId:str}"]


class TemplateShape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`Template`."""

    id: str
    name: str
    type: str | None = None
    subject: str | None = None
    html: str | None = None
    text: str | None = None

    @classmethod
    def of(cls, template: MessageTemplate) -> "TemplateShape":
        return cls(
            id=to_base62(template.id),
            name=template.name,
            type=template.medium.lower() if template.medium is not None else None,
            subject=template.subject,
            html=template.html,
            text=template.plain,
        )


class TemplateBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of `template.create`."""

    name: str
    type: str | None = None
    subject: str | None = None
    html: str | None = None
    text: str | None = None

    @classmethod
    def of(cls, template: MessageTemplate) -> "TemplateBody":
        shape = TemplateShape.of(template)
        return cls(**{name: getattr(shape, name) for name in cls.__struct_fields__})

    def draft(self) -> MessageTemplateDraft:
        """In words of the core."""
        if self.type not in (None, "email", "sms"):
            raise Invalid.field("type", "is email or sms")
        medium = Medium(self.type.upper()) if self.type is not None else None
        return MessageTemplateDraft(
            name=self.name, medium=medium, subject=self.subject, html=self.html, plain=self.text
        )


@get("/v1/project/{projectId:str}/template", operation_id="template.list")
async def list_templates(request: AnyRequest, work: Work, project_id: ProjectPath) -> Listed[TemplateShape]:
    """Oldest first."""
    check_project(work, project_id)
    await check(work, "template.list")
    return pick(await notify.list_message_templates(work), ListQuery.of(request), TemplateShape.of)


@post("/v1/project/{projectId:str}/template", operation_id="template.create", status_code=200)
async def create_template(request: AnyRequest, work: Work, project_id: ProjectPath) -> TemplateShape:
    """For programs to read again."""
    check_project(work, project_id)
    await check(work, "template.create")
    body = read_as(await read_body(request), TemplateBody)
    return TemplateShape.of(await notify.create_message_template(work, body.draft()))


@get(_PATHS, operation_id="template.get")
async def get_template(request: AnyRequest, work: Work, template_id: TemplatePath) -> TemplateShape:
    """One template."""
    check_project_if_named(request, work)
    await check(work, "template.read")
    return TemplateShape.of(await notify.get_message_template(work, _read_id(template_id)))


@patch(_PATHS, operation_id="template.update")
async def update_template(request: AnyRequest, work: Work, template_id: TemplatePath) -> TemplateShape:
    """What is sent."""
    check_project_if_named(request, work)
    await check(work, "template.update")
    template = await notify.get_message_template(work, _read_id(template_id))
    body = patched(TemplateBody.of(template), await read_body(request))
    return TemplateShape.of(await notify.replace_message_template(work, template.id, body.draft()))


@put(_PATHS)
async def replace_template(request: AnyRequest, work: Work, template_id: TemplatePath) -> TemplateShape:
    """Everything."""
    check_project_if_named(request, work)
    await check(work, "template.update")
    body = read_as(await read_body(request), TemplateBody)
    return TemplateShape.of(await notify.replace_message_template(work, _read_id(template_id), body.draft()))


@delete(_PATHS, operation_id="template.delete", status_code=200)
async def delete_template(request: AnyRequest, work: Work, template_id: TemplatePath) -> Deleted:
    """One template."""
    check_project_if_named(request, work)
    await check(work, "template.delete")
    id_ = _read_id(template_id)
    await notify.delete_message_template(work, id_)
    return Deleted.of(id_)


def _read_id(template_id: str) -> UUID:
    id_ = parse_base62(template_id)
    if id_ is None:
        raise NotFound("template", template_id)
    return id_


handlers = [list_templates, create_template, get_template, update_template, replace_template, delete_template]
