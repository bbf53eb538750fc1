"""Applications: made, listed, changed, deleted with what is in them."""

import json

import pytest

from roadstead.app.background_jobs import JOB_HANDLERS
from roadstead.core import registry
from roadstead.core.contents import deleting
from roadstead.core.registry import DeviceDraft
from roadstead.kernel.ids import SpaceId, parse_hex24, to_hex24
from roadstead.workers.background_jobs import background_worker
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.world import add_application


async def test_an_application_comes_back_as_it_was_made(acme: Tenant) -> None:
    client = await Client.of(acme)
    body = {
        "name": "Harbour",
        "description": "cranes and pumps",
        "endpointSlug": f"harbour-{acme.slug}",
        "endpointDefaultCors": True,
        "expUserTokenCutoff": "2026-01-01T00:00:00.000Z",
        "blobUrlTTL": 7200,
        "globals": [{"key": "limit", "json": "40"}, {"key": "hosts", "json": '["a"]', "cloudOnly": True}],
        "archiveConfig": {"directory": "days", "mode": "all", "includeEvents": True, "delayDays": 3},
    }
    made = await client.data("applications.post", json=body)
    shown = await client.data("application.get", applicationId=made["id"])
    assert shown["ownerId"] == to_hex24(acme.organization_id)
    assert (shown["ownerType"], shown["organizationName"]) == ("organization", "Acme")
    assert {name: shown[name] for name in body if name not in ("globals", "archiveConfig")} == {
        name: value for name, value in body.items() if name not in ("globals", "archiveConfig")
    }
    assert shown["globals"] == [
        {"key": "limit", "json": "40", "cloudOnly": False},
        {"key": "hosts", "json": '["a"]', "cloudOnly": True},
    ]
    assert body["archiveConfig"].items() <= shown["archiveConfig"].items()  # type: ignore[attr-defined]
    assert shown == made


async def test_a_change_leaves_what_it_does_not_name(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client, description="old", blobUrlTTL=7200, archiveConfig={"includeEvents": True})
    changed = await client.data(
        "application.patch", applicationId=id_, json={"description": "new", "archiveConfig": None}
    )
    assert (changed["name"], changed["description"], changed["blobUrlTTL"]) == ("Harbour", "new", 7200)
    assert "archiveConfig" not in changed
    assert changed["lastUpdated"] >= changed["creationDate"]


async def test_a_slug_is_one_applications_alone_on_the_whole_platform(acme: Tenant, globex: Tenant) -> None:
    ours, theirs = await Client.of(acme), await Client.of(globex)
    slug = f"slug-{acme.slug}"
    await add_application(ours, endpointSlug=slug)
    body = {"name": "Other", "endpointSlug": slug}
    assert await theirs.failure("applications.post", json=body) == (409, "Conflict")
    other = await add_application(theirs)
    body = {"endpointSlug": slug}
    assert await theirs.failure("application.patch", applicationId=other, json=body) == (409, "Conflict")


async def test_what_an_archive_cannot_do_is_refused_by_name(acme: Tenant) -> None:
    client = await Client.of(acme)
    body = {"name": "Harbour", "archiveConfig": {"s3": {"bucket": "cold"}}}
    answer = await client.ask("applications.post", json=body)
    assert answer.status_code == 400
    assert "archiveConfig/s3" in answer.json()["message"]


async def test_a_store_of_templates_is_not_pretended(acme: Tenant) -> None:
    client = await Client.of(acme)
    body = {"name": "Harbour", "applicationTemplateId": "0" * 24}
    answer = await client.ask("applications.post", json=body)
    assert answer.status_code == 400
    assert "template" in answer.json()["message"]


async def test_applications_are_listed_by_page_name_and_order(acme: Tenant, globex: Tenant) -> None:
    ours, theirs = await Client.of(acme), await Client.of(globex)
    for name in ("Harbour", "hangar", "Mill"):
        await add_application(ours, name)
    await add_application(theirs, "Harvest")
    found = await ours.data("applications.get", params={"filter": "ha*", "filterField": "name"})
    assert sorted(each["name"] for each in found["items"]) == ["Harbour", "hangar"]
    page = await ours.data("applications.get", params={"perPage": 2, "page": 1, "sortField": "creationDate"})
    assert (page["count"], page["totalCount"]) == (2, 4)
    assert [each["name"] for each in page["items"]] == ["hangar", "Mill"]
    last = await ours.data(
        "applications.get", params={"perPage": 1, "sortField": "lastUpdated", "sortDirection": "desc"}
    )
    assert [each["name"] for each in last["items"]] == ["Mill"]
    assert (await ours.data("applications.get", params={"page": 9}))["items"] == []


async def test_a_person_sees_the_applications_of_all_their_organizations(acme: Tenant, globex: Tenant) -> None:
    client = await Client.of(acme)
    own = await client.data("applications.get")
    person = own["items"][0]["ownerId"]
    assert person == to_hex24(acme.organization_id)
    async with acme.edge.system_database.tx() as tx:
        await tx.run(
            """
            INSERT INTO membership (tenant_id, person_id, role, joined_at)
            SELECT %s, person_id, 'MEMBER', now() FROM membership WHERE tenant_id = %s
            """,
            globex.tenant_id,
            acme.tenant_id,
        )
    theirs = await Client.of(globex)
    there = await add_application(theirs, "Orchard")
    here = await add_application(client, "Harbour")
    everything = await client.data("applications.get")
    assert {here, there} <= {each["id"] for each in everything["items"]}
    params = {"orgId": to_hex24(globex.organization_id)}
    assert here not in {each["id"] for each in (await client.data("applications.get", params=params))["items"]}
    body = {"name": "Meadow", "orgId": to_hex24(globex.organization_id)}
    made = await client.data("applications.post", json=body)
    assert made["ownerId"] == to_hex24(globex.organization_id)
    shown = await theirs.data("application.get", applicationId=made["id"])
    assert shown["name"] == "Meadow"
    stranger = {"orgId": "5" * 24}
    assert await client.failure("applications.get", params=stranger) == (404, "NotFound")


