"""Somebody else on the same platform."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.platform import Platform


@pytest.fixture(scope="session")
def stranger_key(platform: Platform) -> str:
    """The key of another organization."""
    created = platform.command("tenant", "create", "Globex", "--owner", "owner@globex.test", "--json")
    assert created.returncode == 0, created.stderr
    return str(json.loads(created.stdout)["apiKey"])


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
