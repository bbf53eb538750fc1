"""Operations of the contract that are not offered: named in the ledger, refused in the API's own words."""

import csv
import re
from functools import cache
from importlib import resources

import msgspec

_PARAMETER = re.compile(r"\\\{\w+\\\}")


class LedgerLine(msgspec.Struct, frozen=True):
    """One operation of the original, and what we do about it."""

    method: str
    path: str
    operation: str
    status: str
    """`served`, `partial` or `refused`."""
    note: str


def read_ledger() -> list[LedgerLine]:
    """Every operation of contracts/platform.yaml, in its order."""
    with (resources.files("roadstead.dialects.native") / "ledger.tsv").open() as lines:
        return [LedgerLine(**row) for row in csv.DictReader(lines, delimiter="\t")]


def find_refusal(method: str, path: str) -> LedgerLine | None:
    """The refused operation at this place, so that a program learns why instead of guessing."""
    return next((line for line, pattern in _refused() if line.method == method and pattern.fullmatch(path)), None)


@cache
def _refused() -> list[tuple[LedgerLine, re.Pattern[str]]]:
    return [
        (line, re.compile(_PARAMETER.sub("[^/]+", re.escape(line.path))))
        for line in read_ledger()
        if line.status == "refused"
    ]
