"""What every call of the dialect goes through: envelopes, parameters, bodies, errors."""

from typing import Any

import pytest

from tests.conftest import Tenant
from tests.dialects.losant.contract import ACTIONS, Client
from tests.dialects.losant.world import add_application


async def test_an_application_is_of_one_organization_alone(acme: Tenant, globex: Tenant) -> None:
    ours, theirs = await Client.of(acme), await Client.of(globex)
    id_ = await add_application(ours, "Harbour")
    shown = await ours.data("application.get", applicationId=id_)
    assert (shown["name"], shown["applicationId"], shown["_type"]) == ("Harbour", id_, "application")
    assert shown["_links"]["devices"] == {"href": f"/applications/{id_}/devices"}
    assert await theirs.failure("application.get", applicationId=id_) == (404, "NotFound")


async def test_what_a_body_has_wrong_is_named(acme: Tenant) -> None:
    client = await Client.of(acme)
    answer = await client.ask("applications.post", json={"name": "", "colour": "red"})
    assert answer.status_code == 400
    assert answer.json()["type"] == "Validation"
    assert "name" in answer.json()["message"]
    assert "colour" in answer.json()["message"]


@pytest.mark.parametrize(
    ("action", "body", "where"),
    [
        ("applicationKeys.post", {"name": "a\0b"}, "name"),
        ("applicationApiTokens.post", {"name": "a", "description": "\0"}, "description"),
        ("application.patch", {"globals": [{"key": "a", "json": "1", "description": "\0"}]}, "globals/0/description"),
        ("userApiTokens.post", {"name": "\0"}, "name"),
        ("me.patch", {"location": "\0"}, "location"),
        ("auth.authenticateDevice", {"deviceId": "0" * 24, "key": "\0", "secret": "s"}, "key"),
        ("events.post", {"level": "info", "subject": "s", "data": {"\0": [1]}}, "data"),
        ("events.post", {"level": "info", "subject": "s", "data": {"a": ["", "\0"]}}, "data/a/1"),
    ],
)
async def test_a_zero_byte_that_nobody_could_keep_is_refused_by_name(
    acme: Tenant, action: str, body: Any, where: str
) -> None:
    client = await Client.of(acme)
    names = {"applicationId": await add_application(client)} if "{applicationId}" in ACTIONS[action]["path"] else {}
    answer = await client.ask(action, json=body, **names)
    assert (answer.status_code, answer.json()["type"]) == (400, "Validation")
    assert f"{where}: holds a zero byte" in answer.json()["message"]


async def test_without_a_token_nobody_is_let_in(acme: Tenant) -> None:
    answer = await Client(acme).ask("application.get", applicationId="0" * 24)
    assert (answer.status_code, answer.json()) == (401, {"type": "Unauthorized", "message": "Invalid access token"})
