"""Asking for exports, and looking at them."""

from typing import Any

from roadstead.kernel.actor import Grant, Role
from roadstead.kernel.ids import new_id
from tests.conftest import Tenant
from tests.dialects.native.exports.exporting import (
    FROM,
    TO,
    Fleet,
    ask,
)
from tests.dialects.native.fleet import add_device, ok, problem
from tests.people import person_client


async def test_what_is_wrong_is_named(acme: Tenant, globex: Tenant, fleet: Fleet) -> None:
    right = {"scopeType": "DEVICE", "scopeId": fleet["pump"], "from": FROM, "to": TO, "includes": ["READINGS"]}
    wrong: list[tuple[dict[str, Any], list[str]]] = [
        ({"to": FROM}, ["/to"]),
        ({"to": "2029-01-06T00:00:00Z"}, ["/to"]),
        ({"from": "yesterday"}, ["/from"]),
        ({"includes": []}, ["/includes"]),
        ({"includes": ["READINGS", "READINGS"]}, ["/includes"]),
        ({"includes": ["EVENTS"]}, ["/includes/0"]),
        ({"scopeType": "ORGANIZATION"}, ["/scopeType"]),
        ({"format": "XLSX"}, ["/format"]),
        ({"extra": 1}, ["/extra"]),
    ]
    for change, fields in wrong:
        status, _, named = problem(await acme.api.post("/api/v1/exports", json=right | change))
        assert (status, named) == (422, fields), change
    for missing in right:
        body = {name: value for name, value in right.items() if name != missing}
        assert problem(await acme.api.post("/api/v1/exports", json=body))[::2] == (422, [f"/{missing}"])
    theirs = await add_device(globex, "theirs")
    for change in ({"scopeId": theirs["id"]}, {"scopeId": str(new_id())}, {"scopeId": "x"}, {"scopeType": "SITE"}):
        assert problem(await acme.api.post("/api/v1/exports", json=right | change)) == (404, "not-found", []), change


async def test_five_at_a_time_and_a_hundred_files(acme: Tenant, globex: Tenant, fleet: Fleet) -> None:
    asked = [await ask(acme, "DEVICE", fleet["pump"]) for _ in range(5)]
    body = {"scopeType": "DEVICE", "scopeId": fleet["pump"], "from": FROM, "to": TO, "includes": ["READINGS"]}
    assert problem(await acme.api.post("/api/v1/exports", json=body)) == (409, "quota-exceeded", [])
    await ask(globex, "DEVICE", (await add_device(globex, "theirs"))["id"])
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE export_job SET status = 'CANCELLED' WHERE tenant_id = %s", acme.tenant_id)
    await ask(acme, "DEVICE", fleet["pump"])
    async with acme.edge.system_database.tx() as tx:
        for _ in range(100):
            await tx.run(
                """
                INSERT INTO export_job (tenant_id, id, scope_type, scope_id, from_at, to_at, includes, format, status,
                                        requested_by, requested_as, created_at, due_at)
                SELECT tenant_id, %s, scope_type, scope_id, from_at, to_at, includes, format, 'READY', requested_by,
                       requested_as, created_at, now() + interval '1 day'
                FROM export_job WHERE id = %s
                """,
                new_id(),
                asked[0]["id"],
            )
    assert problem(await acme.api.post("/api/v1/exports", json=body)) == (409, "quota-exceeded", [])


async def test_asked_twice_with_one_key_is_asked_once(acme: Tenant, fleet: Fleet) -> None:
    body = {"scopeType": "DEVICE", "scopeId": fleet["pump"], "from": FROM, "to": TO, "includes": ["READINGS"]}
    answers = [await acme.api.post("/api/v1/exports", json=body, headers={"Idempotency-Key": "once"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert ok(await acme.api.get("/api/v1/exports", params={"includeTotal": "true"}))["totalItems"] == 1


async def test_exports_are_listed_filtered_and_paged(acme: Tenant, globex: Tenant, fleet: Fleet) -> None:
    first, second = await ask(acme, "DEVICE", fleet["pump"]), await ask(acme, "SITE", fleet["pier"])
    ok(await acme.api.post(f"/api/v1/exports/{first['id']}/cancel"))

    async def listed(**params: str) -> list[str]:
        return [item["id"] for item in ok(await acme.api.get("/api/v1/exports", params=params))["items"]]

    assert await listed() == [second["id"], first["id"]]
    assert await listed(sort="createdAt") == [first["id"], second["id"]]
    assert await listed(status="CANCELLED") == [first["id"]]
    assert await listed(scopeType="SITE") == [second["id"]]
    assert await listed(scopeId=fleet["pump"]) == [first["id"]]
    assert await listed(scopeId="x") == []
    page = ok(await acme.api.get("/api/v1/exports", params={"limit": 1}))
    assert await listed(limit="1", cursor=page["nextCursor"]) == [first["id"]]
    assert problem(await acme.api.get("/api/v1/exports", params={"sort": "status"})) == (
        422, "validation-failed", ["sort"],
    )  # fmt: skip
    assert ok(await globex.api.get("/api/v1/exports"))["items"] == []
    for path in (f"/{first['id']}", f"/{first['id']}/download"):
        assert (await globex.api.get(f"/api/v1/exports{path}")).status_code == 404
    assert (await globex.api.delete(f"/api/v1/exports/{first['id']}")).status_code == 404


async def test_a_member_sees_their_own_and_admins_all(acme: Tenant, fleet: Fleet) -> None:
    body = {"scopeType": "DEVICE", "scopeId": fleet["pump"], "from": FROM, "to": TO, "includes": ["READINGS"]}
    person, member = await person_client(acme, Role.MEMBER)
    _, admin = await person_client(acme, Role.ADMIN)
    by_key = await ask(acme, "DEVICE", fleet["pump"])
    own = ok(await member.post("/api/v1/exports", json=body))
    assert own["requestedBy"] == f"user_{person.id}"
    assert [item["id"] for item in ok(await member.get("/api/v1/exports"))["items"]] == [own["id"]]
    assert (await member.get(f"/api/v1/exports/{by_key['id']}")).status_code == 404
    assert (await member.post(f"/api/v1/exports/{by_key['id']}/cancel")).status_code == 404
    assert len(ok(await admin.get("/api/v1/exports"))["items"]) == 2
    async with acme.client(await acme.add_key([Grant.EXPORTS_READ])) as reader:
        assert problem(await reader.post("/api/v1/exports", json=body)) == (403, "scope-missing", [])
