"""/v1/oidc: browsers on their way to an OpenID provider and back (contract section 1.3)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import structlog
from litestar import get
from litestar.params import PathParameter
from litestar.response import Redirect

from roadstead.core import access, identity
from roadstead.core.identity import Journey, ProvenPerson
from roadstead.core.work import Entry
from roadstead.kernel.actor import system_actor
from roadstead.kernel.errors import Invalid, NotFound, RoadsteadError
from roadstead.kernel.ids import parse_base62, to_base62
from roadstead.web.edge import AnyRequest, Edge, address_of, request_id_of

ProjectPath = Annotated[str, PathParameter(name="projectId")]
ClientPath = Annotated[str, PathParameter(name="clientOrAlias")]

log = structlog.get_logger()


@get("/v1/oidc/{projectId:str}/{clientOrAlias:str}/login", operation_id="oidc.login", opt={"token": "none"})
async def begin(request: AnyRequest, project_id: ProjectPath, client: ClientPath) -> Redirect:
    """To the provider."""
    edge: Edge = request.app.state.edge
    success_url, failure_url = _asked(request, "successUrl"), _asked(request, "failureUrl")
    project = parse_base62(project_id)
    if project is None:
        raise NotFound("project", project_id)
    async with _door(request) as entry:
        beginning = await identity.find_provider(
            entry, project, client, success_url=success_url, failure_url=failure_url
        )
    # No transaction is held while the provider thinks.
    provider = await identity.discover(edge.ports, beginning.client)
    async with _door(request) as entry:
        url = await identity.begin_oidc(
            entry, beginning, provider, callback=_callback(edge), success_url=success_url, failure_url=failure_url
        )
    return _to(url)


@get("/v1/oidc/callback", operation_id="oidc.callback", opt={"token": "none"})
async def come_back(request: AnyRequest) -> Redirect:
    """To where the program wants the token, or to where it wants to hear that there is none."""
    edge: Edge = request.app.state.edge
    asked = request.query_params
    async with _door(request) as entry:
        journey = await identity.take_journey(entry, _asked(request, "state"))
    code = asked.get("code")
    if not code or asked.get("error"):
        return _failed(journey, asked.get("error") or "invalid_request")
    try:
        proven = await identity.prove_by_code(edge.ports, journey, code, callback=_callback(edge))
        token = await _enter(request, journey, proven)
    except RoadsteadError as error:
        log.warning("somebody could not sign in with a provider", client=str(journey.client.id), reason=str(error))
        return _failed(journey, error.code)
    return _to(identity.with_query(journey.success_url, {"token": token}))


async def _enter(request: AnyRequest, journey: Journey, proven: ProvenPerson) -> str:
    client = journey.client
    async with _door(request) as entry:
        token = await identity.enter_by_oidc(entry, journey, proven)
        work = entry.as_actor(system_actor(journey.tenant_id, journey.organization_id, name=client.name))
        named = [client.name, client.alias or client.name, to_base62(client.id)]
        issuers = [client.issuer, f"{client.issuer}/", client.discovery_url, *named]
        await access.hand_over_pending_roles(work, token.person_id, issuers=issuers, names=proven.names)
    return token.token


@asynccontextmanager
async def _door(request: AnyRequest) -> AsyncIterator[Entry]:
    edge: Edge = request.app.state.edge
    async with edge.system_database.tx() as tx:
        yield Entry(tx, edge.ports, address=address_of(request), request_id=request_id_of(request))


def _asked(request: AnyRequest, name: str) -> str:
    value: str | None = request.query_params.get(name)
    if not value:
        raise Invalid.field(name, "is required", code="required", place="query")
    return value


def _callback(edge: Edge) -> str:
    """What is registered with the provider, whatever the host under which a program has found us."""
    return f"{edge.ports.public_url}/leverege/v1/oidc/callback"


def _failed(journey: Journey, code: str) -> Redirect:
    return _to(identity.with_query(journey.failure_url, {"error": code}))


def _to(url: str) -> Redirect:
    # A token stands in it: no cache keeps it, and no page is told where the browser came from.
    return Redirect(url, status_code=302, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})


handlers = [begin, come_back]
