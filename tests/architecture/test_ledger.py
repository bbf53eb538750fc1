"""The ledger of the native API: every operation of the contract, and the truth about each."""

from pathlib import Path
from typing import Any

import yaml
from litestar import Litestar
from litestar.routes import HTTPRoute

from roadstead.dialects import native
from roadstead.dialects.native.app import make_litestar
from roadstead.dialects.native.refusals import read_ledger
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.golden_files import check_golden

_CONTRACT = Path(__file__).parents[2] / "contracts" / "platform.yaml"
_LEDGER = Path(native.__file__).parent / "ledger.tsv"
_NOT_YET = "not part of this version"


def served_operations(app: Litestar) -> dict[str, tuple[str, str]]:
    """Operation id -> method and path of every route that does something."""
    found = {}
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if handler.operation_id:
                    for method in handler.http_methods - {"OPTIONS", "HEAD"}:
                        path = route.path_format
                        found[str(handler.operation_id)] = (str(method), path)
    return found


def contract_operations() -> list[dict[str, Any]]:
    """The operations of the contract, in its order."""
    operations: list[dict[str, Any]] = yaml.safe_load(_CONTRACT.read_text())["operations"]
    return operations


def test_the_ledger_has_every_operation_and_agrees_with_the_router(edge: Edge) -> None:
    served = served_operations(make_litestar(edge))
    notes = {line.operation: line for line in read_ledger()}
    lines = ["method\tpath\toperation\tstatus\tnote"]
    for operation in contract_operations():
        known = notes.get(operation["id"])
        if operation["id"] not in served:
            status, note = "refused", known.note if known and known.status == "refused" and known.note else _NOT_YET
        elif known and known.status == "partial":
            status, note = "partial", known.note
        else:
            status, note = "served", known.note if known and known.status == "served" else ""
        lines.append("\t".join([operation["method"], operation["path"], operation["id"], status, note]))

    check_golden(_LEDGER, "\n".join(lines) + "\n")


def test_every_route_is_an_operation_of_the_contract_at_its_method_and_path(edge: Edge) -> None:
    contract = {operation["id"]: (operation["method"], operation["path"]) for operation in contract_operations()}
    for name, place in served_operations(make_litestar(edge)).items():
        assert name in contract, f"{name} is not in the contract: add it there, marked as designed"
        assert place == contract[name]


async def test_an_operation_that_is_not_offered_says_so(acme: Tenant) -> None:
    refused = next(line for line in read_ledger() if line.status == "refused")
    answer = await acme.api.request(refused.method, refused.path.replace("{", "").replace("}", ""))

    assert (answer.status_code, answer.json()["code"]) == (501, "not-enabled")
    assert refused.operation in answer.json()["detail"]
