"""/v1/audit-logs: who has changed what, as pages and as a file."""

import csv
import io
from uuid import UUID

from roadstead.core import registry
from roadstead.core.identity import Permission
from roadstead.core.registry import DeviceDraft
from roadstead.dialects.lightelligence import audit
from roadstead.kernel.actor import Role
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.programs import add_application, as_application, install, permissions
from tests.dialects.native.fleet import ok
from tests.people import add_person, client_of, sign_in


async def make_device(tenant: Tenant, name: str) -> str:
    """A device that somebody has made, as the native API spells it."""
    return str(ok(await tenant.api.post("/api/v1/devices", json={"name": name}))["id"])


async def test_the_log_names_actor_deed_and_thing_newest_first(acme: Tenant, globex: Tenant) -> None:
    client = await Client.of(acme)
    device = await make_device(acme, "pump-1")
    await make_device(globex, "not ours")
    person = await add_person(acme, Role.MEMBER)
    async with client_of(acme, await sign_in(acme, person)) as human:
        ok(await human.patch(f"/api/v1/devices/{device}", json={"name": "pump-2"}))

    template = {"notificationRecipient": "ada@example.org", "notificationPayload": "x"}
    wanted = {"eventFilter": {"deviceEvent": ["crowded"]}}
    await client.data("createNotification", json={"notificationTemplate": template, "notificationFilter": wanted})

    page = (await client.ask("listAuditLogs", params={"pageSize": 100})).json()
    about = [line for line in page["data"] if line["messagePayload"].get("resourceId") == device]
    assert [line["action"] for line in about] == ["device.updated", "device.created"]
    changed, made = about
    assert (changed["userId"], changed["userEmail"]) == (str(person.id), person.email)
    assert f"[{person.id}] updated device [{device}]" in changed["auditMessage"]
    assert changed["messagePayload"]["changes"] == [{"path": "name", "from": "pump-1", "to": "pump-2"}]
    assert "userEmail" not in made
    assert changed["clientId"] == ""
    assert [line["clientId"] for line in page["data"] if line["action"] == "notification.created"] == ["olt-portal"]
    assert made["clientId"] == made["userId"]
    assert {line["tenantId"] for line in page["data"]} == {str(acme.organization_id)}
    assert page["meta"]["itemsTotal"] == len(page["data"])
    assert [line["createdAt"] for line in page["data"]] == sorted(
        (line["createdAt"] for line in page["data"]), reverse=True
    )
    assert not any("not ours" in str(line) for line in page["data"])

    small = (await client.ask("listAuditLogs", params={"pageSize": 2, "page": 1})).json()
    assert small["data"] == page["data"][2:4]
    for params in ({"pageSize": 0}, {"pageSize": 101}, {"page": -1}):
        assert await client.failure("listAuditLogs", params=params) == (400, "VALIDATION")
    assert await Client(acme).failure("listAuditLogs") == (401, "UNAUTHORIZED")
    application = await add_application(client, acme, permissions=permissions(client=[Permission.INGEST_WRITE]))
    await install(client, application)
    assert await (await as_application(acme, application)).failure("listAuditLogs") == (403, "FORBIDDEN")


async def test_all_of_it_is_one_file_for_those_who_want_csv(acme: Tenant) -> None:
    client = await Client.of(acme)
    async with acme.work() as work:
        for number in range(audit._AT_ONCE + 1):
            await registry.create_device(work, DeviceDraft(name=f'{number}, "quoted"\nname'))
    client.http.headers["Accept"] = "text/csv"
    answer = await client.http.get("/v1/audit-logs", params={"pageSize": 1, "page": 7})
    assert answer.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    client.http.headers["Accept"] = "application/json"
    total = (await client.ask("listAuditLogs")).json()["meta"]["itemsTotal"]
    assert len(lines) == total > audit._AT_ONCE
    newest = (await client.ask("listAuditLogs", params={"pageSize": 1})).json()["data"][0]
    assert lines[0]["id"] == newest["id"]
    assert lines[0]["auditMessage"] == newest["auditMessage"]
    assert lines[0]["actionTimestamp"] == newest["actionTimestamp"]
    assert list(lines[0]) == [
        "id", "producer", "producerVersion", "userId", "userEmail", "clientId", "tenantId", "action",
        "actionTimestamp", "logTimestamp", "auditMessage", "messagePayload", "createdAt",
    ]  # fmt: skip
    assert len({UUID(line["id"]) for line in lines}) == total


def test_deeds_have_the_words_of_the_original() -> None:
    for action, spelled in {
        "organization.create": "tenant.created",
        "invitation.accept": "invite.accepted",
        "invitation.decline": "invite.declined",
        "application.install": "application.installed",
        "application.uninstall": "application.uninstalled",
        "device.set-status": "device.updated",
        "device-type.delete": "device-type.deleted",
        "mailing.create": "notification.created",
        "certificate.register": "certificate.created",
        "configuration.create_artefact": "configuration.created",
    }.items():
        assert audit.spell_action(action) == spelled
