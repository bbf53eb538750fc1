"""The ledger of the dialect: every operation of the contract, and the truth about each."""

import re

import pytest
from litestar.routes import HTTPRoute

from roadstead.dialects.leverege.app import make_litestar
from roadstead.web.edge import Edge
from roadstead.web.ledger import LedgerLine, read_ledger
from tests.conftest import Tenant
from tests.dialects.leverege.contract import CONTRACT, OPERATIONS, Client

LINES = read_ledger("roadstead.dialects.leverege")
OFFERED = [line for line in LINES if line.status in ("served", "partial")]
REFUSED = [line for line in LINES if line.status == "refused"]


def test_every_operation_of_the_contract_is_there_and_what_is_not_served_says_why() -> None:
    told = [(line.method, line.path, line.operation) for line in LINES]
    assert told == [(each["method"], each["path"], each["id"]) for each in CONTRACT["operations"]]
    assert len(OPERATIONS) == len(LINES)
    assert [line for line in LINES if line.status not in ("served", "partial", "refused")] == []
    assert [line for line in LINES if line.status != "served" and not line.note] == []


def test_the_ledger_agrees_with_the_router(edge: Edge) -> None:
    served: dict[str, set[tuple[str, str]]] = {}
    for route in make_litestar(edge).routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for method in handler.http_methods - {"OPTIONS", "HEAD"}:
                    if isinstance(handler.operation_id, str):
                        served.setdefault(handler.operation_id, set()).add((str(method), _form(route.path_format)))

    offered = {line.operation: line for line in OFFERED}
    assert served.keys() == offered.keys()
    for name, places in served.items():
        place = OPERATIONS[name]["path"]
        beside = [
            each for told in OPERATIONS.values() if told["path"] == place for each in told.get("path_aliases", [])
        ]
        told = {_form(path) for path in (offered[name].path, *beside)}
        assert (offered[name].method, _form(offered[name].path)) in places, name
        assert {path for _, path in places} <= told, f"{name}: {places}"
        assert {method for method, _ in places} == {offered[name].method}, name


async def test_what_is_refused_says_why_in_the_envelope_of_the_dialect(acme: Tenant) -> None:
    client = await Client.of(acme)
    for line in REFUSED:
        answer = await client.http.request(line.method, _filled(line))
        body = answer.json()
        assert (answer.status_code, body["status"], body["code"]) == (501, 501, "not-offered"), line.operation
        assert body["message"] == f"{line.operation} is not offered here: {line.note}"


@pytest.mark.parametrize("operation", ["script.create", "scenario.create", "device.start-sim", "script.deploy"])
def test_code_of_projects_and_simulations_are_refused(operation: str) -> None:
    assert operation in {line.operation for line in REFUSED}


def _form(path: str) -> str:
    """Without the names of parameters and a slash at the end."""
    return re.sub(r"\{[^}]+\}|:\w+", "{}", path).rstrip("/") or "/"


def _filled(line: LedgerLine) -> str:
    return re.sub(r"\{[^}]+\}", "0000000000000000000000", line.path).rstrip("/")
