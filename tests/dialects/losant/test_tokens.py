"""Tokens that are made for programs: what they open, what they are limited to, and when they end."""

from typing import Any

import pytest

from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import new_id, to_hex24
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.test_auth import claims_of
from tests.dialects.losant.world import add_application
from tests.people import PASSWORD, add_person, last_actions

COMMON = {"name": "Exporter", "description": "at night"}


async def add_own(client: Client, **fields: Any) -> Any:
    """A token of a person."""
    return await client.data("userApiTokens.post", json={"name": "t"} | fields)


async def add_token(client: Client, application: str, **fields: Any) -> Any:
    """A token of an application."""
    return await client.data("applicationApiTokens.post", applicationId=application, json={"name": "t"} | fields)


# --- of an application -----------------------------------------------------------------------------------------------


async def test_the_text_of_a_token_is_told_once(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    made = await add_token(client, application, **COMMON, expirationDate="2091-01-31T00:00:00.000Z")
    place = {"applicationId": application, "apiTokenId": made["id"]}
    assert {name: made[name] for name in ("ownerType", "ownerId", "scope", "status", "creatorType")} == {
        "ownerType": "application",
        "ownerId": application,
        "scope": ["all.Application"],
        "status": "active",
        "creatorType": "user",
    }
    assert made["expirationDate"] == "2091-01-31T00:00:00.000Z"
    claims = claims_of(made["token"])
    assert (claims["sub"], claims["subtype"], claims["scope"]) == (made["id"], "apiToken", ["all.Application"])
    shown = await client.data("applicationApiToken.get", **place)
    assert "token" not in shown
    assert {name: shown[name] for name in COMMON} == COMMON
    assert (await last_actions(acme, 1)) == ["space-token.create"]


async def test_a_token_reaches_its_application_and_no_other(acme: Tenant, globex: Tenant) -> None:
    client = await Client.of(acme)
    application, other = await add_application(client, "Harbour"), await add_application(client, "Quay")
    foreign = await add_application(await Client.of(globex))
    program = Client(acme, (await add_token(client, application))["token"])
    assert (await program.data("application.get", applicationId=application))["id"] == application
    for elsewhere in (other, foreign, to_hex24(new_id()), "nonsense"):
        assert await program.failure("application.get", applicationId=elsewhere) == (404, "NotFound")
    assert await program.failure("applications.get") == (403, "Forbidden")
    assert await program.failure("me.refreshToken") == (403, "Forbidden")
    made = await add_token(program, application)
    assert (made["creatorType"], made["creatorName"]) == ("apiToken", "t")


async def test_a_token_that_is_taken_back_is_out_at_once(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    made = await add_token(client, application)
    program, place = Client(acme, made["token"]), {"applicationId": application, "apiTokenId": made["id"]}
    changed = await client.data("applicationApiToken.patch", json={"status": "inactive", "name": "u"}, **place)
    assert (changed["status"], changed["name"]) == ("inactive", "u")
    assert await program.failure("application.get", applicationId=application) == (401, "Unauthorized")
    await client.data("applicationApiToken.patch", json={"status": "active"}, **place)
    assert await program.data("application.get", applicationId=application)
    assert await client.data("applicationApiToken.delete", **place) == {"success": True}
    assert await program.failure("application.get", applicationId=application) == (401, "Unauthorized")
    assert await client.failure("applicationApiToken.get", **place) == (404, "NotFound")
    assert await client.failure("applicationApiToken.delete", **place) == (404, "NotFound")


async def test_a_token_ends_when_it_was_said_to(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    program = Client(acme, (await add_token(client, application, expirationDate="2091-01-31T00:00:00Z"))["token"])
    own = Client(acme, (await add_own(client, expirationDate="2091-01-31T00:00:00Z"))["token"])
    async with acme.edge.system_database.tx() as tx:
        for table in ("space_token", "person_token"):
            await tx.run(f"UPDATE {table} SET expires_at = %s WHERE name = 't'", time.now())
    for gone in (program, own):
        assert await gone.failure("application.get", applicationId=application) == (401, "Unauthorized")


async def test_a_token_goes_with_its_application(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    program = Client(acme, (await add_token(client, application))["token"])
    await client.data("application.delete", applicationId=application)
    assert await program.failure("application.get", applicationId=application) == (401, "Unauthorized")


async def test_tokens_of_another_application_or_organization_are_not_there(acme: Tenant, globex: Tenant) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    application, other = await add_application(client), await add_application(client)
    elsewhere = await add_application(theirs)
    made = await add_token(client, application)
    for asking, place in ((client, other), (theirs, application), (theirs, elsewhere)):
        for action, body in (("get", None), ("patch", {"name": "x"}), ("delete", None)):
            ids = {"applicationId": place, "apiTokenId": made["id"]}
            refused = await asking.failure(f"applicationApiToken.{action}", json=body, **ids)
            assert refused == (404, "NotFound")
    assert (await theirs.data("applicationApiTokens.get", applicationId=elsewhere))["items"] == []


async def test_a_token_does_no_more_than_whoever_made_it(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    member = await Client.of(acme, Role.MEMBER)
    refused = await member.failure("applicationApiTokens.post", applicationId=application, json={"name": "t"})
    assert refused == (403, "Forbidden")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"colour": "red"},
        {"scope": ["all.User"]},
        {"scope": ["nothing.at.all"]},
        {"defaultRole": "view"},
        {"orgRoles": []},
        {"expirationDate": "2001-01-01T00:00:00.000Z"},
        {"expirationDate": "soon"},
    ],
)
async def test_what_a_token_cannot_be_is_named(acme: Tenant, wrong: dict[str, Any]) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    body = {"name": "t"} | wrong
    answer = await client.ask("applicationApiTokens.post", applicationId=application, json=body)
    assert (answer.status_code, answer.json()["type"]) == (400, "Validation")
    assert next(iter(wrong)) in answer.json()["message"]


async def test_tokens_are_listed_page_by_page(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    names = ["north", "south", "North-east"]
    made = [await add_token(client, application, name=name) for name in names]
    place = {"applicationId": application}
    await client.data("applicationApiToken.patch", json={"status": "inactive"}, apiTokenId=made[1]["id"], **place)
    page = await client.data("applicationApiTokens.get", params={"perPage": 2, "sortField": "creationDate"}, **place)
    assert [each["name"] for each in page["items"]] == ["north", "south"]
    assert (page["count"], page["totalCount"], page["ownerId"]) == (2, 3, application)
    rest = await client.data("applicationApiTokens.get", params={"perPage": 2, "page": 1}, **place)
    assert rest["count"] == 1
    found = await client.data("applicationApiTokens.get", params={"filter": "NORTH*"}, **place)
    assert sorted(each["name"] for each in found["items"]) == ["North-east", "north"]
    off = {"filterField": "status", "filter": "inactive"}
    found = await client.data("applicationApiTokens.get", params=off, **place)
    assert [each["name"] for each in found["items"]] == ["south"]


# --- of a person -----------------------------------------------------------------------------------------------------


async def test_a_person_makes_tokens_of_their_own(acme: Tenant, globex: Tenant) -> None:
    client, other = await Client.of(acme), await Client.of(acme)
    made = await add_own(client, **COMMON)
    assert (made["ownerType"], made["scope"], made["defaultRole"]) == ("user", ["all.User"], "admin")
    application = await add_application(Client(acme, made["token"]))
    assert [each["id"] for each in (await client.data("userApiTokens.get"))["items"]] == [made["id"]]
    shown = await client.data("userApiToken.get", apiTokenId=made["id"])
    assert "token" not in shown
    changed = await client.data("userApiToken.patch", apiTokenId=made["id"], json={"status": "inactive"})
    assert (changed["status"], changed["description"]) == ("inactive", "at night")
    refused = await Client(acme, made["token"]).failure("application.get", applicationId=application)
    assert refused == (401, "Unauthorized")
    assert await other.failure("userApiToken.get", apiTokenId=made["id"]) == (404, "NotFound")
    assert await client.data("userApiToken.delete", apiTokenId=made["id"]) == {"success": True}
    assert await client.failure("userApiToken.get", apiTokenId=made["id"]) == (404, "NotFound")


async def test_a_role_says_how_much_of_its_person_a_token_is(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme, email="roles@harbour.test")
    await add_person(globex, email=person.email, known=True)
    client = await Client.of_person(acme, person)
    ours, theirs = await add_application(await Client.of(acme)), await add_application(await Client.of(globex))
    org_roles = [{"orgId": to_hex24(acme.organization_id), "role": "none"}]
    made = await add_own(client, defaultRole="view", orgRoles=org_roles)
    assert (made["defaultRole"], made["orgRoles"]) == ("view", org_roles)
    program = Client(acme, made["token"])
    assert await program.failure("application.get", applicationId=ours) == (404, "NotFound")
    assert await program.data("application.get", applicationId=theirs)
    assert await program.failure("application.patch", applicationId=theirs, json={"name": "x"}) == (403, "Forbidden")
    assert [each["id"] for each in (await program.data("applications.get", params={"filter": "Harbour"}))["items"]] == [
        theirs
    ]
    # Such a token makes none that may do more.
    assert await program.failure("userApiTokens.post", json={"name": "more"}) == (403, "Forbidden")
    wider = {"defaultRole": "admin", "orgRoles": []}
    assert await program.failure("userApiToken.patch", apiTokenId=made["id"], json=wider) == (403, "Forbidden")

    await client.data("userApiToken.patch", apiTokenId=made["id"], json=wider)
    assert await program.data("application.patch", applicationId=ours, json={"name": "x"})
    everywhere = await add_own(client, defaultRole="none")
    refused = await Client(acme, everywhere["token"]).failure("application.get", applicationId=ours)
    assert refused == (404, "NotFound")


@pytest.mark.parametrize(
    "role",
    [
        {"orgId": "sandbox", "role": "view"},
        {"orgId": "0" * 24, "role": "view"},
        {"applicationRoles": [{"resourceId": "0" * 24, "role": "view"}]},
        {"dashboardRoles": [{"resourceId": "0" * 24, "role": "view"}]},
    ],
)
async def test_roles_that_would_mean_nothing_are_refused(acme: Tenant, role: dict[str, Any]) -> None:
    client = await Client.of(acme)
    body = {"name": "t", "orgRoles": [{"orgId": to_hex24(acme.organization_id), "role": "view"} | role]}
    answer = await client.ask("userApiTokens.post", json=body)
    assert (answer.status_code, "orgRoles" in answer.json()["message"]) == (400, True)


async def test_a_member_who_is_removed_is_out_with_all_tokens(acme: Tenant) -> None:
    person = await add_person(acme, Role.MEMBER)
    client = await Client.of_person(acme, person)
    made = await add_own(client)
    application = await add_application(await Client.of(acme))
    assert await client.data("application.get", applicationId=application)
    async with acme.edge.system_database.tx() as tx:
        await tx.run("DELETE FROM membership WHERE person_id = %s", person.id)
    for token in (client.token, made["token"]):
        assert await Client(acme, token).failure("application.get", applicationId=application) == (404, "NotFound")
    # Their account is theirs all the same.
    assert (await client.data("userApiTokens.get"))["totalCount"] == 1
    assert await add_own(client)
    assert await client.failure("applications.post", json={"name": "x"}) == (403, "Forbidden")
    async with acme.edge.system_database.tx() as tx:
        await tx.run("DELETE FROM person WHERE id = %s", person.id)
    assert await client.failure("application.get", applicationId=application) == (401, "Unauthorized")


async def test_a_password_that_is_changed_elsewhere_ends_what_signing_in_gave(acme: Tenant) -> None:
    person = await add_person(acme)
    client = await Client.of_person(acme, person)
    program = Client(acme, (await add_own(client))["token"])
    session = await Client.of_person(acme, person)
    signed_in = await acme.client("").post("/api/v1/auth/login", json={"email": person.email, "password": PASSWORD})
    native = acme.client(signed_in.json()["accessToken"])
    body = {"currentPassword": PASSWORD, "newPassword": "another fine password"}
    assert (await native.post("/api/v1/auth/password", json=body)).status_code < 300
    for gone in (client, session):
        assert await gone.failure("applications.get") == (401, "Unauthorized")
    assert await program.data("applications.get")


# --- scopes ----------------------------------------------------------------------------------------------------------


async def test_a_token_does_what_its_scopes_say(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    for scopes, may_read, may_write in (
        (["all.Application"], True, True),
        (["all.Application.read"], True, False),
        (["application.get"], True, False),
        (["application.*"], True, True),
        (["devices.get"], False, False),
    ):
        program = Client(acme, (await add_token(client, application, scope=scopes))["token"])
        read = await program.ask("application.get", applicationId=application)
        written = await program.ask("application.patch", applicationId=application, json={"name": "x"})
        assert (read.status_code, written.status_code) == (200 if may_read else 403, 200 if may_write else 403), scopes
        if not may_read:
            assert read.json()["type"] == "Forbidden"


async def test_what_widens_power_is_not_for_bounded_tokens(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    program = Client(acme, (await add_token(client, application, scope=["all.Application.bounded"]))["token"])
    assert await program.data("applicationApiTokens.get", applicationId=application)
    refused = await program.failure("applicationApiTokens.post", applicationId=application, json={"name": "t"})
    assert refused == (403, "Forbidden")
