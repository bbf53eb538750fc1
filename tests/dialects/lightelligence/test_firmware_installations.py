"""Which firmware may go where, and how its installation goes on."""

from typing import Any
from uuid import uuid4

import pytest_asyncio

from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.fleet import add_device, add_type
from tests.dialects.lightelligence.test_firmwares import add_firmware

SLOTS = {"main": {"name": "Main firmware"}, "boot_1": {}}
AT = "2020-01-07T08:15:00Z"


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    return await Client.of(acme)


@pytest_asyncio.fixture
async def type_(client: Client) -> Any:
    return await add_type(client, slots=SLOTS)


async def associate(client: Client, type_: Any, firmware: Any, slot: str = "main") -> Any:
    """Devices of the type may get the firmware."""
    return await client.data(
        "associateFirmware", deviceTypeId=type_["id"], slotName=slot, json={"firmwareId": firmware["id"]}
    )


async def install(client: Client, device: Any, firmware: Any, slot: str = "main") -> Any:
    """The device shall have it."""
    body = {"firmwareId": firmware["id"], "slot": slot}
    return await client.data("createFirmwareInstallation", deviceId=device["id"], json=body)


async def report(client: Client, installation: Any, **body: str) -> Any:
    """How it goes on."""
    place = {"deviceId": installation["deviceId"], "installationId": installation["id"]}
    return await client.data("updateFirmwareInstallation", **place, json=body)


async def test_a_firmware_is_allowed_in_a_slot_of_a_type_once_and_taken_out_again(client: Client, type_: Any) -> None:
    firmware = await add_firmware(client)
    place = {"deviceTypeId": type_["id"], "slotName": "main"}
    made = await associate(client, type_, firmware)
    assert made == {"id": made["id"], "deviceTypeId": type_["id"], "slotName": "main", "firmwareId": firmware["id"]}
    again = await client.failure("associateFirmware", **place, json={"firmwareId": firmware["id"]})
    assert again == (409, "DEVICE_CONNECTEDBY_CONFLICT")
    assert await client.data("listFirmwareAssociations", **place) == [made]
    assert await client.data("listFirmwareAssociations", **(place | {"slotName": "boot_1"})) == []

    gone = {**place, "associationId": made["id"]}
    assert (await client.ask("removeFirmwareAssociation", **gone)).status_code == 204
    assert await client.failure("removeFirmwareAssociation", **gone) == (404, "DEVICE_RESOURCE_NOT_FOUND")
    assert await client.data("listFirmwareAssociations", **place) == []


async def test_only_what_is_there_can_be_associated(client: Client, type_: Any, globex: Tenant) -> None:
    firmware = await add_firmware(client)
    place = {"deviceTypeId": type_["id"], "slotName": "main"}
    empty = await client.data("createFirmware", json={"name": "empty"})
    for id_ in (empty["id"], str(uuid4()), "x"):
        assert await client.failure("associateFirmware", **place, json={"firmwareId": id_}) == (
            400, "DEVICE_VALIDATION",
        )  # fmt: skip
    for wrong in ({"slotName": "other"}, {"deviceTypeId": uuid4()}):
        answer = await client.failure("associateFirmware", **(place | wrong), json={"firmwareId": firmware["id"]})
        assert answer == (404, "DEVICE_RESOURCE_NOT_FOUND")
    stranger = await Client.of(globex)
    assert (await stranger.failure("listFirmwareAssociations", **place))[0] == 404
    theirs = await add_type(stranger, slots=SLOTS)
    answer = await stranger.failure(
        "associateFirmware", deviceTypeId=theirs["id"], slotName="main", json={"firmwareId": firmware["id"]}
    )
    assert answer == (400, "DEVICE_VALIDATION")


