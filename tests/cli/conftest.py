"""`roadstead` in this process, beside a running platform."""

import json
import sys
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import pytest

from roadstead import cli
from tests.platform import Platform


class Outcome(msgspec.Struct, frozen=True):
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)

    @property
    def rows(self) -> list[str]:
        """The lines of a table without its head."""
        return self.out.splitlines()[1:]


class Roadstead(Protocol):
    """Runs a command: `roadstead("device", "list")`."""

    def __call__(self, *arguments: str) -> Outcome: ...


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Roadstead:
    """A command without a platform; nothing that is set on this machine reaches it."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["roadstead", *arguments])
        capfd.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capfd.readouterr()
        return Outcome(code, said.out, said.err)

    return run


@pytest.fixture
def roadstead(platform: Platform, command: Roadstead, use: Callable[[Platform], None]) -> Roadstead:
    """A command beside the platform that all tests share."""
    use(platform)
    return command


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Platform], None]:
    """From now on commands find this platform."""

    def point_at(platform: Platform) -> None:
        for name, value in platform.environment.items():
            if name.startswith("ROADSTEAD_"):
                monkeypatch.setenv(name, value)

    return point_at
