"""The ledger of the dialect: every operation of the contract, and the truth about each."""

import re

from litestar.routes import HTTPRoute, WebSocketRoute

from roadstead.dialects.lightelligence.app import make_litestar
from roadstead.web.edge import Edge
from roadstead.web.ledger import read_ledger
from tests.dialects.lightelligence.contract import CONTRACT, OPERATIONS

LINES = read_ledger("roadstead.dialects.lightelligence")
_SOCKETS = {"openStream", "openStreamDeprecated"}
_REALM = "/v1/id/auth/realms/olt"


def test_every_operation_of_the_contract_is_served_and_the_legacy_ones_are_told_about() -> None:
    told = [(line.method, line.path, line.operation) for line in LINES]
    expected = [
        (operation["method"], operation["path"], operation["id"])
        for part in ("operations", "oidc_extra", "legacy_operations")
        for operation in CONTRACT[part]
    ]
    assert told == expected
    assert len(OPERATIONS) == 126
    assert [line for line in LINES if line.operation in OPERATIONS and line.status != "served"] == []
    assert [line for line in LINES if line.status not in ("served", "partial", "refused")] == []
    assert [line for line in LINES if line.status != "served" and not line.note] == []


def test_the_ledger_agrees_with_the_router(edge: Edge) -> None:
    served: dict[str, set[tuple[str, str]]] = {}
    sockets: set[str] = set()
    for route in make_litestar(edge).routes:
        if isinstance(route, WebSocketRoute):
            sockets.add(_nameless(route.path_format))
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for method in handler.http_methods - {"OPTIONS", "HEAD"}:
                    if isinstance(handler.operation_id, str):
                        served.setdefault(handler.operation_id, set()).add((str(method), _plain(route.path_format)))

    offered = {line.operation: line for line in LINES if line.status in ("served", "partial")}
    assert {_nameless(line.path) for name, line in offered.items() if name in _SOCKETS} <= sockets
    assert served.keys() == offered.keys()
    for name, places in served.items():
        line = offered[name]
        assert (line.method, _nameless(line.path)) in {(method, _nameless(path)) for method, path in places}, name
        # The realm is found under a second path as well; everything else has one place.
        beside = {path.removeprefix("/v1/id") if line.path.startswith(_REALM) else path for _, path in places}
        assert len(beside) == 1, f"{name}: {places}"


def _plain(path: str) -> str:
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path).rstrip("/") or "/"


def _nameless(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "{}", path)
