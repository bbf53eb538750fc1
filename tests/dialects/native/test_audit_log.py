"""/audit-log over HTTP."""

from tests.conftest import Tenant
from tests.people import person_client

LOG = "/api/v1/audit-log"


async def test_every_change_tells_who_did_what_from_where(acme: Tenant, globex: Tenant) -> None:
    person, me = await person_client(acme)
    await me.patch("/api/v1/organizations/current", json={"name": "New name"}, headers={"X-Request-Id": "asked-1"})
    (entry,) = (await acme.api.get(LOG, params={"action": "organization.update"})).json()["items"]

    assert (entry["actorType"], entry["actorId"], entry["actorName"]) == ("USER", str(person.id), person.name)
    assert (entry["resourceType"], entry["resourceId"]) == ("organization", str(acme.organization_id))
    assert (entry["requestId"], entry["ip"]) == ("asked-1", "127.0.0.1")
    assert {"path": "name", "from": "Acme", "to": "New name"} in entry["changes"]
    assert (await globex.api.get(LOG, params={"action": "organization"})).json()["items"] == []


async def test_entries_are_found_by_every_filter(acme: Tenant) -> None:
    person, me = await person_client(acme)
    first = (await me.post("/api/v1/api-keys", json={"name": "one"})).json()
    second = (await acme.api.post("/api/v1/api-keys", json={"name": "two"})).json()
    await acme.api.delete(f"/api/v1/api-keys/{second['id']}")

    async def found(**params: str | list[str]) -> list[tuple[str, str]]:
        answer = await acme.api.get(LOG, params=params)
        assert answer.status_code == 200, answer.text
        return [(each["action"], each["resourceId"]) for each in answer.json()["items"]]

    made, made_too, gone = (
        ("api-key.create", first["id"]),
        ("api-key.create", second["id"]),
        ("api-key.revoke", second["id"]),
    )
    assert await found(action="api-key.") == [gone, made_too, made]
    assert await found(actorId=str(person.id), resourceType="api-key") == [made]
    assert await found(resourceId=[first["id"], second["id"]], action=["api-key.c", "nothing"]) == [made_too, made]
    everything = (await acme.api.get(LOG)).json()["items"]
    at = next(each["at"] for each in everything if each["action"] == "api-key.revoke")
    assert gone in await found(**{"from": at}) and made not in await found(**{"from": at, "resourceId": second["id"]})
    assert gone not in await found(to=at)
    for params in ({"from": "yesterday"}, {"actorId": "x"}, {"to": "2024-05-01T00:00:00"}):
        refused = await acme.api.get(LOG, params=params)
        assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, next(iter(params)))


async def test_changes_are_named_as_in_the_api(acme: Tenant) -> None:
    made = (await acme.api.post("/api/v1/api-keys", json={"name": "x"})).json()
    await acme.api.patch(f"/api/v1/api-keys/{made['id']}", json={"allowedCidrs": ["10.0.0.0/8"]})
    (entry,) = (await acme.api.get(LOG, params={"action": "api-key.update"})).json()["items"]
    assert entry["changes"] == [{"path": "allowedCidrs", "from": [], "to": ["10.0.0.0/8"]}]


async def test_pages_neither_skip_nor_repeat(acme: Tenant) -> None:
    for number in range(5):
        await acme.api.post("/api/v1/api-keys", json={"name": f"key {number}"})
    seen: list[str] = []
    params: dict[str, str | int] = {"limit": 2}
    while True:
        page = (await acme.api.get(LOG, params=params)).json()
        seen += [each["id"] for each in page["items"]]
        if "nextCursor" not in page:
            break
        params["cursor"] = page["nextCursor"]
    assert len(seen) == len(set(seen)) == 5


async def test_nobody_can_change_the_log(acme: Tenant) -> None:
    await acme.api.post("/api/v1/api-keys", json={"name": "x"})
    async with acme.edge.tenant_database.tx(acme.tenant_id) as tx:
        rights = await tx.row(
            "SELECT has_table_privilege('audit_log', 'UPDATE'), has_table_privilege('audit_log', 'DELETE')"
        )
    assert rights == (False, False)


async def test_secrets_do_not_stand_in_the_log(acme: Tenant) -> None:
    made = (await acme.api.post("/api/v1/api-keys", json={"name": "x"})).json()
    assert made["secret"] not in (await acme.api.get(LOG)).text
