"""The ledger of the dialect: every action of the contract, and the truth about each."""

import re

import pytest

from roadstead.web.ledger import LedgerLine, read_ledger
from tests.conftest import Tenant
from tests.dialects.losant.contract import ACTIONS, Client, routes_of

LINES = read_ledger("roadstead.dialects.losant")
OFFERED = {line.operation for line in LINES if line.status in ("served", "partial")}
OTHERS = [line for line in LINES if line.operation not in OFFERED]


def test_every_action_of_the_contract_is_there_and_what_is_not_served_says_why() -> None:
    told = [(line.method, line.path, line.operation) for line in LINES]
    assert told == [(action["method"], action["path"], name) for name, action in ACTIONS.items()]
    assert len(LINES) == 380
    assert [line for line in LINES if line.status not in ("served", "partial", "planned", "refused")] == []
    assert [line for line in LINES if line.status != "served" and not line.note] == []


def test_of_the_first_tier_only_what_makes_no_sense_here_is_refused() -> None:
    refused = [line.operation for line in OTHERS if ACTIONS[line.operation]["tier"] == 1]
    assert refused == [name for name in refused if ACTIONS[name].get("defer")]
    assert {line.status for line in OTHERS if ACTIONS[line.operation]["tier"] == 1} == {"refused"}


def test_the_ledger_agrees_with_the_router(acme: Tenant) -> None:
    assert {str(route.operation_id) for route in routes_of(acme)} - {"whitelabels.domain"} == OFFERED


@pytest.mark.parametrize("token", [True, False])
async def test_what_is_not_offered_says_so_in_the_envelope_of_the_dialect(acme: Tenant, token: bool) -> None:
    client = await Client.of(acme) if token else Client(acme)
    for line in OTHERS:
        answer = await client.http.request(line.method, _filled(line), json={})
        told = {"type": "NotImplemented", "message": f"{line.operation} is not offered here: {line.note}"}
        assert (answer.status_code, answer.json()) == (501, told), line.operation


def _filled(line: LedgerLine) -> str:
    return re.sub(r"\{[^}]+\}", "0" * 24, line.path)
