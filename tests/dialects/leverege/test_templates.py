"""/template."""

from typing import Any

from roadstead.core import notify
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.world import project_of

SENT: dict[str, Any] = {
    "name": "Welcome",
    "type": "email",
    "subject": "Hello {{name}}",
    "html": "<p>Hello</p>",
    "text": "Hello",
}


async def test_a_template_is_kept_for_programs_of_its_project(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    made = await client.data("template.create", json=SENT, projectId=project_of(client))
    assert made == SENT | {"id": made["id"]}
    names = {"projectId": project_of(client), "templateId": made["id"]}
    assert await client.data("template.get", **names) == made
    assert (await client.http.get(f"/v1/template/{made['id']}")).json() == made
    assert (await client.data("template.list", projectId=project_of(client)))["items"] == [made]
    async with acme.work() as work:
        [kept] = await notify.list_message_templates(work)
    assert (kept.name, kept.plain) == ("Welcome", "Hello")

    assert (await stranger.data("template.list", projectId=project_of(stranger)))["items"] == []
    for operation, body in (("template.get", None), ("template.update", {"name": "x"}), ("template.delete", None)):
        theirs = names | {"projectId": project_of(stranger)}
        assert await stranger.failure(operation, json=body, **theirs) == 404, operation
        assert await stranger.failure(operation, json=body, **names) == 404, operation


async def test_a_template_is_changed_replaced_and_deleted(acme: Tenant) -> None:
    client = await Client.of(acme)
    made = await client.data("template.create", json=SENT, projectId=project_of(client))
    names = {"projectId": project_of(client), "templateId": made["id"]}
    changed = await client.data("template.update", json=[{"op": "remove", "path": "html"}], **names)
    assert changed == {name: value for name, value in made.items() if name != "html"}
    replaced = await client.http.put(f"/v1/template/{made['id']}", json={"name": "Bye", "type": "sms"})
    assert replaced.json() == {"id": made["id"], "name": "Bye", "type": "sms"}
    for wrong in ({"name": ""}, {"type": "fax"}, {"text": "\0"}, {"subject": "x" * 256}, {"html": 3}):
        assert await client.failure("template.update", json=wrong, **names) == 400, wrong
    assert (await client.data("template.delete", **names))["deleted"]
    assert await client.failure("template.get", **names) == 404
    assert await client.failure("template.delete", **names) == 404
    assert await client.failure("template.get", projectId=project_of(client), templateId="nothing") == 404
