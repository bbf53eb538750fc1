"""/v1/project/{projectId}/network: where devices have names of their own (contract section 2)."""

from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post, put
from litestar.params import PathParameter

from roadstead.core import registry
from roadstead.core.registry import Network, NetworkChange, NetworkDraft
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.lists import Listed, ListQuery, pick
from roadstead.dialects.leverege.patches import patched
from roadstead.dialects.leverege.project_of import ProjectPath, check_project, check_project_if_named
from roadstead.dialects.leverege.statuses import Deleted
from roadstead.kernel.ids import to_base62
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

NetworkPath = Annotated[str, PathParameter(name="networkId")]

_PATHS = ["/v1/project/{projectId:str}/network/{networkId:str}", "/v1/network/{networkId:str}"]


class NetworkShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`Network`."""

    id: str
    name: str
    network_id: str
    alias_keys: list[str]
    metadata: dict[str, Any] | None = None

    @classmethod
    def of(cls, network: Network) -> "NetworkShape":
        return cls(
            id=to_base62(network.id),
            name=network.name,
            network_id=network.network_id,
            alias_keys=network.alias_keys,
            metadata=network.notes.get("leverege", {}).get("metadata"),
        )


class NetworkBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Body of `network.create`."""

    name: str
    network_id: str
    alias_keys: list[str]
    metadata: dict[str, Any] | None = None

    @classmethod
    def of(cls, network: Network) -> "NetworkBody":
        shape = NetworkShape.of(network)
        return cls(**{name: getattr(shape, name) for name in cls.__struct_fields__})

    def draft(self) -> NetworkDraft:
        """In words of the core."""
        return NetworkDraft(name=self.name, network_id=self.network_id, alias_keys=self.alias_keys, notes=self._notes())

    def change(self) -> NetworkChange:
        """In words of the core."""
        return NetworkChange(
            name=self.name, network_id=self.network_id, alias_keys=self.alias_keys, notes=self._notes()
        )

    def _notes(self) -> dict[str, Any]:
        return {} if self.metadata is None else {"leverege": {"metadata": self.metadata}}


@get("/v1/project/{projectId:str}/network", operation_id="network.list")
async def list_networks(request: AnyRequest, work: Work, project_id: ProjectPath) -> Listed[NetworkShape]:
    """By name."""
    check_project(work, project_id)
    await check(work, "network.list")
    return pick(await registry.list_networks(work), ListQuery.of(request), NetworkShape.of)


@post("/v1/project/{projectId:str}/network", operation_id="network.create", status_code=200)
async def create_network(request: AnyRequest, work: Work, project_id: ProjectPath) -> NetworkShape:
    """Its `networkId` is its alone on the platform."""
    check_project(work, project_id)
    await check(work, "network.create")
    body = read_as(await read_body(request), NetworkBody)
    return NetworkShape.of(await registry.create_network(work, body.draft()))


@get(_PATHS, operation_id="network.get")
async def get_network(request: AnyRequest, work: Work, name: NetworkPath) -> NetworkShape:
    """By id or `networkId`."""
    check_project_if_named(request, work)
    await check(work, "network.read")
    return NetworkShape.of(await registry.get_network(work, name))


@patch(_PATHS, operation_id="network.update")
async def update_network(request: AnyRequest, work: Work, name: NetworkPath) -> NetworkShape:
    """Everything but its `networkId`."""
    check_project_if_named(request, work)
    await check(work, "network.update")
    network = await registry.get_network(work, name)
    body = patched(NetworkBody.of(network), await read_body(request))
    return NetworkShape.of(await registry.change_network(work, network.id, body.change()))


@put(_PATHS)
async def replace_network(request: AnyRequest, work: Work, name: NetworkPath) -> NetworkShape:
    """Everything but its `networkId`, which must be the same."""
    check_project_if_named(request, work)
    await check(work, "network.update")
    network = await registry.get_network(work, name)
    body = read_as(await read_body(request), NetworkBody)
    return NetworkShape.of(await registry.change_network(work, network.id, body.change()))


@delete(_PATHS, operation_id="network.delete", status_code=200)
async def delete_network(request: AnyRequest, work: Work, name: NetworkPath) -> Deleted:
    """One that no device has a name in."""
    check_project_if_named(request, work)
    await check(work, "network.delete")
    network = await registry.get_network(work, name)
    await registry.delete_network(work, network.id)
    return Deleted.of(network.id)


handlers = [list_networks, create_network, get_network, update_network, replace_network, delete_network]
