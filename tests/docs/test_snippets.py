"""Whoever types what the pages show sees what the pages say."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.docs.snippets import Snippet, find_difference, find_missing, read_snippets, run_snippets
from tests.platform import Platform

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
_PAGES = [_ROOT / "README.md", *sorted(_DOCS.glob("guide/*.md")), *sorted(_DOCS.glob("dialects/*.md"))]
_PROGRAMS = ("curl", "jq", "openssl")
_EMAIL, _SLUG = "owner@guides.test", "my-organization-guides"


@pytest.fixture(scope="module")
def data_dir(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as a reader finds it, of an organization that is only there for the pages."""
    created = platform.command("tenant", "create", "My organization", "--owner", _EMAIL, "--slug", _SLUG, "--json")
    assert created.returncode == 0, created.stderr
    directory = tmp_path_factory.mktemp("guides") / ".roadstead"
    directory.mkdir()
    (directory / "credentials.json").write_text(json.dumps({"url": platform.url} | json.loads(created.stdout)))
    (directory / "mail").symlink_to(platform.directory / "mail")
    return directory


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_is_what_happens(page: Path, platform: Platform, data_dir: Path, tmp_path: Path) -> None:
    snippets = read_snippets(page)
    assert snippets, f"{page.name} shows nothing"
    if missing := find_missing(snippets, _PROGRAMS):
        pytest.skip(f"{page.name} needs {', '.join(missing)}")
    (tmp_path / ".roadstead").symlink_to(data_dir)
    instead = {
        "localhost:8080": f"localhost:{platform.ports['HTTP']}",
        "8443": str(platform.ports["HTTPS"]),
        "1883": str(platform.ports["MQTT"]),
        "8883": str(platform.ports["MQTTS"]),
        "8083": str(platform.ports["MQTT_WEBSOCKET"]),
        "owner@roadstead.local": _EMAIL,
        "my-organization": _SLUG,
        # The same, in a second: the whole of it is what the journeys look at.
        "make demo": "roadstead device simulate --devices 2 --rows 300",
    }
    environment = platform.environment | {
        "ROADSTEAD_DATA_DIR": str(data_dir),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "COLUMNS": "120",
        "TERM": "dumb",
    }

    printed = run_snippets(snippets, directory=tmp_path, environment=environment, instead=instead)

    for snippet, text in zip(snippets, printed, strict=True):
        difference = find_difference(snippet, text, instead=instead)
        assert difference is None, f"{page.name}:{snippet.line} does not print: {difference}\nbut:\n{text}"


@pytest.mark.parametrize(
    ("shown", "printed", "difference"),
    [
        ("a 1\nb 2", "a 1\nb 2\n", None),
        ("a 1\nb 3", "a 1\nb 2\n", "b 3"),
        ("a 1", "a 1\nb 2\n", "(nothing more, but there was: b 2)"),
        ("a …\n…\nc", "a 1\nb\nb\nc\n", None),
        ('"at": "2026-01-01T00:00:00Z"', '"at": "2027-01-01T00:00:00.5Z"', None),
        ('"timestamp": "2026-01-01T00:00:00Z"', '"timestamp": "2027-01-01T00:00:00Z"', "timestamp"),
        ("6b0144b7-7001-8233-8000-0009d80114e5 of :8080", "6b0144b7-7001-8233-8000-000000000000 of :9999", None),
    ],
)
def test_what_a_page_shows_is_compared_but_for_what_must_differ(
    shown: str, printed: str, difference: str | None
) -> None:
    found = find_difference(Snippet("sh", "", 1, output=shown), printed, instead={"8080": "9999"})

    assert (found is None) if difference is None else (found is not None and difference in found)


def test_a_block_that_fails_is_named_by_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```sh run\ntrue\n```\n\n```sh run\nls nowhere\n```\n")

    with pytest.raises(AssertionError, match="the block at line 7 failed"):
        run_snippets(read_snippets(page), directory=tmp_path, environment=os.environ, instead={})
