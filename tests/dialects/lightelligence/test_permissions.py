"""Every route asks for the permissions that the contract names, and says no in the words of its service."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from roadstead.core import identity
from roadstead.core.identity import Permission, RoleChange
from roadstead.dialects import lightelligence
from roadstead.dialects.lightelligence.app import make_litestar
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import new_id
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import CONTRACT, OPERATIONS, Client, check_answer, code_of
from tests.dialects.lightelligence.team import Member, add_role, give, join
from tests.people import actor_of, work_of

_LEDGER = Path(lightelligence.__file__).parent / "ledger.tsv"
OFFERED = {
    line["operation"]
    for line in csv.DictReader(_LEDGER.open(), delimiter="\t")
    if line["status"] in ("served", "partial")
}
GUARDED = {
    name: frozenset(told["auth"].get("permissions", ()))
    for name, told in OPERATIONS.items()
    if name in OFFERED and told["auth"]["token"] not in ("none", "ws_token")
}
"""What the contract asks for, of the operations that are offered."""


def handlers(edge: Edge) -> Iterator[tuple[str, HTTPRouteHandler]]:
    """Routes of the dialect by the operation they are."""
    for route in make_litestar(edge).routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if isinstance(handler.operation_id, str):
                    yield handler.operation_id, handler


async def call(client: Client, operation: str) -> tuple[int, str]:
    """Status and code of an operation about things that nobody knows."""
    told = OPERATIONS[operation]
    names = {name: str(new_id()) for name in told.get("path_params", {})}
    if told["auth"]["token"] == "user_self" and isinstance(client, Member):
        names["userId"] = client.id
    answer = await client.http.request(told["method"], told["path"].format(**names))
    check_answer(operation, answer)
    return answer.status_code, code_of(answer)


def expected(operation: str, status: int) -> list[str]:
    """The codes that the contract has for a status of an operation; none when it does not say."""
    known = (OPERATIONS[operation].get("errors") or {}).get(status)
    codes = [known] if isinstance(known, str) else list(known or [])
    return [code for code in codes if code != "ingest-envelope"]


def test_every_route_asks_for_what_the_contract_says(edge: Edge) -> None:
    asked: dict[str, set[frozenset[Any]]] = {}
    kinds: dict[str, set[str]] = {}
    for operation, handler in handlers(edge):
        asked.setdefault(operation, set()).add(frozenset(handler.opt.get("permissions", ())))
        kinds.setdefault(operation, set()).add(handler.opt.get("token", "tenant"))

    assert {name: asked.get(name) for name in GUARDED if asked.get(name) != {GUARDED[name]}} == {}
    told = {name: OPERATIONS[name]["auth"]["token"] for name in GUARDED}
    assert {name: (kinds[name], told[name]) for name in GUARDED if kinds[name] != {told[name]}} == {}


async def test_without_a_token_every_operation_answers_401(acme: Tenant) -> None:
    nobody, wrong = Client(acme), Client(acme, "x.y.z")
    for operation in GUARDED:
        for client in (nobody, wrong):
            status, code = await call(client, operation)
            assert status == 401, operation
            assert code in (expected(operation, 401) or [code]), operation


async def test_all_permissions_but_those_that_are_asked_for_are_not_enough(acme: Tenant) -> None:
    owner, weak = await join(acme), await join(acme, Role.MEMBER)
    role = await add_role(owner, "All but", Permission.DEVICES_STATES_READ)
    await give(owner, weak.id, role)
    actor = await actor_of(acme, owner.person)

    by_need: dict[frozenset[Any], list[str]] = {}
    for operation, needed in GUARDED.items():
        if needed:
            by_need.setdefault(needed, []).append(operation)
    for needed, operations in by_need.items():
        left = [one for one in Permission if one not in needed]
        async with work_of(acme.edge, actor) as work:
            await identity.change_role(work, UUID(role["id"]), RoleChange(permissions=left))
        for operation in operations:
            status, code = await call(weak, operation)
            assert status == 403, operation
            assert code in (expected(operation, 403) or [code]), operation


async def test_what_is_for_applications_is_not_for_people(acme: Tenant) -> None:
    owner = await join(acme)
    for operation in GUARDED:
        if OPERATIONS[operation]["auth"]["token"] == "client":
            assert (await call(owner, operation))[0] == 403, operation


def test_the_permissions_of_the_contract_are_ours() -> None:
    assert {str(one) for one in Permission} == set(CONTRACT["auth_model"]["permissions"])
