"""/v1/project: the organizations of the platform (contract section 2)."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.di import Provide

from roadstead.core import identity, tenancy
from roadstead.core.tenancy import Organization, OrganizationChange, OrganizationDraft, OrganizationStatus
from roadstead.core.work import Account, Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.edge import is_for_all_projects
from roadstead.dialects.leverege.lists import MOST_PER_PAGE, Listed, ListQuery, pick
from roadstead.dialects.leverege.patches import patched
from roadstead.dialects.leverege.project_of import ProjectPath, check_project
from roadstead.dialects.leverege.statuses import Deleted
from roadstead.kernel.actor import Actor
from roadstead.kernel.errors import Forbidden, Invalid
from roadstead.kernel.ids import to_base62
from roadstead.kernel.page import PageQuery
from roadstead.kernel.time import to_millis
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest, Edge, credential_of, provide_account

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class ProjectShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`Project`."""

    id: str
    name: str
    metadata: dict[str, Any] | None = None
    created: int
    last_modified: int

    @classmethod
    def of(cls, organization: Organization) -> "ProjectShape":
        return cls(
            id=to_base62(organization.public_id),
            name=organization.name,
            metadata=organization.notes.get("leverege", {}).get("metadata"),
            created=to_millis(organization.created_at),
            last_modified=to_millis(organization.updated_at),
        )


class ProjectBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`ProjectInput`."""

    name: Name
    metadata: dict[str, Any] | None = None

    @classmethod
    def of(cls, organization: Organization) -> "ProjectBody":
        shape = ProjectShape.of(organization)
        return cls(name=shape.name, metadata=shape.metadata)

    def notes(self, others: dict[str, Any]) -> dict[str, Any]:
        """Where metadata is kept, beside what else the dialect keeps there."""
        kept = {name: value for name, value in others.get("leverege", {}).items() if name != "metadata"}
        return {"leverege": kept if self.metadata is None else kept | {"metadata": self.metadata}}


async def provide_visible(request: AnyRequest) -> Sequence[Organization]:
    """The projects that the token opens: one, or all of a person."""
    edge: Edge = request.app.state.edge
    actor: Actor = request.scope["auth"]
    if is_for_all_projects(request):
        async with edge.system_database.tx(actor.tenant_id) as tx:
            everything = PageQuery(limit=MOST_PER_PAGE)
            found = (await identity.list_own_organizations(Account(actor, tx, edge.ports), everything)).items
    elif actor.tenant_id:
        async with edge.tenant_database.tx(actor.tenant_id) as tx:
            found = [await tenancy.get_organization(Work(actor, tx, edge.ports))]
    else:
        raise Forbidden("this token is for no project")
    return [each for each in found if each.status is OrganizationStatus.ACTIVE]


@get("/v1/project", operation_id="project.list", dependencies={"visible": Provide(provide_visible)})
async def list_projects(request: AnyRequest, visible: Sequence[Organization]) -> Listed[ProjectShape]:
    """Those that the token opens."""
    return pick(visible, ListQuery.of(request), ProjectShape.of)


@post(
    "/v1/project",
    operation_id="project.create",
    status_code=200,
    dependencies={"account": Provide(provide_account)},
)
async def create_project(request: AnyRequest, account: Account) -> ProjectShape:
    """The caller becomes its owner: a person, whose token is not one for another project alone."""
    if identity.is_id_token(credential_of(request) or "") and not is_for_all_projects(request):
        raise Forbidden("log in without projectId to make a project")
    body = read_as(await read_body(request), ProjectBody)
    draft = OrganizationDraft(name=body.name, notes=body.notes({}))
    return ProjectShape.of(await identity.create_organization(account, draft))


@get("/v1/project/{projectId:str}", operation_id="project.get")
async def get_project(work: Work, project_id: ProjectPath) -> ProjectShape:
    """The header."""
    check_project(work, project_id)
    await check(work, "project.read")
    return ProjectShape.of(await tenancy.get_organization(work))


@patch("/v1/project/{projectId:str}", operation_id="project.update")
async def update_project(request: AnyRequest, work: Work, project_id: ProjectPath) -> ProjectShape:
    """Name and metadata."""
    check_project(work, project_id)
    await check(work, "project.update")
    before = await tenancy.get_organization(work)
    body = patched(ProjectBody.of(before), await read_body(request))
    change = OrganizationChange(name=body.name, notes=body.notes(before.notes))
    return ProjectShape.of(await tenancy.change_organization(work, change, expected=None))


@delete("/v1/project/{projectId:str}", operation_id="project.delete", status_code=200)
async def delete_project(request: AnyRequest, work: Work, project_id: ProjectPath) -> Deleted:
    """By its owner in person, who repeats its name. Whoever runs the platform can restore it for 14 days."""
    check_project(work, project_id)
    await check(work, "project.delete")
    organization = await tenancy.get_organization(work)
    if request.query_params.get("confirm") != organization.name:
        raise Invalid.field("confirm", "is not the name of this project", place="query")
    await tenancy.delete_organization(work, confirm=organization.slug)
    return Deleted.of(organization.public_id)


handlers = [list_projects, create_project, get_project, update_project, delete_project]
