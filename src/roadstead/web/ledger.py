"""Ledgers of dialects: every operation of the original, and what we do about it."""

import csv
import re
from functools import cache
from importlib import resources

import msgspec

_NOT_SERVED = ("planned", "refused")
_PARAMETER = re.compile(r"\\\{\w+\\\}")
ANY = "ANY"
"""In a ledger: whatever the method, and whatever comes after the path as it is written."""


class LedgerLine(msgspec.Struct, frozen=True):
    """One operation of the original."""

    method: str
    path: str
    operation: str
    status: str
    """`served`, `partial`, `planned` or `refused`."""
    note: str


def read_ledger(package: str) -> list[LedgerLine]:
    """Every operation of a dialect, in the order of its contract; `package` is where the dialect lies."""
    with (resources.files(package) / "ledger.tsv").open() as lines:
        return [LedgerLine(**row) for row in csv.DictReader(lines, delimiter="\t")]


def find_refused(package: str, method: str, path: str) -> LedgerLine | None:
    """The operation at this place that is not served, so that a program learns why instead of guessing."""
    return next(
        (line for line, pattern in _refused(package) if line.method in (method, ANY) and pattern.fullmatch(path)),
        None,
    )


@cache
def _refused(package: str) -> list[tuple[LedgerLine, re.Pattern[str]]]:
    lines = [line for line in read_ledger(package) if line.status in _NOT_SERVED]
    # A path that is written out goes before one that has a parameter there.
    return [(line, _pattern(line)) for line in sorted(lines, key=lambda line: line.path.count("{"))]


def _pattern(line: LedgerLine) -> re.Pattern[str]:
    path = _PARAMETER.sub("[^/]+", re.escape(line.path))
    return re.compile(f"{path}(/.*)?" if line.method == ANY else path)
