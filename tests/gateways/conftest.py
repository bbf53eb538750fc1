"""A gateway for each test that asks for one."""

from collections.abc import Iterator

import pytest

from roadstead.gateways.mqtt.packets import V5, V311
from tests.gateways.harness import Device, Door


@pytest.fixture
def door() -> Iterator[Door]:
    """An open door."""
    with Door() as door:
        yield door


@pytest.fixture(params=[V311, V5], ids=["mqtt311", "mqtt5"])
def version(request: pytest.FixtureRequest) -> int:
    """Each version of the protocol in turn."""
    level: int = request.param
    return level


@pytest.fixture
def device(door: Door) -> Device:
    """A device that may come in."""
    return door.add_device()
