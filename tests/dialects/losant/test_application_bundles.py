"""Applications as bundles: taken out, and made again here and elsewhere."""

import io
import json
import zipfile
from typing import Any

import httpx
import yaml

from roadstead.kernel.ids import to_hex24
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client, check_answer
from tests.dialects.losant.jobs import run_job
from tests.dialects.losant.world import add_application

README = "# Harbour\n\nCranes, and `pumps`.\n"
GLOBALS = [{"key": "limit", "json": "40", "cloudOnly": True}, {"key": "hosts", "json": '["a"]', "description": "who"}]
DEVICE = {
    "description": "lifts\nthings",
    "tags": [
        {"key": "dock", "value": "on"},
        {"key": "dock", "value": "12:30"},
        {"key": "since", "value": "2024-01-01"},
    ],
    "attributes": [
        {"name": "load", "dataType": "number", "attributeTags": {"unit": "t"}, "description": "of the hook"},
        {"name": "place", "dataType": "gps"},
        {"name": "photo", "dataType": "blob", "contentType": "image/png"},
    ],
    "keepDuplicates": True,
}


async def _furnish(client: Client) -> str:
    """An application with a gateway and two peripherals in a system, three of them called alike."""
    id_ = await add_application(client, "Harbour", description="on the river", globals=GLOBALS, blobUrlTTL=7200)
    await client.data("application.readmePatch", applicationId=id_, json={"content": README})
    system = await _add(client, id_, "Dock", deviceClass="system", systemInterval=60)
    gateway = await _add(client, id_, "Crane", deviceClass="gateway", parentId=system, **DEVICE)
    for _ in range(2):
        await _add(client, id_, "Crane", deviceClass="peripheral", gatewayId=gateway, parentId=system)
    child = {"name": "loads", "mode": "whitelist", "deviceIds": [gateway]}
    sums = {"name": "sum", "dataType": "number", "system": {"aggregation": "SUM", "childAttributes": [child]}}
    await client.data("deviceAttributes.post", applicationId=id_, deviceId=system, json=sums)
    return id_


async def _add(client: Client, application_id: str, name: str, **fields: Any) -> str:
    made = await client.data("devices.post", applicationId=application_id, json={"name": name} | fields)
    id_: str = made["id"]
    return id_


async def _export(client: Client, application_id: str) -> bytes:
    queued = await client.data("application.export", applicationId=application_id, json={"includeDevices": True})
    log = await run_job(client, application_id, queued)
    assert log["status"] == "completed", log
    answer = await client.tenant.client().get(log["output"]["downloadUrls"][0])
    assert answer.status_code == 200
    return answer.content


async def _import(
    client: Client, content: bytes | None, *, into: str | None = None, options: Any = None, **fields: str
) -> httpx.Response:
    path = "/applications/import" if into is None else f"/applications/{into}/import"
    parts: Any = {name: (None, value) for name, value in fields.items()}
    if content is not None:
        parts["importBundle"] = ("bundle.zip", content, "application/zip")
    parts["options"] = (None, json.dumps(options or {}))
    answer = await client.http.post(path, files=parts)
    check_answer("applications.import" if into is None else "application.import", answer)
    return answer


async def _devices(client: Client, application_id: str) -> list[dict[str, Any]]:
    """Its devices, with words instead of ids."""
    found = (await client.data("devices.get", applicationId=application_id, params={"sortField": "creationDate"}))[
        "items"
    ]
    words = {each["id"]: f"#{number}" for number, each in enumerate(sorted(found, key=_order))}
    text = json.dumps(sorted(found, key=_order))
    for id_, word in words.items():
        text = text.replace(id_, word)
    shown: list[dict[str, Any]] = json.loads(text)
    hidden = ("creationDate", "lastUpdated", "applicationId", "_links", "_etag")
    return [{name: value for name, value in each.items() if name not in hidden} for each in shown]


