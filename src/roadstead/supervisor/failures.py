"""Why it does not start, in one sentence for people."""

import errno
from pathlib import Path
from typing import Any

import msgspec

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space, or set ROADSTEAD_DATA_DIR to a larger disk",
    errno.EDQUOT: "the disk quota is used up: free some space, or set ROADSTEAD_DATA_DIR to another disk",
    errno.EROFS: "it is on a read-only file system: set ROADSTEAD_DATA_DIR to one that can be written",
    errno.EACCES: "this account may not use it: change its owner, or set ROADSTEAD_DATA_DIR to a directory of yours",
    errno.EPERM: "this account may not use it: change its owner, or set ROADSTEAD_DATA_DIR to a directory of yours",
    errno.ENOLCK: "its file system has no locks: set ROADSTEAD_DATA_DIR to a local disk",
    errno.ENOTDIR: "a file is in the way: set ROADSTEAD_DATA_DIR to a directory",
    errno.EEXIST: "a file is in the way: set ROADSTEAD_DATA_DIR to a directory",
}

# What the servers themselves write when it happens to them, PostgreSQL and NATS alike, in lower case.
_SPOKEN = {
    "no space left on device": errno.ENOSPC,
    "disk quota exceeded": errno.EDQUOT,
    "read-only file system": errno.EROFS,
    "permission denied": errno.EACCES,
}


class StartError(Exception):
    """It cannot start. The message is one sentence that says what is wrong and which setting or step helps."""


def explain(error: OSError, directory: Path) -> StartError:
    """What this failure under the data directory means for the person who started us."""
    reason = _ADVICE.get(error.errno or 0, error.strerror or str(error))
    return StartError(f"cannot use {error.filename or directory}: {reason}")


def explain_log(name: str, what: str, log: Path, tail: str) -> StartError:
    """What the last words of a child mean; `what` says how it went down."""
    for words, number in _SPOKEN.items():
        if words in tail.lower():
            return StartError(f"{name} {what}: {_ADVICE[number]} (see {log})")
    lines = [_plain(line.strip()) for line in tail.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if "FATAL" in line or "rror" in line), lines[-1] if lines else "")
    return StartError(f"{name} {what}{': ' + last[:300] if last else ''} (see {log})")


def _plain(line: str) -> str:
    """What a line of a log says; our own are JSON, with the trace where there is one."""
    try:
        said = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError:
        return line
    trace = str(said.get("exception", "")).strip().splitlines()
    if trace:
        return trace[-1]
    return f"{said.get('level')}: {said.get('event')}"
