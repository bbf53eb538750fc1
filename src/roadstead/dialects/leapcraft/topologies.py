"""/v1/topologies: gateways with the devices behind them."""

from typing import Any

import msgspec
from litestar import get

from roadstead.core import registry
from roadstead.core.registry import Topology
from roadstead.core.work import Work
from roadstead.dialects.leapcraft.devices import spell_address, spell_meta, spell_name, spell_type
from roadstead.dialects.leapcraft.times import spell_plain_time, spell_time


class ListedDeviceShape(msgspec.Struct, frozen=True):
    """`TopologyListDevice`: here it is `metadata`."""

    physical_id: str
    name: str | None
    type: str | None
    metadata: dict[str, Any]


class TopologyShape(msgspec.Struct, frozen=True):
    """`Topology`. We have no networks: `network_id` is null."""

    gateway_id: str
    name: str | None
    created_at: str
    devices: list[ListedDeviceShape]
    network_id: int | None = None

    @classmethod
    def of(cls, topology: Topology) -> "TopologyShape":
        """From one of ours."""
        gateway = topology.gateway
        devices = [
            ListedDeviceShape(spell_address(each), spell_name(each), spell_type(each), spell_meta(each))
            for each in topology.devices
        ]
        return cls(spell_address(gateway), spell_name(gateway), spell_time(gateway.created_at), devices)


class MemberShape(msgspec.Struct, frozen=True):
    """`TopologyDetailDevice`."""

    physical_id: str
    topology_id: int
    name: str | None


class TopologyDetailShape(msgspec.Struct, frozen=True):
    """`TopologyDetail`: no network, and another form of time."""

    gateway_id: str
    created_at: str
    name: str | None
    devices: list[MemberShape]

    @classmethod
    def of(cls, topology: Topology) -> "TopologyDetailShape":
        """From one of ours."""
        gateway = topology.gateway
        devices = [MemberShape(spell_address(each), gateway.ordinal, spell_name(each)) for each in topology.devices]
        return cls(spell_address(gateway), spell_plain_time(gateway.created_at), spell_name(gateway), devices)


@get("/v1/topologies", operation_id="topologies.list")
async def list_topologies(work: Work) -> list[TopologyShape]:
    """All of them, by gateway."""
    return [TopologyShape.of(topology) for topology in await registry.list_topologies(work)]


@get("/v1/topologies/{topology_id:str}", operation_id="topologies.get")
async def get_topology(work: Work, topology_id: str) -> TopologyDetailShape:
    """One, by the id of its gateway or by its number."""
    return TopologyDetailShape.of(await registry.find_topology(work, topology_id))
