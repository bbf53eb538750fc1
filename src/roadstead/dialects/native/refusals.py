"""Operations of the contract that are not offered: named in the ledger, refused in the API's own words."""

from roadstead.web import ledger
from roadstead.web.ledger import LedgerLine

_HERE = "roadstead.dialects.native"


def read_ledger() -> list[LedgerLine]:
    """Every operation of contracts/platform.yaml, in its order."""
    return ledger.read_ledger(_HERE)


def find_refusal(method: str, path: str) -> LedgerLine | None:
    """The refused operation at this place."""
    return ledger.find_refused(_HERE, method, path)
