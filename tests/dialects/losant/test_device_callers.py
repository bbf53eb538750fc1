"""Devices as callers: themselves, what they connect, and the other devices of their key (contract section 3)."""

from typing import Any

import pytest

from roadstead.dialects.losant import commands
from tests.conftest import Tenant
from tests.dialects.losant.contract import ACTIONS, Client
from tests.dialects.losant.data_path import edge
from tests.dialects.losant.test_scopes import WITH_TOKEN
from tests.dialects.losant.world import add_application, add_device

__all__ = ["edge"]


async def device_client(client: Client, application: str, device: str, **key: Any) -> Client:
    """A program on a device, with a key of its own making."""
    made = await client.data("applicationKeys.post", applicationId=application, json=key)
    credentials = {"deviceId": device, "key": made["key"], "secret": made["secret"]}
    told = await client.data("auth.authenticateDevice", json=credentials)
    return Client(client.tenant, told["token"])


async def test_a_device_sees_itself_and_no_other(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device, other = await add_device(client, application, "one"), await add_device(client, application, "other")
    program = await device_client(client, application, device, deviceIds=[device])
    assert (await program.data("device.get", applicationId=application, deviceId=device))["name"] == "one"
    refused = await program.failure("device.get", applicationId=application, deviceId=other)
    assert refused == (404, "NotFound")
    page = await program.data("devices.get", applicationId=application)
    assert ([each["id"] for each in page["items"]], page["totalCount"]) == ([device], 1)
    renamed = await program.failure("device.patch", applicationId=application, deviceId=device, json={"name": "x"})
    assert renamed == (403, "Forbidden")
    for action in ("application.get", "applicationKeys.get", "devices.tagKeys"):
        assert await program.failure(action, applicationId=application) == (403, "Forbidden")


async def test_a_key_for_several_devices_shows_them_to_each_other(acme: Tenant) -> None:
    client = await Client.of(acme)
    application, elsewhere = await add_application(client), await add_application(client, "Quay")
    pump: dict[str, Any] = {"tags": [{"key": "kind", "value": "pump"}]}
    device, named = await add_device(client, application), await add_device(client, application)
    tagged, other = await add_device(client, application, **pump), await add_device(client, application)
    far = await add_device(client, elsewhere, **pump)
    program = await device_client(
        client, application, device, deviceIds=[device, named], deviceTags=[{"key": "kind", "value": "pump"}]
    )
    page = await program.data("devices.get", applicationId=application)
    assert {each["id"] for each in page["items"]} == {device, named, tagged}
    for seen in (device, named, tagged):
        assert await program.data("device.get", applicationId=application, deviceId=seen)
    for hidden in (other, far):
        refused = await program.failure("device.get", applicationId=application, deviceId=hidden)
        assert refused == (404, "NotFound")
    assert await program.failure("devices.get", applicationId=elsewhere) == (404, "NotFound")
    # It reads them, and does not speak for them.
    body: Any = {"data": {}}
    refused = await program.failure("device.sendState", applicationId=application, deviceId=named, json=body)
    assert refused == (404, "NotFound")


async def test_deleted_devices_are_as_far_away_as_others(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    pump: dict[str, Any] = {"tags": [{"key": "kind", "value": "pump"}]}
    device, other = await add_device(client, application), await add_device(client, application)
    tagged = await add_device(client, application, **pump)
    for gone in (other, tagged):
        await client.data("device.delete", applicationId=application, deviceId=gone)
    program = await device_client(
        client, application, device, deviceIds=[device], deviceTags=[{"key": "kind", "value": "pump"}]
    )
    page = await program.data("devices.get", params={"queryDeleted": True}, applicationId=application)
    assert [each["id"] for each in page["items"]] == [tagged]


async def test_a_key_for_all_devices_shows_the_application(acme: Tenant) -> None:
    client = await Client.of(acme)
    application, elsewhere = await add_application(client), await add_application(client, "Quay")
    device, other = await add_device(client, application), await add_device(client, application)
    far = await add_device(client, elsewhere)
    program = await device_client(client, application, device)
    page = await program.data("devices.get", applicationId=application)
    assert {each["id"] for each in page["items"]} == {device, other}
    refused = await program.failure("device.get", applicationId=application, deviceId=far)
    assert refused == (404, "NotFound")


async def test_a_gateway_reports_for_its_peripherals(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    gateway = await add_device(client, application, deviceClass="gateway")
    second = await add_device(client, application, deviceClass="gateway")
    number = [{"name": "t", "dataType": "number"}]
    own = await add_device(client, application, deviceClass="peripheral", gatewayId=gateway, attributes=number)
    free = await add_device(client, application, deviceClass="peripheral", attributes=number)
    others = await add_device(client, application, deviceClass="peripheral", gatewayId=second, attributes=number)
    program = await device_client(client, application, gateway, deviceIds=[gateway])
    for reported in (own, free):
        body = {"data": {"t": 1}}
        assert await program.data("device.sendState", applicationId=application, deviceId=reported, json=body)
    refused = await program.failure(
        "device.sendState", applicationId=application, deviceId=others, json={"data": {"t": 1}}
    )
    assert refused == (404, "NotFound")
    # It says something for them, and does not read what they say.
    refused = await program.failure("device.getState", applicationId=application, deviceId=own)
    assert refused == (404, "NotFound")


BODIES: dict[str, Any] = {
    "data.export": {"attributes": ["t"], "email": "somebody@acme.test"},
    "data.lastValueQuery": {"attribute": "t"},
    "data.timeSeriesQuery": {"attributes": ["t"], "duration": 3_600_000},
    "device.sendCommand": {"name": "go"},
    "device.sendState": {"data": {"t": 1}},
    "device.setConnectionStatus": {"status": "connected"},
    "devices.sendCommand": {"name": "go", "deviceIds": []},
}
FOR_DEVICES = [name for name in WITH_TOKEN if "all.Device" in ACTIONS[name]["scopes"] and "Stream" not in name]


@pytest.mark.parametrize("action", FOR_DEVICES)
async def test_a_device_has_the_rights_for_all_that_is_for_devices(acme: Tenant, action: str) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device = await add_device(client, application, attributes=["t"])
    program = await device_client(client, application, device)
    place = {"applicationId": application, "deviceId": device, "name": "t"}
    assert (await program.ask(action, json=BODIES.get(action), **place)).status_code < 300


async def test_what_a_job_would_do_needs_a_key_for_all_devices(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_AT_ONCE", 1)
    client = await Client.of(acme)
    application = await add_application(client)
    devices = [await add_device(client, application, name) for name in ("one", "two")]
    program = await device_client(client, application, devices[0], deviceIds=devices)
    body = {"name": "blink", "deviceIds": devices}
    assert await program.failure("devices.sendCommand", applicationId=application, json=body) == (403, "Forbidden")
    everybody = await device_client(client, application, devices[0])
    assert (await everybody.ask("devices.sendCommand", applicationId=application, json=body)).status_code == 202


async def test_a_token_is_good_for_as_long_as_its_key_and_its_device(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device, other = await add_device(client, application), await add_device(client, application)
    key = await client.data("applicationKeys.post", applicationId=application, json={})
    programs = []
    for each in (device, other):
        credentials = {"deviceId": each, "key": key["key"], "secret": key["secret"]}
        programs.append(Client(acme, (await client.data("auth.authenticateDevice", json=credentials))["token"]))
    place = {"applicationId": application, "applicationKeyId": key["id"]}
    await client.data("applicationKey.patch", json={"status": "inactive"}, **place)
    assert await programs[0].failure("devices.get", applicationId=application) == (401, "Unauthorized")
    await client.data("applicationKey.patch", json={"status": "active"}, **place)
    assert await programs[0].data("devices.get", applicationId=application)
    await client.data("device.delete", applicationId=application, deviceId=other)
    assert await programs[1].failure("devices.get", applicationId=application) == (401, "Unauthorized")
    await client.data("applicationKey.delete", **place)
    assert await programs[0].failure("devices.get", applicationId=application) == (401, "Unauthorized")


async def test_no_device_comes_in_to_an_application_that_is_gone(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device = await add_device(client, application)
    key = await client.data("applicationKeys.post", applicationId=application, json={})
    credentials = {"deviceId": device, "key": key["key"], "secret": key["secret"]}
    program = Client(acme, (await client.data("auth.authenticateDevice", json=credentials))["token"])
    await client.data("application.delete", applicationId=application)
    assert await program.failure("devices.get", applicationId=application) == (401, "Unauthorized")
    assert await client.failure("auth.authenticateDevice", json=credentials) == (401, "Unauthorized")


async def test_a_device_does_what_its_scopes_say(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device = await add_device(client, application)
    key = await client.data("applicationKeys.post", applicationId=application, json={})
    credentials = {"deviceId": device, "key": key["key"], "secret": key["secret"]}
    asked = credentials | {"requestedScopes": ["all.Device.read"]}
    program = Client(acme, (await client.data("auth.authenticateDevice", json=asked))["token"])
    place = {"applicationId": application, "deviceId": device}
    assert await program.data("device.get", **place)
    assert await program.failure("device.sendState", json={"data": {}}, **place) == (403, "Forbidden")
    wider = credentials | {"requestedScopes": ["all.Application"]}
    assert await client.failure("auth.authenticateDevice", json=wider) == (400, "Validation")


async def test_devices_of_another_organization_are_not_there(acme: Tenant, globex: Tenant) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    application, elsewhere = await add_application(client), await add_application(theirs)
    device, foreign = await add_device(client, application), await add_device(theirs, elsewhere)
    program = await device_client(client, application, device)
    for place in (
        {"applicationId": elsewhere, "deviceId": foreign},
        {"applicationId": application, "deviceId": foreign},
    ):
        assert await program.failure("device.get", **place) == (404, "NotFound")