def _order(device: dict[str, Any]) -> tuple[str, str, str]:
    return device["name"], device["deviceClass"], device["creationDate"]


async def test_what_was_exported_is_the_same_in_another_organization(acme: Tenant, globex: Tenant) -> None:
    ours, theirs = await Client.of(acme), await Client.of(globex)
    id_ = await _furnish(ours)
    content = await _export(ours, id_)
    made = (await _import(theirs, content)).json()["application"]
    before = await ours.data("application.get", applicationId=id_)
    assert made["ownerId"] == to_hex24(globex.organization_id)
    for name in ("name", "description", "globals", "blobUrlTTL"):
        assert made[name] == before[name]
    assert (await theirs.data("application.readme", applicationId=made["id"]))["content"] == README
    assert await _devices(theirs, made["id"]) == await _devices(ours, id_)
    again = await _export(theirs, made["id"])
    assert _files(again) == _files(content)
    [log] = await theirs.data("application.importLogs", applicationId=made["id"])
    assert (log["importSourceType"], log["status"]) == ("importBundle", "completed")


def _files(content: bytes) -> dict[str, Any]:
    """What is in a bundle; the order of devices is that in which they were made."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def test_a_bundle_is_yaml_with_placeholders_and_without_ids(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await _furnish(client)
    files = _files(await _export(client, id_))
    assert set(files) == {"application.yaml", "devices.yaml", "README.md"}
    whole = yaml.safe_load(files["devices.yaml"])
    assert (whole["resourceType"], whole["version"]) == ("DeviceTree", 1)
    [dock] = whole["resources"]
    words = [each["id"] for each in dock["children"]]
    assert words == [
        "~exportplaceholderid-device-crane~",
        "~exportplaceholderid-device-crane-1~",
        "~exportplaceholderid-device-crane-2~",
    ]
    assert {each.get("gatewayId") for each in dock["children"]} == {None, words[0]}
    assert dock["attributes"][0]["system"]["childAttributes"][0]["deviceIds"] == [words[0]]
    assert id_.encode() not in b"".join(files.values())


async def test_what_there_is_not_yet_is_refused_by_name(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    for flag in ("includeFiles", "includePrivateFiles", "includeDataTableRows"):
        for action in ("application.export", "application.clone"):
            answer = await client.ask(action, applicationId=id_, json={flag: True})
            assert answer.status_code == 400
            assert flag in answer.json()["message"]
    answer = await client.ask("application.export", applicationId=id_, json={"exportType": "repo"})
    assert (answer.status_code, "repositories" in answer.json()["message"]) == (400, True)
    for options in ({"include": ["Dashboard"]}, {"importUrl": "https://a.test/b.zip"}, {"credentialName": "git"}):
        answer = await _import(client, _bundle(), into=id_, options=options)
        assert answer.status_code == 400, answer.text
    for action in ("application.applyTemplate", "application.fullDataTablesArchive"):
        assert await client.failure(action, applicationId=id_, json={"templateId": "0" * 24}) == (
            501,
            "NotImplemented",
        )


async def test_a_bundle_of_more_than_there_is_here_is_taken_in_part_only_when_that_is_said(acme: Tenant) -> None:
    client = await Client.of(acme)
    content = _bundle(devices=[{"id": "~a~", "name": "Pump"}], more={"dashboards/Overview.yaml": "resources: []"})
    answer = await _import(client, content)
    assert answer.status_code == 422
    [problem] = answer.json()["validationErrors"]
    assert (problem["type"], problem["name"]) == ("dashboards", "dashboards/Overview.yaml")
    answer = await _import(client, content, options={"include": ["Device"]})
    assert answer.status_code == 201
    assert [each["name"] for each in await _devices(client, answer.json()["application"]["id"])] == ["Pump"]


async def test_devices_that_are_there_already_are_kept_replaced_or_an_error(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    pump = await _add(client, id_, "Pump", description="old", tags=[{"key": "a", "value": "1"}])
    content = _bundle(
        devices=[
            {"id": "~p~", "name": "Pump", "description": "new", "tags": [{"key": "b", "value": "2"}]},
            {"id": "~v~", "name": "Valve", "attributes": [{"name": "open", "dataType": "boolean"}]},
        ]
    )
    answer = await _import(client, content, into=id_, options={"conflictBehavior": "error"})
    assert answer.status_code == 422
    assert [each["name"] for each in answer.json()["validationErrors"]] == ["Pump"]
    dry = {"conflictBehavior": "replace", "dryRun": True}
    assert (await _import(client, content, into=id_, options=dry)).status_code == 200
    assert len(await _devices(client, id_)) == 1

    assert (await _import(client, content, into=id_, options={"conflictBehavior": "retain"})).status_code == 200
    assert [(each["name"], each.get("description")) for each in await _devices(client, id_)] == [
        ("Pump", "old"),
        ("Valve", None),
    ]
    assert (await _import(client, content, into=id_, options={"conflictBehavior": "replace"})).status_code == 200
    shown = await client.data("device.get", applicationId=id_, deviceId=pump)
    assert (shown["description"], shown["tags"]) == ("new", [{"key": "b", "value": "2"}])
    assert (await _import(client, content, into=id_)).status_code == 200
    assert [each["name"] for each in await _devices(client, id_)] == ["Pump", "Pump", "Valve", "Valve"]

    logs = await client.data("application.importLogs", applicationId=id_, params={"limit": 10})
    assert [(each["status"], each["conflictBehavior"]) for each in logs] == [
        ("completed", "create"),
        ("completed", "replace"),
        ("completed", "retain"),
        ("completed", "replace"),
        ("failed", "error"),
    ]
    assert logs[3]["dryRun"]
    assert logs[4]["validationErrors"][0]["name"] == "Pump"


async def test_a_text_that_nobody_could_keep_is_refused_by_name(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    answer = await _import(client, _bundle(devices=[{"id": "~p~", "name": "a\0b"}]), into=id_)
    assert answer.status_code == 400
    assert answer.json()["message"] == "devices.yaml/resources/0/name: holds a zero byte"
    answer = await _import(client, _bundle(application={"globals": [{"key": "a", "json": "1", "description": "\0"}]}))
    assert answer.status_code == 400
    assert answer.json()["message"] == "application.yaml/resources/0/globals/0/description: holds a zero byte"


async def test_of_a_global_there_can_be_no_second(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client, globals=[{"key": "limit", "json": "1"}])
    content = _bundle(application={"globals": [{"key": "limit", "json": "2"}]})
    assert (await _import(client, content, into=id_)).status_code == 422
    await _import(client, content, into=id_, options={"conflictBehavior": "retain"})
    assert (await client.data("application.get", applicationId=id_))["globals"][0]["json"] == "1"
    await _import(client, content, into=id_, options={"conflictBehavior": "replace"})
    assert (await client.data("application.get", applicationId=id_))["globals"][0]["json"] == "2"


async def test_a_bundle_that_does_not_fit_changes_nothing(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    content = _bundle(
        devices=[
            {"id": "~g~", "name": "Pump"},
            {"id": "~v~", "name": "Valve", "deviceClass": "standalone", "gatewayId": "~g~"},
        ]
    )
    answer = await _import(client, content, into=id_)
    assert (answer.status_code, answer.json()["type"]) == (422, "Validation")
    assert answer.json()["validationErrors"][0]["name"] == "Valve"
    assert await _devices(client, id_) == []
    for broken in (b"no zip", _bundle(more={"devices.yaml": "resourceType: Flow"}), _bundle(more=_BOMB)):
        assert (await _import(client, broken, into=id_)).status_code == 400


_BOMB = {"devices.yaml": "resourceType: DeviceTree\nversion: 1\nresources: [&a {id: x, name: y}, *a]"}


async def test_an_application_is_cloned_at_once_or_by_a_job(acme: Tenant, globex: Tenant) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    id_ = await _furnish(client)
    body = {"includeDevices": True, "dryRun": True}
    assert await client.data("application.clone", applicationId=id_, json=body) == {
        "success": True,
        "requiresJob": False,
    }
    clone = (await client.data("application.clone", applicationId=id_, json={"includeDevices": True}))["application"]
    assert clone["id"] != id_
    assert await _devices(client, clone["id"]) == await _devices(client, id_)
    bare = (await client.data("application.clone", applicationId=id_, json={}))["application"]
    assert await _devices(client, bare["id"]) == []

    queued = await client.data("application.clone", applicationId=id_, json={"includeDevices": True, "forceJob": True})
    second = {"forceJob": True}
    assert await client.failure("application.clone", applicationId=id_, json=second) == (409, "Conflict")
    log = await run_job(client, id_, queued)
    assert await _devices(client, log["output"]["applicationId"]) == await _devices(client, id_)
    stranger = {"ownerId": to_hex24(globex.organization_id), "ownerType": "organization"}
    assert await client.failure("application.clone", applicationId=id_, json=stranger) == (404, "NotFound")
    assert await client.failure("application.clone", applicationId=id_, json={"ownerType": "user"}) == (
        400,
        "Validation",
    )
    assert await theirs.failure("application.clone", applicationId=id_, json={}) == (404, "NotFound")


async def test_a_job_imports_what_was_sent_or_what_another_application_has(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await _furnish(client)
    content = await _export(client, id_)
    target = await add_application(client, "Mill")
    answer = await _import(client, content, into=target, options={"forceJob": True})
    assert answer.status_code == 202
    [log] = await client.data("application.importLogs", applicationId=target)
    assert (log["status"], log["jobId"]) == ("queued", answer.json()["jobId"])
    done = await run_job(client, target, answer.json())
    assert done["output"]["created"] == 4
    assert await _devices(client, target) == await _devices(client, id_)
    options = {"fromApplicationId": id_, "conflictBehavior": "retain", "forceJob": True, "include": ["Device"]}
    answer = await _import(client, None, into=target, options=options)
    done = await run_job(client, target, answer.json())
    assert done["output"]["skipped"] == 4
    options = {"fromApplicationId": id_, "conflictBehavior": "error", "forceJob": True}
    answer = await _import(client, None, into=target, options=options)
    assert (await run_job(client, target, answer.json()))["status"] == "failed"
    [log] = await client.data("application.importLogs", applicationId=target)
    assert (log["status"], log["fromApplicationId"]) == ("failed", id_)
    assert len(log["validationErrors"]) == 4


async def test_a_new_application_can_be_imported_by_a_job(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await _furnish(client)
    content = await _export(client, id_)
    answer = await _import(client, content, options={"forceJob": True}, includeDevices="false")
    home = next(each for each in (await client.data("applications.get"))["items"] if each["name"] == "Default")
    done = await run_job(client, home["id"], answer.json())
    made = done["output"]["applicationId"]
    assert (await client.data("application.get", applicationId=made))["description"] == "on the river"
    assert await _devices(client, made) == []


def _bundle(
    *, application: dict[str, Any] | None = None, devices: Any = None, more: dict[str, str] | None = None
) -> bytes:
    """A bundle as somebody may have written it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        resources = [{"name": "Sent", "authorName": "somebody", "keywords": []} | (application or {})]
        whole = {"resourceType": "Application", "version": 1, "resources": resources}
        archive.writestr("application.yaml", yaml.safe_dump(whole))
        if devices is not None:
            whole = {"resourceType": "DeviceTree", "version": 1, "resources": devices}
            archive.writestr("devices.yaml", yaml.safe_dump(whole))
        for name, text in (more or {}).items():
            archive.writestr(name, text)
    return packed.getvalue()
