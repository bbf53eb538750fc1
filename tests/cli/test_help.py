"""`roadstead --help` and what is said to those who mistype."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Roadstead

COMMANDS = {
    "": {"up", "doctor", "settings", "migrate", "run", "device", "readings", "tenant", "user", "key", "ca"},
    "device": {"list", "show", "register", "simulate", "tail"},
    "readings": {"latest", "list", "aggregated", "stats"},
    "tenant": {"list", "create", "suspend", "restore"},
    "user": {"list", "create", "add", "set-password"},
    "key": {"list", "create", "revoke"},
    "ca": {"show", "export-root", "import-root"},
}


def every_command() -> Iterator[tuple[str, ...]]:
    """All that can be typed, groups too."""
    for group, names in COMMANDS.items():
        yield (group,) if group else ()
        yield from ((group, name) if group else (name,) for name in sorted(names))


def panels(text: str) -> Iterator[str]:
    """The lines inside the boxes of a help page."""
    for line in text.splitlines():
        if line.startswith("│"):
            yield line.strip("│").strip()


@pytest.mark.parametrize("group", COMMANDS)
def test_help_lists_every_command_with_a_sentence(group: str, command: Roadstead) -> None:
    page = command(*group.split(), "--help")
    assert page.code == 0
    found = {match[1] for line in panels(page.out) if (match := re.match(r"([a-z-]+)  +\w.*", line))}
    assert COMMANDS[group] <= found


@pytest.mark.parametrize("words", list(every_command()), ids=" ".join)
def test_every_parameter_is_explained(words: tuple[str, ...], command: Roadstead) -> None:
    page = command(*words, "--help")
    assert page.code == 0
    for line in panels(page.out):
        if line.startswith(("--", "*")):
            name, _, text = line.removeprefix("*").strip().partition("  ")
            assert text.strip(), f"{name} of {' '.join(words)}"


def test_help_and_version_are_there_at_once() -> None:
    heavy = {"psycopg", "litestar", "chdb", "httpx", "cryptography", "nats"}
    script = "import sys, roadstead.cli\nprint(*[name for name in sys.argv[1:] if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script, *heavy], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []


def test_a_command_that_is_none_and_a_value_that_is_none_are_told(command: Roadstead) -> None:
    unknown = command("devcie", "list")
    assert (unknown.code, "devcie" in unknown.err + unknown.out) == (2, True)
    wrong = command("run", "captain")
    assert (wrong.code, "gateway" in wrong.err + wrong.out) == (2, True)
    missing = command("device", "show")
    assert (missing.code, "DEVICE" in missing.err + missing.out) == (2, True)
