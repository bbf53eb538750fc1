"""Who asks: their account, what they looked at, where they are invited, how much is theirs."""

import gc
from datetime import timedelta

import pyotp
import pytest

from roadstead.core import identity
from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import to_hex24
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.world import add_application, add_device
from tests.people import PASSWORD, add_person


async def test_somebody_sees_who_they_are_and_how_much_is_theirs(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    await add_person(globex, email=person.email, known=True)
    client = await Client.of_person(acme, person)
    here = await add_application(client)
    there = await add_application(client, orgId=to_hex24(globex.organization_id))
    await add_device(client, here, "Pump")
    await add_device(client, there, "Crane")
    shown = await client.data("me.get")
    assert (shown["userId"], shown["email"]) == (to_hex24(person.id), person.email)
    assert not shown["twoFactorAuthEnabled"]
    assert {"orgCount": 2, "appCount": 4, "deviceCount": 2}.items() <= shown["summary"].items()
    counts = await client.data("me.deviceCounts")
    assert counts["counts"][-1]["total"] == 2
    assert await client.data("me.payloadCounts") == {}
    assert {each["value"] for each in (await client.data("me.payloadCountsBreakdown"))["counts"]} == {0}
    assert {each["minutes"] for each in (await client.data("me.notebookMinuteCounts"))["counts"]} == {0}


async def test_a_period_that_is_none_keeps_nothing_busy(acme: Tenant) -> None:
    client = await Client.of(acme)
    gc.disable()  # it would tidy up in time by chance
    try:
        for _ in range(12):
            for action in ("me.payloadCounts", "me.payloadCountsBreakdown"):
                assert await client.failure(action, params={"start": "yesterday"}) == (400, "Validation")
        assert await client.data("me.payloadCounts") == {}
    finally:
        gc.enable()


async def test_what_somebody_looked_at_last_comes_first(acme: Tenant, globex: Tenant) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    first, second = await add_application(client, "Harbour"), await add_application(client, "Mill")
    foreign = await add_application(theirs, "Orchard")
    for id_ in (first, second, first):
        await client.data("me.addRecentItem", json={"itemType": "application", "itemId": id_})
    pump = await add_device(client, first, "Pump")
    body = {"itemType": "device", "itemId": pump, "parentId": first}
    await client.data("me.addRecentItem", json=body)
    found = await client.data("me.fetchRecentItems", params={"itemType": "application"})
    assert [each["name"] for each in found["items"]] == ["Harbour", "Mill"]
    found = await client.data("me.fetchRecentItems", params={"itemType": "device", "parentId": first})
    assert found["items"] == [{"id": pump, "name": "Pump"}]
    assert (await client.data("me.fetchRecentItems", params={"itemType": "device"}))["items"] == []
    body = {"itemType": "application", "itemId": foreign}
    assert await client.failure("me.addRecentItem", json=body) == (404, "NotFound")
    assert await client.failure("me.addRecentItem", json={"itemType": "flow", "itemId": first}) == (400, "Validation")
    await client.data("application.delete", applicationId=second)
    shown = await client.data("me.get", params={"includeRecent": True})
    assert [each["name"] for each in shown["recentApplications"]["items"]] == ["Harbour"]


@pytest.mark.parametrize(("action", "result", "joined"), [("accept", "accepted", True), ("reject", "rejected", False)])
async def test_an_invitation_is_answered_once(
    acme: Tenant, globex: Tenant, action: str, result: str, joined: bool
) -> None:
    person = await add_person(acme)
    client, other = await Client.of_person(acme, person), await Client.of(acme)
    async with globex.work() as work:
        await identity.create_invitation(work, email=person.email, role=Role.MEMBER)
    [invite] = await client.data("me.invites")
    assert (invite["orgName"], invite["expired"]) == ("Globex", False)
    assert await client.data("me.invite", inviteId=invite["id"]) == invite
    assert await other.failure("me.invite", inviteId=invite["id"]) == (404, "NotFound")
    answer = await client.data("me.respondToInvite", inviteId=invite["id"], json={"action": action})
    assert answer == {"result": result, "orgId": to_hex24(globex.organization_id)}
    assert await client.data("me.invites") == []
    body = {"action": "accept"}
    assert await client.failure("me.respondToInvite", inviteId=invite["id"], json=body) == (404, "NotFound")
    names = {each["name"] for each in (await client.data("orgs.get"))["items"]}
    assert ("Globex" in names) is joined


async def test_what_is_not_offered_says_why(acme: Tenant) -> None:
    client = await Client.of(acme)
    for action in ("me.disconnectGithub", "me.transferResources", "me.verifyEmail"):
        assert await client.failure(action, json={}) == (501, "NotImplemented")


async def test_somebody_says_what_they_are_called(acme: Tenant) -> None:
    client = await Client.of(acme)
    body = {"firstName": "Ada Maria", "lastName": "King", "companyName": "Engines", "url": "https://engines.test"}
    await client.data("me.patch", json=body)
    await client.data("me.patch", json={"phoneNumber": "+41"})
    shown = await client.data("me.get")
    assert (body | {"phoneNumber": "+41", "fullName": "Ada Maria King"}).items() <= shown.items()
    answer = await client.ask("me.patch", json={"email": "a@b.test"})
    assert (answer.status_code, "email" in answer.json()["message"]) == (400, True)


async def test_a_new_password_needs_the_old_one(acme: Tenant) -> None:
    person = await add_person(acme)
    client = await Client.of_person(acme, person)
    for proof in ({}, {"currentCredentials": {"password": "not the old one"}}):
        assert await client.failure("me.patch", json={"password": "Abcdefgh1234!"} | proof) == (400, "Validation")
    proof = {"currentCredentials": {"password": PASSWORD}}
    assert (await client.failure("me.patch", json={"password": "short"} | proof)) == (400, "Validation")
    await client.data("me.patch", json={"password": "Abcdefgh1234!"} | proof)
    credentials = {"email": person.email, "password": "Abcdefgh1234!"}
    await Client(acme).data("auth.authenticateUser", json=credentials)


async def test_tokens_of_before_the_cutoff_are_good_no_more(acme: Tenant) -> None:
    person = await add_person(acme)
    client, other = await Client.of_person(acme, person), await Client.of_person(acme, person)
    before = await client.data("me.patch", json={"tokenCutoff": "2026-01-01T00:00:00Z"})
    assert before["tokenCutoff"] == "2026-01-01T00:00:00.000Z"
    await other.data("me.get")
    ahead = time.spell_instant(time.now() + timedelta(hours=1))
    assert await client.failure("me.patch", json={"tokenCutoff": ahead}) == (400, "Validation")
    await client.data("me.patch", json={"tokenCutoff": time.now().isoformat()})
    assert await other.failure("me.get") == (401, "Unauthorized")


async def test_a_second_factor_is_asked_for_from_its_first_code_on(acme: Tenant) -> None:
    person = await add_person(acme)
    client = await Client.of_person(acme, person)
    factor = await client.data("me.generateTwoFactorAuth")
    assert factor["key"] in factor["keyUri"]
    app = pyotp.TOTP(factor["key"])
    body = {"password": PASSWORD, "twoFactorCode": app.now(), "twoFactorAuthKey": factor["key"]}
    for wrong in ({"password": "wrong password"}, {"twoFactorCode": "000000"}, {"twoFactorAuthKey": "1" * 52}):
        assert await client.failure("me.enableTwoFactorAuth", json=body | wrong) == (400, "Validation")
    enabled = await client.data("me.enableTwoFactorAuth", json=body)
    assert enabled["twoFactorAuthEnabled"]
    credentials = {"email": person.email, "password": PASSWORD}
    assert (await Client(acme).failure("auth.authenticateUser", json=credentials))[0] == 401
    recovered = {"twoFactorCode": enabled["recoveryCodes"][0]}
    await Client(acme).data("auth.authenticateUser", json=credentials | recovered)
    body = {"password": PASSWORD, "twoFactorCode": enabled["recoveryCodes"][1]}
    assert not (await client.data("me.disableTwoFactorAuth", json=body))["twoFactorAuthEnabled"]
    await Client(acme).data("auth.authenticateUser", json=credentials)


async def test_an_account_goes_with_its_tokens_unless_an_organization_needs_it(acme: Tenant, globex: Tenant) -> None:
    last = await add_person(acme)
    person = await add_person(acme, Role.MEMBER)
    await add_person(globex, Role.MEMBER, email=person.email, known=True)
    client, owner = await Client.of_person(acme, person), await Client.of_person(acme, last)
    credentials = {"email": person.email, "password": PASSWORD}
    assert await client.failure("me.delete", json=credentials | {"password": "wrong password"}) == (400, "Validation")
    assert await owner.failure("me.delete", json=credentials) == (400, "Validation")
    assert await owner.failure("me.delete", json=credentials | {"email": last.email}) == (409, "Conflict")
    await client.data("me.delete", json=credentials)
    assert await client.failure("me.get") == (401, "Unauthorized")
    assert (await Client(acme).failure("auth.authenticateUser", json=credentials))[0] == 401
    [shown] = (await owner.data("orgs.get"))["items"]
    assert [each["email"] for each in shown["members"]] == [last.email]
