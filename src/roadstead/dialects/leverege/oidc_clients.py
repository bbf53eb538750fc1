"""/v1/project/{p}/oidcClient: the OpenID providers of a project (contract section 1.3)."""

from typing import Annotated, Self

import msgspec
from litestar import delete, get, patch, post, put
from litestar.params import PathParameter
from msgspec import UNSET, UnsetType

from roadstead.core import identity
from roadstead.core.identity import OidcClient, OidcClientChange, OidcClientDraft
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.lists import Listed, ListQuery, pick
from roadstead.dialects.leverege.patches import patched
from roadstead.dialects.leverege.project_of import check_project
from roadstead.dialects.leverege.statuses import Deleted
from roadstead.dialects.leverege.users import ProjectPath
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import parse_base62, to_base62
from roadstead.kernel.time import to_millis
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

MaybeProject = Annotated[str | None, PathParameter(name="projectId")]
ClientPath = Annotated[str, PathParameter(name="oidcClientId")]

_ONE = ["/v1/project/{projectId:str}/oidcClient/{oidcClientId:str}", "/v1/oidcClient/{oidcClientId:str}"]


class OidcClientShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`OidcClient`. The secret is never told."""

    id: str
    project_id: str
    name: str
    alias: str | UnsetType
    discovery_url: str
    client_id: str
    redirect_urls: list[str]
    created: int
    last_modified: int

    @classmethod
    def of(cls, client: OidcClient, work: Work) -> Self:
        return cls(
            id=to_base62(client.id),
            project_id=to_base62(work.actor.organization_id),
            name=client.name,
            alias=client.alias or UNSET,
            discovery_url=client.discovery_url,
            client_id=client.client_id,
            redirect_urls=client.redirect_urls,
            created=to_millis(client.created_at),
            last_modified=to_millis(client.updated_at),
        )


class OidcClientBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of `oidc-client.create`."""

    name: str
    alias: str | None = None
    discovery_url: str
    client_id: str
    client_secret: str
    redirect_urls: list[str] = []
    """Where browsers may be sent with a token (ours)."""


class OidcClientFields(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a patch is about."""

    name: str
    alias: str | None = None
    discovery_url: str
    client_id: str
    client_secret: str | UnsetType = UNSET
    redirect_urls: list[str] = []


@get("/v1/project/{projectId:str}/oidcClient", operation_id="oidc-client.list")
async def list_oidc_clients(request: AnyRequest, work: Work, project_id: ProjectPath) -> Listed[OidcClientShape]:
    """All of the project, without their secrets."""
    check_project(work, project_id)
    await check(work, "oidcClient.list")
    found = await identity.list_oidc_clients(work)
    return pick(found, ListQuery.of(request), lambda client: OidcClientShape.of(client, work))


@post("/v1/project/{projectId:str}/oidcClient", operation_id="oidc-client.create", status_code=200)
async def create_oidc_client(request: AnyRequest, work: Work, project_id: ProjectPath) -> OidcClientShape:
    """A provider whose users may sign in."""
    check_project(work, project_id)
    await check(work, "oidcClient.create")
    body = read_as(await read_body(request), OidcClientBody)
    draft = OidcClientDraft(**msgspec.structs.asdict(body))
    return OidcClientShape.of(await identity.create_oidc_client(work, draft), work)


@get(_ONE, operation_id="oidc-client.get")
async def get_oidc_client(work: Work, client_id: ClientPath, project_id: MaybeProject = None) -> OidcClientShape:
    """One of them."""
    return OidcClientShape.of(await _find(work, project_id, client_id, "oidcClient.read"), work)


@patch(_ONE, operation_id="oidc-client.update")
async def update_oidc_client(
    request: AnyRequest, work: Work, client_id: ClientPath, project_id: MaybeProject = None
) -> OidcClientShape:
    """By a list of patch operations or a partial object."""
    before = await _find(work, project_id, client_id, "oidcClient.update")
    fields = OidcClientFields(
        name=before.name,
        alias=before.alias,
        discovery_url=before.discovery_url,
        client_id=before.client_id,
        redirect_urls=before.redirect_urls,
    )
    return await _change(work, before, patched(fields, await read_body(request)))


@put(_ONE)
async def replace_oidc_client(
    request: AnyRequest, work: Work, client_id: ClientPath, project_id: MaybeProject = None
) -> OidcClientShape:
    """By a whole object; without a secret the one it has stays."""
    before = await _find(work, project_id, client_id, "oidcClient.update")
    return await _change(work, before, read_as(await read_body(request), OidcClientFields))


@delete(_ONE, operation_id="oidc-client.delete", status_code=200)
async def delete_oidc_client(work: Work, client_id: ClientPath, project_id: MaybeProject = None) -> Deleted:
    """Nobody signs in with it any more."""
    found = await _find(work, project_id, client_id, "oidcClient.delete")
    await identity.delete_oidc_client(work, found.id)
    return Deleted.of(found.id)


async def _find(work: Work, project_id: str | None, client_id: str, permission: str) -> OidcClient:
    if project_id is not None:
        check_project(work, project_id)
    await check(work, permission)
    id_ = parse_base62(client_id)
    if id_ is None:
        raise NotFound("OpenID client", client_id)
    return await identity.get_oidc_client(work, id_)


async def _change(work: Work, before: OidcClient, fields: OidcClientFields) -> OidcClientShape:
    change = OidcClientChange(**msgspec.structs.asdict(fields))
    return OidcClientShape.of(await identity.change_oidc_client(work, before.id, change), work)


handlers = [
    list_oidc_clients,
    create_oidc_client,
    get_oidc_client,
    update_oidc_client,
    replace_oidc_client,
    delete_oidc_client,
]
