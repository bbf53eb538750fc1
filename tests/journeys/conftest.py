"""Somebody else on the same platform."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.journeys.faces import Faces, programs
from tests.platform import Platform


@pytest.fixture(scope="session")
def globex(platform: Platform) -> dict[str, str]:
    """Another organization and its owner, with their secrets."""
    created = platform.command("tenant", "create", "Globex", "--owner", "owner@globex.test", "--json")
    assert created.returncode == 0, created.stderr
    told: dict[str, str] = json.loads(created.stdout)
    return told


@pytest.fixture(scope="session")
def stranger_key(globex: dict[str, str]) -> str:
    """The key of another organization."""
    return globex["apiKey"]


@pytest.fixture
def stranger(platform: Platform, stranger_key: str) -> Iterator[httpx.Client]:
    """A client of another organization."""
    with platform.client(stranger_key) as client:
        yield client


@pytest.fixture
def api(platform: Platform) -> Iterator[httpx.Client]:
    """A client of the first owner's organization."""
    with platform.client() as client:
        yield client


@pytest.fixture(scope="session")
def faces(platform: Platform) -> Iterator[Faces]:
    """Programs of the first owner's organization, one for each API."""
    with programs(platform, platform.credentials) as made:
        yield made


@pytest.fixture(scope="session")
def strangers(platform: Platform, globex: dict[str, str]) -> Iterator[Faces]:
    """Programs of the other organization."""
    with programs(platform, globex) as made:
        yield made
