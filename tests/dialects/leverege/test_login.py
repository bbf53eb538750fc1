"""/v1/login, /v1/verify, /v1/logout, and passwords that were forgotten."""

import re
from datetime import timedelta

import pytest

from roadstead.core import identity
from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import to_base62
from tests.conftest import Postbox, Tenant
from tests.core.identity.test_totp import let_step_pass, turn_on
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.people import PASSWORD, add_account, log_in
from tests.dialects.leverege.world import project_of
from tests.people import PASSWORD as OWN_PASSWORD
from tests.people import add_person, entry, last_actions


async def test_an_account_logs_in_by_name_and_is_told_who_it_is(acme: Tenant) -> None:
    owner = await Client.of(acme)
    account = await add_account(owner, "maria", email="maria@acme.test", metadata={"team": "north"})
    body = {"username": "Maria", "password": PASSWORD, "projectId": project_of(owner)}
    answer = await Client(acme).data("login", json=body)
    assert answer["profile"] == {
        "id": account["id"],
        "username": "maria",
        "name": "maria",
        "email": "maria@acme.test",
        "projectId": project_of(owner),
        "metadata": {"team": "north"},
    }
    verified = await Client(acme, answer["idToken"]).data("verify")
    in_a_day = (time.now() + timedelta(hours=24)).timestamp() * 1000
    assert abs(verified.pop("expires") - in_a_day) < 60_000
    assert verified == answer["profile"]


async def test_a_login_that_is_wrong_never_says_what_is_wrong(acme: Tenant, globex: Tenant) -> None:
    owner = await Client.of(acme)
    await add_account(owner, "maria")
    stranger = await add_person(globex)
    project, other = project_of(owner), to_base62(globex.organization_id)
    told = set()
    for username, password, where in [
        ("maria", "wrong-password", project),
        ("nobody", PASSWORD, project),
        ("maria", PASSWORD, other),
        ("maria", PASSWORD, "no-project"),
        (stranger.email, OWN_PASSWORD, project),
        ("maria", PASSWORD, None),
    ]:
        body = {"username": username, "password": password} | ({"projectId": where} if where else {})
        answer = await Client(acme).ask("login", json=body)
        assert answer.status_code == 401
        told.add(answer.text)
    assert len(told) == 1


