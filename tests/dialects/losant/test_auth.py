"""Where tokens come from: signing in as a person or as a device, renewing, another password."""

import base64
import json
from typing import Any

import pytest

from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import new_id, to_hex24
from tests.conftest import Tenant
from tests.core.identity.test_totp import let_step_pass, turn_on
from tests.dialects.losant.contract import Client
from tests.dialects.losant.world import add_application, add_device
from tests.people import PASSWORD, add_person, last_actions, sign_in

NEW_PASSWORD = "Brand-new-1-and-long"


def claims_of(token: str) -> Any:
    """What the text of a token says."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


# --- people ----------------------------------------------------------------------------------------------------------


async def test_a_person_gets_a_token_that_says_whose_it_is(acme: Tenant) -> None:
    person = await add_person(acme)
    credentials = {"email": person.email.upper(), "password": PASSWORD}
    told = await Client(acme).data("auth.authenticateUser", json=credentials)
    assert told["userId"] == to_hex24(person.id)
    claims = claims_of(told["token"])
    assert {name: claims[name] for name in ("sub", "subtype", "scope", "iss")} == {
        "sub": to_hex24(person.id),
        "subtype": "user",
        "scope": ["all.User"],
        "iss": "api.test",
    }
    assert claims["exp"] - claims["iat"] == 24 * 3600
    assert (await last_actions(acme, 1)) == ["session.create"]
    assert await Client(acme, told["token"]).data("applications.get", params={"perPage": 1})


async def test_a_token_lives_for_as_long_as_was_asked_for(acme: Tenant) -> None:
    person = await add_person(acme)
    short = claims_of((await Client.of_person(acme, person, tokenTTL=60)).token)
    assert short["exp"] - short["iat"] == 60
    endless = await Client.of_person(acme, person, tokenTTL=0, requestedScopes=["all.User.cli"])
    assert "exp" not in claims_of(endless.token)
    assert await endless.data("applications.get")
    credentials = {"email": person.email, "password": PASSWORD, "tokenTTL": 10**12}
    assert await Client(acme).failure("auth.authenticateUser", json=credentials) == (400, "Validation")


async def test_a_wrong_password_and_an_unknown_address_are_told_alike(acme: Tenant) -> None:
    person, client = await add_person(acme), Client(acme)
    wrong = await client.ask("auth.authenticateUser", json={"email": person.email, "password": "not the one"})
    nobody = await client.ask("auth.authenticateUser", json={"email": "nobody@acme.test", "password": "not the one"})
    assert (wrong.status_code, wrong.json()["type"]) == (401, "Unauthorized")
    assert (nobody.status_code, nobody.json()) == (401, wrong.json())


@pytest.mark.parametrize(
    "wrong",
    [{"password": "short"}, {"requestedScopes": ["everything"]}, {"tokenTTL": -1}, {"colour": "red"}, {"email": None}],
)
async def test_what_is_not_as_the_contract_says_is_named(acme: Tenant, wrong: dict[str, Any]) -> None:
    body = {"email": "owner@acme.test", "password": PASSWORD} | wrong
    answer = await Client(acme).ask("auth.authenticateUser", json=body)
    assert (answer.status_code, answer.json()["type"]) == (400, "Validation")
    assert next(iter(wrong)) in answer.json()["message"]


async def test_too_many_failures_lock_the_account(acme: Tenant, globex: Tenant) -> None:
    person, client = await add_person(acme), Client(acme)
    for _ in range(10):
        wrong = {"email": person.email, "password": "not the one"}
        assert await client.failure("auth.authenticateUser", json=wrong) == (401, "Unauthorized")
    right = {"email": person.email, "password": PASSWORD}
    assert await client.failure("auth.authenticateUser", json=right) == (401, "AccountLocked")
    assert (await Client.of(globex)).token


async def test_who_has_a_second_factor_shows_its_code(acme: Tenant) -> None:
    person, client = await add_person(acme), Client(acme)
    app, _ = await turn_on(acme, person)
    await let_step_pass(acme)
    credentials = {"email": person.email, "password": PASSWORD}
    assert await client.failure("auth.authenticateUser", json=credentials) == (401, "Unauthorized")
    code = {"twoFactorCode": app.at(time.now())}
    assert await client.data("auth.authenticateUser", json=credentials | code)
    assert await client.failure("auth.authenticateUser", json=credentials | code) == (401, "Unauthorized")


async def test_a_token_opens_all_organizations_of_its_person_and_no_other(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme, email="both@harbour.test")
    await add_person(globex, Role.MEMBER, email=person.email, known=True)
    stranger = await Client.of(acme)
    ours, theirs = await add_application(stranger), await add_application(await Client.of(globex))
    client = await Client.of_person(acme, person)
    assert (await client.data("application.get", applicationId=ours))["id"] == ours
    assert (await client.data("application.get", applicationId=theirs))["id"] == theirs
    assert await stranger.failure("application.get", applicationId=theirs) == (404, "NotFound")
    # What the person may do is what they are there: a member makes no tokens.
    assert await client.data("applicationApiTokens.post", applicationId=ours, json={"name": "t"})
    refused = await client.failure("applicationApiTokens.post", applicationId=theirs, json={"name": "t"})
    assert refused == (403, "Forbidden")


async def test_sessions_and_keys_of_the_platform_are_good_here(acme: Tenant) -> None:
    session = Client(acme, (await sign_in(acme, await add_person(acme))).access_token)
    application = await add_application(session)
    key = await acme.client(session.token).post("/api/v1/api-keys", json={"name": "k", "scopes": ["devices:read"]})
    program = Client(acme, key.json()["data"]["secret"] if "data" in key.json() else key.json()["secret"])
    assert (await program.data("application.get", applicationId=application))["id"] == application
    refused = await program.failure("applications.post", json={"name": "Quay"})
    assert refused == (403, "Forbidden")


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "sk_live_" + "x" * 43])
async def test_a_bad_token_is_told_in_the_words_that_programs_look_for(acme: Tenant, token: str) -> None:
    answer = await Client(acme, token).ask("application.get", applicationId=to_hex24(new_id()))
    assert (answer.status_code, answer.json()) == (401, {"type": "Unauthorized", "message": "Invalid access token"})


async def test_nobody_signs_in_elsewhere(acme: Tenant) -> None:
    client = Client(acme)
    probe = await client.ask("auth.ssoDomain", params={"email": "somebody@acme.test"})
    assert (probe.status_code, probe.content) == (204, b"")
    assert await client.failure("auth.ssoDomain") == (400, "Validation")
    assert await client.failure("auth.authenticateUserGithub", json={"accessToken": "x"}) == (501, "NotImplemented")
    saml = {"SAMLResponse": "x", "SAMLDomain": "acme"}
    assert await client.failure("auth.authenticateUserSaml", json=saml) == (501, "NotImplemented")


async def test_a_token_is_renewed_as_it_was_given(acme: Tenant) -> None:
    client = await Client.of_person(acme, await add_person(acme), tokenTTL=300, requestedScopes=["me.*"])
    told = await client.data("me.refreshToken")
    claims = claims_of(told["token"])
    assert told["token"] != client.token
    assert (claims["scope"], claims["exp"] - claims["iat"]) == (["me.*"], 300)
    assert await Client(acme, told["token"]).data("me.refreshToken")
    made = await (await Client.of(acme)).data("userApiTokens.post", json={"name": "t", "defaultRole": "view"})
    assert await Client(acme, made["token"]).failure("me.refreshToken") == (403, "Forbidden")


async def test_another_password_is_set(acme: Tenant) -> None:
    person = await add_person(acme)
    client, other = await Client.of_person(acme, person), await Client.of_person(acme, person)
    for body in (
        {"password": "not the one", "newPassword": NEW_PASSWORD},
        {"password": PASSWORD, "newPassword": "allsmallletters"},
    ):
        status, _ = await client.failure("me.changePassword", json=body)
        assert status in (400, 401)
    told = await client.data("me.changePassword", json={"password": PASSWORD, "newPassword": NEW_PASSWORD})
    assert await Client(acme, told["token"]).data("applications.get")
    assert await other.data("applications.get")
    old = {"email": person.email, "password": PASSWORD}
    assert await client.failure("auth.authenticateUser", json=old) == (401, "Unauthorized")
    assert await client.data("auth.authenticateUser", json=old | {"password": NEW_PASSWORD})


async def test_with_another_password_all_tokens_before_can_be_ended(acme: Tenant) -> None:
    person = await add_person(acme)
    client, other = await Client.of_person(acme, person), await Client.of_person(acme, person)
    program = Client(acme, (await client.data("userApiTokens.post", json={"name": "t"}))["token"])
    body = {"password": PASSWORD, "newPassword": NEW_PASSWORD, "invalidateExistingTokens": True}
    told = await client.data("me.changePassword", json=body)
    for gone in (client, other, program):
        assert await gone.failure("applications.get") == (401, "Unauthorized")
    assert await Client(acme, told["token"]).data("applications.get")


# --- devices ---------------------------------------------------------------------------------------------------------


async def test_a_device_comes_in_with_a_key(acme: Tenant, globex: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device = await add_device(client, application, deviceClass="gateway")
    rules = {"filterType": "whitelist", "pubTopics": ["chat/#"], "subTopics": ["chat/+"]}
    key = await client.data("applicationKeys.post", applicationId=application, json=rules)
    credentials = {"deviceId": device, "key": key["key"], "secret": key["secret"], "tokenTTL": 0}
    told = await Client(globex).data("auth.authenticateDevice", json=credentials)
    claims = claims_of(told.pop("token"))
    assert told == {
        "applicationId": application,
        "deviceId": device,
        "deviceClass": "gateway",
        "ownerType": "organization",
        **rules,
        "restricted": False,
    }
    assert (claims["sub"], claims["subtype"], claims["scope"]) == (device, "device", ["all.Device"])
    assert "exp" not in claims


async def test_a_device_without_a_good_key_stays_out(acme: Tenant, globex: Tenant) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    application, elsewhere = await add_application(client), await add_application(theirs)
    device, other = await add_device(client, application), await add_device(client, application, "other")
    foreign = await add_device(theirs, elsewhere)
    key = await client.data("applicationKeys.post", applicationId=application, json={"deviceIds": [device]})
    good = {"deviceId": device, "key": key["key"], "secret": key["secret"]}
    assert (await client.data("auth.authenticateDevice", json=good))["restricted"] is True
    for wrong in (
        {"deviceId": other},
        {"deviceId": foreign},
        {"deviceId": to_hex24(new_id())},
        {"secret": "x" * 64},
        {"key": "x"},
        {"secret": ""},
    ):
        assert await client.failure("auth.authenticateDevice", json=good | wrong) == (401, "Unauthorized")
    assert await client.failure("auth.authenticateDevice", json={"deviceId": device}) == (401, "Unauthorized")
    place = {"applicationId": application, "applicationKeyId": key["id"]}
    await client.data("applicationKey.patch", json={"status": "inactive"}, **place)
    assert await client.failure("auth.authenticateDevice", json=good) == (401, "Unauthorized")