async def test_an_installation_is_asked_for_begun_and_completed_and_the_device_has_it_then(
    acme: Tenant, client: Client, type_: Any
) -> None:
    firmware = await add_firmware(client, version="3.1.4")
    await associate(client, type_, firmware)
    device = await add_device(client, type_)
    made = await install(client, device, firmware)
    assert (made["deviceId"], made["firmwareId"], made["slot"]) == (device["id"], firmware["id"], "main")

    begun = await report(client, made, startedAt=AT)
    done = await report(client, made, completedAt="2020-01-07T09:20:00+01:00")
    assert (begun["startedAt"], done["startedAt"], done["completedAt"]) == (AT, AT, "2020-01-07T08:20:00Z")
    place = {"deviceId": device["id"], "installationId": made["id"]}
    assert await client.data("getFirmwareInstallation", **place) == done
    assert await client.failure("updateFirmwareInstallation", **place, json={"rejectedAt": AT}) == (
        400, "FIRMWARE_VALIDATION",
    )  # fmt: skip
    native = (await acme.api.get(f"/api/v1/devices/{device['id']}")).json()
    assert native["firmwareVersion"] == "3.1.4"


async def test_installations_are_listed_newest_first_or_only_the_newest_completed_of_each_slot(
    client: Client, type_: Any
) -> None:
    firmware = await add_firmware(client)
    for slot in SLOTS:
        await associate(client, type_, firmware, slot)
    device = await add_device(client, type_)
    made = [await install(client, device, firmware, slot) for slot in ("main", "main", "boot_1", "boot_1")]
    await report(client, made[0], completedAt="2020-01-02T00:00:00Z")
    await report(client, made[1], completedAt="2020-01-01T00:00:00Z")
    await report(client, made[2], rejectedAt=AT, rejectReason="too old")

    listed = await client.data("listFirmwareInstallations", deviceId=device["id"])
    assert [one["id"] for one in listed] == [one["id"] for one in reversed(made)]
    assert listed[1]["rejectReason"] == "too old"
    latest = await client.data("listFirmwareInstallations", deviceId=device["id"], params={"latestOnly": "true"})
    assert [one["id"] for one in latest] == [made[0]["id"]]


async def test_a_report_says_exactly_one_thing(client: Client, type_: Any) -> None:
    firmware = await add_firmware(client)
    await associate(client, type_, firmware)
    made = await install(client, await add_device(client, type_), firmware)
    place = {"deviceId": made["deviceId"], "installationId": made["id"]}
    for body in (
        {},
        {"startedAt": AT, "completedAt": AT},
        {"rejectReason": "no"},
        {"startedAt": AT, "rejectReason": "no"},
        {"startedAt": "yesterday"},
        {"startedAt": "2020-01-07T08:15:00"},
        {"rejectedAt": AT, "rejectReason": "x" * 256},
    ):
        assert (await client.failure("updateFirmwareInstallation", **place, json=body))[0] == 400, body
    assert await client.data("getFirmwareInstallation", **place) == made


async def test_what_a_type_does_not_allow_is_not_installed_and_what_was_asked_for_goes_on(
    client: Client, type_: Any, globex: Tenant
) -> None:
    firmware = await add_firmware(client)
    device = await add_device(client, type_)
    place: dict[str, object] = {"deviceId": device["id"]}
    body = {"firmwareId": firmware["id"], "slot": "main"}
    assert (await client.failure("createFirmwareInstallation", **place, json=body))[0] == 400
    allowed = await associate(client, type_, firmware)
    made = await install(client, device, firmware)
    assert (await client.failure("createFirmwareInstallation", **place, json=body | {"slot": "boot_1"}))[0] == 400

    gone = {"deviceTypeId": type_["id"], "slotName": "main", "associationId": allowed["id"]}
    assert (await client.ask("removeFirmwareAssociation", **gone)).status_code == 204
    assert (await report(client, made, startedAt=AT))["startedAt"] == AT

    stranger = await Client.of(globex)
    for operation in ("createFirmwareInstallation", "listFirmwareInstallations"):
        sent = body if operation.startswith("create") else None
        assert await stranger.failure(operation, **place, json=sent) == (403, "FIRMWARE_NO_ACCESS_TO_RESOURCE")
    elsewhere = {**place, "installationId": made["id"]}
    assert (await stranger.failure("getFirmwareInstallation", **elsewhere))[0] == 403
