"""/v1/clients: OAuth clients before there were applications; each is an application at work in its own tenant."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, delete, get, post
from litestar.params import PathParameter
from msgspec import UNSET, UnsetType

from roadstead.core import applications
from roadstead.core.applications import Application, ApplicationDraft
from roadstead.core.identity import NEVER_FOR_APPLICATIONS, Bearer, Permission
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.envelopes import Data, read_json
from roadstead.dialects.lightelligence.errors import Service
from roadstead.kernel.errors import Invalid
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

ClientPath = Annotated[UUID, PathParameter(name="clientId")]

_READ = {"service": Service.APPLICATIONS, "permissions": [Permission.APPLICATIONS_DEVELOPMENT_READ]}
_WRITE = {
    "service": Service.APPLICATIONS,
    "permissions": [Permission.APPLICATIONS_DEVELOPMENT_WRITE, Permission.APPLICATIONS_WRITE],
}


class ClientBody(msgspec.Struct, rename="camel"):
    """Body of `legacyCreateClient`, as far as it can be said here; any web page may use a client anyhow."""

    name: str
    redirect_uris: list[str] = []
    public_client: bool = False
    id: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    secret: str | UnsetType = UNSET
    direct_access_grants_enabled: bool = False
    implicit_flow_enabled: bool = False

    def check(self) -> None:
        """Raises `Invalid` for what no client is given here."""
        for name, value in (("id", self.id), ("clientId", self.client_id), ("secret", self.secret)):
            if value is not UNSET:
                raise Invalid.field(f"/{name}", "is made here")
        if self.direct_access_grants_enabled:
            raise Invalid.field("/directAccessGrantsEnabled", "passwords are not given to clients here")
        if self.implicit_flow_enabled:
            raise Invalid.field("/implicitFlowEnabled", "the implicit flow is not offered")


class LegacyClientShape(msgspec.Struct, rename="camel", kw_only=True):
    """A client; its `id` is that of its application."""

    id: UUID
    client_id: UUID
    name: str
    redirect_uris: list[str]
    public_client: bool
    secret: str | UnsetType = UNSET

    @classmethod
    def of(cls, application: Application, client_id: UUID) -> "LegacyClientShape":
        return cls(
            id=application.id,
            client_id=client_id,
            name=application.name,
            redirect_uris=application.redirect_uris,
            public_client=client_id == application.public_client_id,
        )


@post("/", operation_id="legacyCreateClient", opt=_WRITE)
async def create_client(work: Work, request: AnyRequest, bearer: Bearer) -> Data[LegacyClientShape]:
    """Makes one that may do in this tenant what its maker may, as far as applications ever may."""
    body = read_as(await read_json(request), ClientBody)
    body.check()
    permissions = sorted(bearer.permissions - NEVER_FOR_APPLICATIONS)
    draft = ApplicationDraft(
        name=body.name,
        redirect_uris=body.redirect_uris,
        with_public_client=body.public_client,
        client_permissions=[] if body.public_client else permissions,
        user_permissions=permissions,
    )
    made = await applications.create_own_application(work, draft)
    application = made.application
    if application.public_client_id is not None:
        return Data(LegacyClientShape.of(application, application.public_client_id))
    shape = LegacyClientShape.of(application, application.client_id)
    shape.secret = made.secret
    return Data(shape)


@get("/{clientId:str}", operation_id="legacyGetClient", opt=_READ)
async def get_client(work: Work, client_id: ClientPath) -> Data[LegacyClientShape]:
    """One of this tenant, without its secret."""
    application = await applications.get_application_of_client(work, client_id)
    return Data(LegacyClientShape.of(application, client_id))


@delete("/{clientId:str}", operation_id="legacyDeleteClient", opt=_WRITE)
async def delete_client(work: Work, client_id: ClientPath) -> None:
    """It stops working at once, and its application with it."""
    application = await applications.get_application_of_client(work, client_id)
    await applications.delete_application(work, application.id)


router = Router("/v1/clients", route_handlers=[create_client, get_client, delete_client])