async def test_a_summary_counts_what_is_there(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    async with acme.work() as work:
        space = SpaceId(parse_hex24(id_) or acme.organization_id)
        for name in ("pump", "crane"):
            await registry.create_device(work, DeviceDraft(name=name, space_id=space))
    params = {"summaryInclude": "deviceCount,keyCount,dashCount"}
    shown = await client.data("application.get", applicationId=id_, params=params)
    assert shown["summary"] == {"deviceCount": 2, "keyCount": 0, "dashCount": 0}
    shown = await client.data("application.get", applicationId=id_, params={"summaryExclude": "deviceCount"})
    assert "deviceCount" not in shown["summary"]
    assert shown["summary"]["eventCount"] == 0
    params = {"summaryInclude": "moonCount"}
    assert await client.failure("application.get", applicationId=id_, params=params) == (400, "Validation")


async def test_globals_are_added_changed_and_removed_one_by_one(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client, globals=[{"key": "a", "json": "1"}, {"key": "b", "json": "2"}])
    changes = [{"key": "a", "json": None}, {"key": "b", "description": "two"}, {"key": "c", "json": '{"d": 3}'}]
    changed = await client.data("application.globals", applicationId=id_, json=changes)
    assert changed["globals"] == [
        {"key": "b", "json": "2", "cloudOnly": False, "description": "two"},
        {"key": "c", "json": '{"d": 3}', "cloudOnly": False},
    ]
    for wrong in ([{"key": "new"}], [{"key": "new", "json": "{"}]):
        assert await client.failure("application.globals", applicationId=id_, json=wrong) == (400, "Validation")
    many = [{"key": f"k{number}", "json": "0"} for number in range(99)]
    assert await client.failure("application.globals", applicationId=id_, json=many) == (400, "Validation")


async def test_a_readme_says_who_wrote_it(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    assert (await client.data("application.readme", applicationId=id_))["content"] == ""
    written = await client.data("application.readmePatch", applicationId=id_, json={"content": "# Harbour"})
    assert (written["content"], written["lastUpdatedByType"]) == ("# Harbour", "user")
    assert await client.data("application.readme", applicationId=id_) == written


async def test_an_application_goes_with_its_devices(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client, endpointSlug=f"gone-{acme.slug}")
    space = SpaceId(parse_hex24(id_) or acme.organization_id)
    async with acme.work() as work:
        gateway = await registry.create_device(work, DeviceDraft(name="gateway", space_id=space))
        below = DeviceDraft(name="peripheral", space_id=space, gateway_id=gateway.id, parent_id=gateway.id)
        await registry.create_device(work, below)
    await client.data("application.delete", applicationId=id_)
    assert await client.failure("application.get", applicationId=id_) == (404, "NotFound")
    async with acme.work() as work:
        assert await registry.find_device(work, gateway.id) is None
    assert (await acme.api.get(f"/api/v1/devices/{gateway.id}")).status_code == 404
    await add_application(client, endpointSlug=f"gone-{acme.slug}")


async def test_the_application_of_devices_that_name_none_stays(acme: Tenant) -> None:
    client = await Client.of(acme)
    default = (await client.data("applications.get"))["items"][0]["id"]
    answer = await client.ask("application.delete", applicationId=default)
    assert (answer.status_code, answer.json()["type"]) == (409, "Conflict")
    assert "stays" in answer.json()["message"]


async def test_other_dialects_keep_what_they_know_of_a_space(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client, description="ours")
    async with acme.work() as work:
        space = await registry.load_space(work, SpaceId(parse_hex24(id_) or acme.organization_id))
        assert json.loads(json.dumps(space.notes)) == {"losant": {"description": "ours"}}


async def test_of_many_devices_a_job_deletes_the_rest(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "_BATCH", 2)
    client = await Client.of(acme)
    id_ = await add_application(client)
    for number in range(5):
        await client.data("devices.post", applicationId=id_, json={"name": f"Pump {number}"})
    gone = await client.data("devices.post", applicationId=id_, json={"name": "Gone before"})
    await client.data("device.delete", applicationId=id_, deviceId=gone["id"])
    await client.data("events.post", applicationId=id_, json={"level": "info", "subject": "Leak"})
    await client.data("application.delete", applicationId=id_)
    assert await client.failure("application.get", applicationId=id_) == (404, "NotFound")
    assert id_ not in {each["id"] for each in (await client.data("applications.get"))["items"]}
    edge = acme.edge
    worker = background_worker(edge.system_database, edge.ports, JOB_HANDLERS)
    while await worker.work_once():
        pass
    space = parse_hex24(id_)
    async with edge.system_database.tx() as tx:
        for table in ("device", "deleted_device", "event", "access_key", "background_job"):
            sql = f"SELECT count(*) FROM {table} WHERE tenant_id = %s AND space_id = %s"
            assert await tx.value(sql, acme.tenant_id, space) == 0, table
        assert not await tx.value("SELECT count(*) FROM space WHERE id = %s", space)
