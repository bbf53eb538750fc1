"""Idempotency-Key: done once, answered as often as it is asked."""

import asyncio

from roadstead.kernel.actor import Role
from tests.conftest import Tenant
from tests.people import person_client

KEYS = "/api/v1/api-keys"
HEADER = {"Idempotency-Key": "once"}


async def test_a_repeated_request_is_answered_alike_and_done_once(acme: Tenant, globex: Tenant) -> None:
    first = await acme.api.post(KEYS, json={"name": "x"}, headers=HEADER)
    again = await acme.api.post(KEYS, json={"name": "x"}, headers=HEADER)

    assert (again.status_code, again.content) == (first.status_code, first.content) and first.status_code == 201
    assert [each.headers.get("idempotency-replayed") for each in (first, again)] == [None, "true"]
    assert [again.headers[name] for name in ("etag", "location", "content-type")] == [
        first.headers[name] for name in ("etag", "location", "content-type")
    ]
    assert [each["name"] for each in (await acme.api.get(KEYS)).json()["items"]] == ["x", "test"]
    other = await globex.api.post(KEYS, json={"name": "x"}, headers=HEADER)
    assert other.json()["id"] != first.json()["id"]


async def test_another_request_under_the_same_key_is_refused(acme: Tenant) -> None:
    await acme.api.post(KEYS, json={"name": "x"}, headers=HEADER)
    refused = await acme.api.post(KEYS, json={"name": "y"}, headers=HEADER)
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency-key-reused")
    assert refused.json()["errors"][0]["parameter"] == "Idempotency-Key"
    for bad in ("", "x" * 256):
        assert (await acme.api.post(KEYS, json={"name": "z"}, headers={"Idempotency-Key": bad})).status_code == 422


async def test_the_answer_is_for_those_who_got_it_only(acme: Tenant) -> None:
    _, owner = await person_client(acme)
    _, member = await person_client(acme, Role.MEMBER)
    made = await owner.post(KEYS, json={"name": "x"}, headers=HEADER)
    stolen = await member.post(KEYS, json={"name": "x"}, headers=HEADER)
    assert stolen.status_code == 422 and made.json()["secret"] not in stolen.text
    async with acme.edge.system_database.tx() as tx:
        bodies = await tx.rows("SELECT body FROM idempotency WHERE tenant_id = %s", acme.tenant_id)
    assert all(made.json()["secret"].encode() not in body for (body,) in bodies)


async def test_of_two_at_once_one_works_and_the_other_is_told_or_shown(acme: Tenant) -> None:
    answers = await asyncio.gather(*(acme.api.post(KEYS, json={"name": "x"}, headers=HEADER) for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert len((await acme.api.get(KEYS)).json()["items"]) == 2


async def test_while_one_works_the_other_is_told(acme: Tenant) -> None:
    async with acme.edge.tenant_database.tx(acme.tenant_id) as tx:
        name = f"idempotency/{acme.tenant_id}/api-key.create/once"
        assert await tx.value("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", name)
        refused = await acme.api.post(KEYS, json={"name": "x"}, headers=HEADER)
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency-in-progress")
    assert (await acme.api.post(KEYS, json={"name": "x"}, headers=HEADER)).status_code == 201


async def test_what_failed_may_be_tried_again_under_the_same_key(acme: Tenant) -> None:
    assert (await acme.api.post(KEYS, json={"name": "x", "scopes": ["no"]}, headers=HEADER)).status_code == 422
    assert (await acme.api.post(KEYS, json={"name": "x"}, headers=HEADER)).status_code == 201


async def test_after_a_day_a_key_is_free_again(acme: Tenant) -> None:
    first = await acme.api.post(KEYS, json={"name": "x"}, headers=HEADER)
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE idempotency SET created_at = created_at - interval '24 hours'")
    second = await acme.api.post(KEYS, json={"name": "y"}, headers=HEADER)
    assert second.status_code == 201 and second.json()["id"] != first.json()["id"]


async def test_founding_an_organization_twice_founds_one(acme: Tenant) -> None:
    _, me = await person_client(acme)
    answers = [await me.post("/api/v1/organizations", json={"name": "Once"}, headers=HEADER) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert len((await me.get("/api/v1/organizations")).json()["items"]) == 2


async def test_the_header_stands_in_the_reference(acme: Tenant) -> None:
    document = (await acme.api.get("/api/v3/api-docs")).json()
    for path in ("/api/v1/api-keys", "/api/v1/organizations", "/api/v1/organizations/current/invitations"):
        headers = [each["name"] for each in document["paths"][path]["post"]["parameters"] if each["in"] == "header"]
        assert headers == ["Idempotency-Key"]
