"""/organizations over HTTP."""

from roadstead.kernel.actor import Role
from tests.conftest import Tenant
from tests.people import add_person, client_of, last_actions, person_client, sign_in


async def test_an_organization_changes_only_for_those_who_saw_its_latest_version(acme: Tenant, globex: Tenant) -> None:
    etag = (await acme.api.get("/api/v1/organizations/current")).headers["etag"]
    first = await acme.api.patch("/api/v1/organizations/current", json={"name": "Acme 2"}, headers={"If-Match": etag})
    stale = await acme.api.patch("/api/v1/organizations/current", json={"name": "Acme 3"}, headers={"If-Match": etag})

    assert (first.status_code, first.json()["name"]) == (200, "Acme 2")
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition-failed")
    assert (await globex.api.get("/api/v1/organizations/current")).json()["name"] == "Globex"


async def test_a_person_founds_an_organization_and_owns_it(acme: Tenant, globex: Tenant) -> None:
    person, me = await person_client(acme, Role.MEMBER)
    slug = f"founded-{acme.slug}"
    made = await me.post(
        "/api/v1/organizations", json={"name": "Founded", "slug": slug, "settings": {"retentionDays": 30}}
    )
    assert (made.status_code, made.json()["slug"], made.json()["settings"]["retentionDays"]) == (201, slug, 30)

    listed = (await me.get("/api/v1/organizations", params={"includeTotal": True})).json()
    assert ({each["slug"] for each in listed["items"]}, listed["totalItems"]) == ({acme.slug, slug}, 2)
    session = await me.post("/api/v1/auth/switch-organization", json={"organizationId": made.json()["id"]})
    mine = acme.client(session.json()["accessToken"])
    assert (await mine.get("/api/v1/auth/me")).json()["role"] == "OWNER"
    async with acme.edge.system_database.tx() as tx:
        sql = "SELECT count(*) FROM space JOIN tenant USING (tenant_id) WHERE public_id = %s AND is_default"
        assert await tx.value(sql, made.json()["id"]) == 1
    entries = (await mine.get("/api/v1/audit-log")).json()["items"]
    assert [(each["action"], each["actorId"]) for each in entries][-1] == ("organization.create", str(person.id))


async def test_a_slug_is_taken_once_and_made_up_when_none_is_given(acme: Tenant) -> None:
    _, me = await person_client(acme)
    taken = await me.post("/api/v1/organizations", json={"name": "Another", "slug": acme.slug})
    assert (taken.status_code, taken.json()["code"]) == (409, "slug-taken")
    slugs = [
        (await me.post("/api/v1/organizations", json={"name": "Ångström & Söhne"})).json()["slug"] for _ in range(2)
    ]
    assert len(set(slugs)) == 2 and all(slug.startswith("angstrom-sohne") for slug in slugs)


async def test_what_makes_no_sense_is_named(acme: Tenant) -> None:
    _, me = await person_client(acme)
    for body, pointer in (
        ({"name": ""}, "/name"),
        ({"name": "x", "slug": "No Slug"}, "/slug"),
        ({"name": "x", "settings": {"timeZone": "Mars"}}, "/settings/timeZone"),
        ({"name": "x", "settings": {"retentionDays": 0}}, "/settings/retentionDays"),
    ):
        refused = await me.post("/api/v1/organizations", json=body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_deleting_needs_the_owner_in_person_and_the_slug(acme: Tenant, globex: Tenant) -> None:
    owner = await add_person(acme)
    me = client_of(acme, await sign_in(acme, owner))
    _, admin = await person_client(acme, Role.ADMIN)
    place = "/api/v1/organizations/current"
    assert (await admin.delete(place, params={"confirm": acme.slug})).status_code == 403
    assert (await acme.api.delete(place, params={"confirm": acme.slug})).status_code == 403
    wrong = await me.delete(place, params={"confirm": globex.slug})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "confirmation-mismatch")
    assert (await me.delete(place)).status_code == 422

    done = await me.delete(place, params={"confirm": acme.slug})
    assert (done.status_code, done.content) == (202, b"")
    for client in (me, acme.api):
        refused = await client.get(place)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await globex.api.get(place)).status_code == 200
    async with acme.edge.system_database.tx() as tx:
        sql = "SELECT status, round(extract(epoch FROM delete_at - now()) / 86400) FROM tenant WHERE tenant_id = %s"
        assert await tx.row(sql, acme.tenant_id) == ("DELETING", 14)
    assert (await last_actions(acme, 1)) == ["organization.delete"]
