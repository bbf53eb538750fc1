"""Who the embedded servers run as. PostgreSQL refuses root, so as root they get an unprivileged account."""

import os
import pwd
from pathlib import Path

import msgspec

from roadstead.supervisor.failures import StartError, explain

_CANDIDATES = ("postgres", "nobody")


class Account(msgspec.Struct, frozen=True):
    """An account that exists on this machine."""

    name: str
    uid: int
    gid: int


def choose_account(directory: Path) -> Account | None:
    """The account for servers that keep their data in `directory`; None: ourselves, as we are not root.

    Data that is there already keeps its owner, so that a directory made by an ordinary user stays that user's.
    """
    if os.geteuid() != 0:
        return None
    owner = directory.stat().st_uid if directory.exists() else 0
    for known in (_by_uid(owner) if owner else None, *map(_by_name, _CANDIDATES)):
        if known is not None:
            return known
    raise StartError("PostgreSQL does not run as root and there is neither an account 'postgres' nor 'nobody': add one")


def _by_uid(uid: int) -> Account | None:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _by_name(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def own_directory(path: Path, account: Account | None) -> Path:
    """Make a directory that only this account can enter. Raises `StartError` when it is somebody else's."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        owner = account.uid if account else os.geteuid()
        if account and found.st_uid == 0:
            for inner in (*path.rglob("*"), path):  # new and empty, or put back by root from a copy
                os.chown(inner, account.uid, account.gid, follow_symlinks=False)
        elif found.st_uid != owner:
            name = known.name if (known := _by_uid(found.st_uid)) else str(found.st_uid)
            raise StartError(
                f"{path} belongs to the account '{name}': run as that account or as root, or set ROADSTEAD_DATA_DIR"
            )
        path.chmod(0o700)
    except OSError as error:
        raise explain(error, path) from error
    return path


def own_file(path: Path, content: str, account: Account | None) -> None:
    """Write a file that only this account can read, in one step: a reader sees the old content or the new."""
    draft = path.with_name(path.name + ".new")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if account:
            os.chown(draft, account.uid, account.gid)
        draft.replace(path)
    except OSError as error:
        raise explain(error, path) from error


def reachable(directory: Path, account: Account | None) -> tuple[str, int]:
    """A name for this directory that the account can use, and the descriptor that must be open to use it.

    The account owns the directory and yet may be barred from one above it (/root, or the data directory itself). A
    descriptor that we opened gets it in without widening the rights of anything on the way.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise explain(error, directory) from error
    return (f"/proc/self/fd/{descriptor}" if account else str(directory)), descriptor