async def test_a_platform_user_gets_a_token_for_all_own_projects(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    await add_person(globex, email=person.email, known=True)
    answer = await Client(acme).data("login", json={"username": person.email, "password": OWN_PASSWORD})
    assert "projectId" not in answer["profile"]
    everywhere = Client(acme, answer["idToken"])
    for tenant in (acme, globex):
        project = to_base62(tenant.organization_id)
        listed = await everywhere.data("account.list", projectId=project)
        assert [item["projectId"] for item in listed["items"]] == [project]
    assert "projectId" not in await everywhere.data("verify")


async def test_a_platform_user_reaches_things_of_any_own_project_by_their_id(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    await add_person(globex, email=person.email, known=True)
    answer = await Client(acme).data("login", json={"username": person.email, "password": OWN_PASSWORD})
    everywhere = Client(acme, answer["idToken"])
    for tenant in (acme, globex):
        owner = await Client.of(tenant)
        made = await owner.data("api-access.create", json={"name": "key"}, projectId=project_of(owner))
        found = await everywhere.http.get(f"/v1/apiAccess/{made['id']}")
        assert found.json()["projectId"] == project_of(owner)


async def test_a_token_for_one_project_opens_no_other(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    await add_person(globex, email=person.email, known=True)
    client = await log_in(acme, person.email, OWN_PASSWORD)
    assert await client.failure("account.list", projectId=to_base62(globex.organization_id)) == 404


async def test_logging_out_ends_the_token_at_once_and_no_other(acme: Tenant) -> None:
    owner = await Client.of(acme)
    await add_account(owner, "maria")
    here, there = await log_in(acme, "maria"), await log_in(acme, "maria")
    assert await here.data("logout") == {"status": 200}
    assert await here.failure("verify") == 401
    await there.data("verify")
    assert "session.delete" in await last_actions(acme)


async def test_removing_an_account_ends_its_tokens_at_once(acme: Tenant) -> None:
    owner = await Client.of(acme)
    account = await add_account(owner, "maria")
    client = await log_in(acme, "maria")
    await owner.data("account.delete", projectId=project_of(owner), userId=account["id"])
    assert await client.failure("verify") == 401
    assert (
        await Client(acme).failure(
            "login", json={"username": "maria", "password": PASSWORD, "projectId": project_of(owner)}
        )
        == 401
    )


async def test_a_suspended_project_lets_nobody_in(acme: Tenant) -> None:
    owner = await Client.of(acme)
    await add_account(owner, "maria")
    client = await log_in(acme, "maria")
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE tenant SET status = 'SUSPENDED' WHERE tenant_id = %s", acme.tenant_id)
    assert await client.failure("verify") == 403


async def test_guessing_is_slowed_down(acme: Tenant) -> None:
    owner = await Client.of(acme)
    await add_account(owner, "maria")
    body = {"username": "maria", "password": "wrong-password", "projectId": project_of(owner)}
    statuses = [(await Client(acme).ask("login", json=body)).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    unknown = body | {"username": "nobody"}
    assert [(await Client(acme).ask("login", json=unknown)).status_code for _ in range(11)] == statuses


@pytest.mark.parametrize("body", [{}, {"username": "maria"}, {"username": 1, "password": "x"}, []])
async def test_a_login_without_its_fields_is_refused(acme: Tenant, body: object) -> None:
    assert await Client(acme).failure("login", json=body) == 400


async def test_a_forgotten_password_is_set_anew_with_the_mailed_token(acme: Tenant, postbox: Postbox) -> None:
    owner = await Client.of(acme)
    await add_account(owner, "maria", email="maria@mail.acme.test")
    old = await log_in(acme, "maria")
    names = {"username": "maria", "projectId": project_of(owner)}
    assert await Client(acme).data("user.forgot-password", json=names) == {"status": 200}
    found = re.search(r"^  (\w{43})$", postbox.newest("maria@mail.acme.test").text, re.MULTILINE)
    assert found
    body = names | {"password": "other-7", "confirm": "other-7", "token": found[1]}
    assert await Client(acme).failure("user.reset-password", json=body | {"confirm": "another"}) == 400
    assert (
        await Client(acme).failure("user.reset-password", json=body | {"password": "five5", "confirm": "five5"}) == 400
    )
    assert await Client(acme).failure("user.reset-password", json=body | {"username": "otto"}) == 400
    await Client(acme).data("user.reset-password", json=body)
    assert await old.failure("verify") == 401
    await log_in(acme, "maria", "other-7")
    assert await Client(acme).failure("user.reset-password", json=body) == 400


async def test_asking_for_a_new_password_tells_nobody_who_is_there(acme: Tenant, postbox: Postbox) -> None:
    owner = await Client.of(acme)
    before = len(postbox.mails)
    answers = [
        await Client(acme).data("user.forgot-password", json={"username": name, "projectId": project})
        for name in ("nobody", "nobody@acme.test")
        for project in (project_of(owner), "no-project")
    ]
    assert answers == [{"status": 200}] * 4
    assert len(postbox.mails) == before


async def test_a_native_session_is_as_good_as_an_id_token(acme: Tenant) -> None:
    member = await Client.of(acme, Role.MEMBER)
    assert (await member.data("verify"))["projectId"] == project_of(member)


async def test_without_a_good_token_nobody_is_known(acme: Tenant) -> None:
    assert await Client(acme).failure("verify") == 401
    assert await Client(acme, "idt_" + "0" * 43).failure("verify") == 401
    assert await Client(acme, "anything").failure("verify") == 401


async def test_whoever_has_a_second_factor_shows_its_code(acme: Tenant) -> None:
    person = await add_person(acme)
    app, _ = await turn_on(acme, person)
    await let_step_pass(acme)
    project = to_base62(acme.organization_id)
    for names in ({"projectId": project}, {}):
        body = {"username": person.email, "password": OWN_PASSWORD} | names
        refused = await Client(acme).ask("login", json=body)
        assert (refused.status_code, refused.json()["code"]) == (401, "otp-required")
        assert await Client(acme).failure("login", json=body | {"password": "wrong-password"}) == 401
        await Client(acme).data("login", json=body | {"otp": app.at(time.now())})
        await let_step_pass(acme)


async def test_somebody_without_a_project_knows_who_they_are_and_works_nowhere(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme, Role.MEMBER)
    async with acme.edge.system_database.tx() as tx:
        await tx.run("DELETE FROM membership WHERE person_id = %s", person.id)
    answer = await Client(acme).data("login", json={"username": person.email, "password": OWN_PASSWORD})
    client = Client(acme, answer["idToken"])
    assert (await client.data("verify"))["id"] == to_base62(person.id)
    assert await client.failure("user.list") == 403
    assert await client.failure("account.list", projectId=to_base62(globex.organization_id)) == 403


async def test_a_changed_password_ends_tokens_of_all_kinds(acme: Tenant) -> None:
    person = await add_person(acme)
    everywhere = await Client(acme).data("login", json={"username": person.email, "password": OWN_PASSWORD})
    here = await log_in(acme, person.email, OWN_PASSWORD)
    async with entry(acme.edge) as door:
        await identity.set_password(door, email=person.email, password="another long password")
    assert await here.failure("verify") == 401
    assert await Client(acme, everywhere["idToken"]).failure("verify") == 401
