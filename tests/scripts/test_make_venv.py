"""How pip gets onto a machine that has none: from the index that pip is configured for, and only the published one."""

import base64
import hashlib
import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

_SCRIPT = Path(__file__).parents[2] / "scripts" / "make_venv.py"
_WHEEL = b"the published pip"


class _Index(BaseHTTPRequestHandler):
    """A package index that asks for a password and answers as `page` says."""

    page: tuple[str, bytes] = ("", b"")
    wheel = _WHEEL

    def do_GET(self) -> None:
        if self.headers["Authorization"] != "Basic " + base64.b64encode(b"me:secret").decode():
            self.send_error(401)
            return
        kind, content = ("application/octet-stream", self.wheel) if self.path.endswith(".whl") else self.page
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def index() -> Iterator[str]:
    """Its address, for PIP_INDEX_URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Index)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://me:secret@127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    server.server_close()


@pytest.fixture
def make_venv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, on a machine without any configuration of pip."""
    for name in ("PIP_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "PIP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = importlib.util.spec_from_file_location("make_venv", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PIP_SHA256", hashlib.sha256(_WHEEL).hexdigest())
    return module


def _html(wheel: str) -> tuple[str, bytes]:
    page = f'<a href="old/pip-9.0-py3-none-any.whl">old</a><a href="../files/{wheel}#sha256=0">new</a>'
    return "text/html", page.encode()


def _json(wheel: str) -> tuple[str, bytes]:
    page = {"files": [{"url": "/files/pip-9.0-py3-none-any.whl"}, {"url": f"/files/{wheel}"}]}
    return "application/vnd.pypi.simple.v1+json", json.dumps(page).encode()


@pytest.mark.parametrize("spell", [_html, _json])
def test_pip_comes_from_the_index_of_the_environment(
    make_venv: ModuleType, index: str, monkeypatch: pytest.MonkeyPatch, spell: object
) -> None:
    assert callable(spell)
    monkeypatch.setattr(_Index, "page", spell(make_venv.PIP_WHEEL))
    monkeypatch.setenv("PIP_INDEX_URL", index)
    assert make_venv.fetch_pip() == _WHEEL


def test_pip_comes_from_the_index_of_a_configuration_file(
    make_venv: ModuleType, index: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_Index, "page", _html(make_venv.PIP_WHEEL))
    file = tmp_path / "pip.conf"
    file.write_text(f"[global]\nindex-url = {index}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    assert make_venv.fetch_pip() == _WHEEL


def test_a_changed_pip_is_refused_and_the_password_is_not_shown(
    make_venv: ModuleType, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Index, "page", _html(make_venv.PIP_WHEEL))
    monkeypatch.setattr(_Index, "wheel", b"something else")
    monkeypatch.setenv("PIP_INDEX_URL", index)
    with pytest.raises(SystemExit, match="its hash is wrong") as refusal:
        make_venv.fetch_pip()
    assert "secret" not in str(refusal.value)


def test_an_index_without_it_says_what_helps(
    make_venv: ModuleType, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Index, "page", _html("pip-1.0-py3-none-any.whl"))
    monkeypatch.setenv("PIP_INDEX_URL", index)
    with pytest.raises(SystemExit, match="apt-get install python3-venv"):
        make_venv.fetch_pip()
