"""The lock files say the same as pyproject.toml."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parents[2]
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text())


def _locked(*names: str) -> dict[str, str]:
    lines = [line for name in names for line in (_ROOT / name).read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}


@pytest.mark.parametrize("text", [*_PROJECT["project"]["dependencies"], *_PROJECT["build-system"]["requires"]])
def test_what_the_platform_needs_is_locked(text: str) -> None:
    requirement = Requirement(text)
    version = _locked("requirements.lock").get(canonicalize_name(requirement.name))
    assert version is not None, "run 'make lock'"
    assert requirement.specifier.contains(version), "run 'make lock'"


@pytest.mark.parametrize("text", _PROJECT["project"]["optional-dependencies"]["dev"])
def test_what_the_tests_need_is_locked(text: str) -> None:
    requirement = Requirement(text)
    locked = _locked("requirements.lock", "requirements-dev.lock")
    version = locked.get(canonicalize_name(requirement.name))
    assert version is not None, "run 'make lock'"
    assert requirement.specifier.contains(version), "run 'make lock'"


def test_a_lock_names_no_host() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert "://" not in (_ROOT / name).read_text()
