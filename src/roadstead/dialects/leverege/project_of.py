"""The project that a path names: that of the token, every other is not there (contract section 8)."""

from typing import Annotated

from litestar.params import PathParameter

from roadstead.core.work import Work
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import parse_base62
from roadstead.web.edge import AnyRequest

ProjectPath = Annotated[str, PathParameter(name="projectId")]


def check_project(work: Work, project_id: str) -> None:
    """Raises `NotFound` for another project than that of the caller."""
    if parse_base62(project_id) != work.actor.organization_id:
        raise NotFound("project", project_id)


def check_project_if_named(request: AnyRequest, work: Work) -> None:
    """The same for routes that have a path without a project as well."""
    project_id = request.path_params.get("projectId")
    if project_id is not None:
        check_project(work, project_id)
