"""Which token opens what: the scopes of every action, and sweeps over all that is served."""

import re

import httpx
import pytest

from roadstead.dialects.losant.scopes import may_call
from roadstead.kernel.ids import new_id, to_hex24
from roadstead.web.ledger import read_ledger
from tests.conftest import Tenant
from tests.dialects.losant.contract import ACTIONS, Client, routes_of
from tests.dialects.losant.world import add_application, add_device

SERVED = [line.operation for line in read_ledger("roadstead.dialects.losant") if line.status in ("served", "partial")]
WITH_TOKEN = [name for name in SERVED if ACTIONS[name]["auth"] == "token"]
OWNERS = ("User", "Organization", "Application", "Instance", "Device")
FORMS = [f"{reach}.{owner}{end}" for reach in ("all", "only") for owner in OWNERS for end in ("", ".read", ".bounded")]
FORMS += ["all.User.cli", "all.Application.cli", "webhooks.*", "webhook.get"]
_PLACE = re.compile(r"\{(\w+)(?::\w+)?\}")


@pytest.mark.parametrize("action", WITH_TOKEN)
def test_every_scope_opens_just_what_the_contract_says(action: str) -> None:
    resource, _, name = action.partition(".")
    forms = [*FORMS, f"{resource}.*", action, f"{resource}s.*", f"{resource}.{name}s", f"*.{name}", resource, "*", ""]
    for form in forms:
        assert may_call(action, [form]) is (form in ACTIONS[action]["scopes"]), form
    assert may_call(action, [*FORMS])
    assert not may_call(action, [])
    assert f"{resource}.*" in ACTIONS[action]["scopes"]


def test_every_route_is_the_action_of_its_name(acme: Tenant) -> None:
    found = set()
    for route in routes_of(acme):
        if route.operation_id == "whitelabels.domain":
            continue  # In no client's list (contract section 30).
        action = ACTIONS[str(route.operation_id)]
        paths = {_PLACE.sub(r"{\1}", path) for path in route.paths}
        assert (paths, route.http_methods) == ({action["path"]}, {action["method"]}), route.operation_id
        assert (route.opt.get("token") == "none") is (action["auth"] == "none"), route.operation_id
        found.add(route.operation_id)
    assert found >= set(SERVED)


async def sweep(client: Client, **ids: str) -> dict[str, httpx.Response]:
    """What every action with a token answers, with these ids in its path and others nobody has."""
    answers = {}
    for action in WITH_TOKEN:
        names = _PLACE.findall(ACTIONS[action]["path"])
        path = ACTIONS[action]["path"].format(**{name: ids.get(name, to_hex24(new_id())) for name in names})
        answers[action] = await client.http.request(ACTIONS[action]["method"], path, json={})
    return answers


def kinds(answers: dict[str, httpx.Response]) -> dict[str, tuple[int, str]]:
    """Status and type of each, all of which failed."""
    return {action: (answer.status_code, answer.json()["type"]) for action, answer in answers.items()}


async def test_without_a_credential_nothing_is_answered(acme: Tenant) -> None:
    application = await add_application(await Client.of(acme))
    answers = kinds(await sweep(Client(acme), applicationId=application))
    assert answers == dict.fromkeys(WITH_TOKEN, (401, "Unauthorized"))


async def test_another_organization_sees_nothing_of_an_application(acme: Tenant, globex: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device = await add_device(client, application)
    answers = await sweep(await Client.of(globex), applicationId=application, deviceId=device)
    within = {action: answers[action] for action in answers if "{applicationId}" in ACTIONS[action]["path"]}
    assert kinds(within) == dict.fromkeys(within, (404, "NotFound"))


async def test_a_token_of_another_application_sees_nothing_of_it(acme: Tenant) -> None:
    client = await Client.of(acme)
    application, other = await add_application(client), await add_application(client)
    made = await client.data("applicationApiTokens.post", applicationId=other, json={"name": "t"})
    answers = kinds(await sweep(Client(acme, made["token"]), applicationId=application))
    for action, kind in answers.items():
        opened = "all.Application" in ACTIONS[action]["scopes"]
        assert kind == ((404, "NotFound") if opened else (403, "Forbidden")), action


async def test_a_token_for_something_else_does_nothing(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    own = await client.data("userApiTokens.post", json={"name": "t", "scope": ["webhook.get"]})
    answers = kinds(await sweep(Client(acme, own["token"]), applicationId=application))
    assert answers == dict.fromkeys(WITH_TOKEN, (403, "Forbidden"))


async def test_a_device_reaches_what_is_for_devices_and_none_but_itself(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device, other = await add_device(client, application), await add_device(client, application)
    key = await client.data("applicationKeys.post", applicationId=application, json={"deviceIds": [device]})
    credentials = {"deviceId": device, "key": key["key"], "secret": key["secret"]}
    program = Client(acme, (await client.data("auth.authenticateDevice", json=credentials))["token"])
    answers = await sweep(program, applicationId=application, deviceId=other)
    for action, answer in answers.items():
        told = ACTIONS[action]
        if "all.Device" not in told["scopes"]:
            assert answer.status_code == 403, action
        elif "{deviceId}" in told["path"]:
            assert answer.status_code == 404, action
