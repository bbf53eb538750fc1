"""Firmware: a record, then its content, once."""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio

from roadstead.core import firmware
from roadstead.kernel.actor import Role
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client, check_answer

CONTENT = b"\x7fELF" + bytes(range(256)) * 40


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    return await Client.of(acme)


async def attach(client: Client, firmware_id: str, content: bytes = CONTENT) -> httpx.Response:
    """Its content, as a program sends it."""
    headers = {"Content-Type": "application/octet-stream"}
    answer = await client.http.post(f"/v1/firmwares/{firmware_id}/blob", content=content, headers=headers)
    check_answer("attachBlob", answer)
    return answer


async def add_firmware(client: Client, **fields: Any) -> Any:
    """A firmware with content, as `getFirmware` answers it."""
    made = await client.data("createFirmware", json={"name": "Main", "version": "1.2.0", **fields})
    assert (await attach(client, made["id"])).status_code == 200
    return await client.data("getFirmware", id=made["id"])


async def test_a_firmware_is_a_record_first_and_has_size_url_and_hash_once_its_content_is_there(client: Client) -> None:
    made = await client.data("createFirmware", json={"name": "Main", "version": "build 7", "description": "first"})
    assert made["blobAttached"] is False
    assert {"size", "downloadUrl", "hashes"}.isdisjoint(made)

    answer = await attach(client, made["id"])
    found = await client.data("getFirmware", id=made["id"])
    assert answer.json() == {"data": {"downloadUrl": found["downloadUrl"]}}
    assert found["downloadUrl"] == f"http://api.olt.test/v1/firmwares/{made['id']}/blob"
    assert (found["blobAttached"], found["size"]) == (True, len(CONTENT))
    assert found["hashes"] == ["1220" + hashlib.sha256(CONTENT).hexdigest()]
    assert [found[name] for name in ("name", "version", "description")] == ["Main", "build 7", "first"]


async def test_content_comes_once_and_is_fetched_through_a_link_without_a_token(acme: Tenant, client: Client) -> None:
    made = await add_firmware(client)
    assert (await attach(client, made["id"], b"other")).status_code == 423
    assert (await attach(client, made["id"], b"other")).json()["errorCode"] == "FIRMWARE_BLOB_EXISTS"

    answer = await client.ask("downloadBlob", id=made["id"])
    assert answer.status_code == 302
    native = acme.client()
    fetched = await native.get(answer.headers["Location"])
    assert fetched.content == CONTENT
    # Good once.
    assert (await native.get(answer.headers["Location"])).status_code == 410


async def test_what_is_unknown_foreign_or_forbidden_looks_alike(client: Client, globex: Tenant) -> None:
    made = await add_firmware(client)
    stranger = await Client.of(globex)
    for id_ in (made["id"], uuid4()):
        for operation in ("getFirmware", "deleteFirmware", "downloadBlob"):
            assert await stranger.failure(operation, id=id_) == (403, "FIRMWARE_NO_ACCESS_TO_RESOURCE")
        assert (await attach(stranger, str(id_))).status_code == 403
    assert await stranger.data("listFirmwares") == []


async def test_a_record_without_content_lapses(client: Client, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadstead.core.firmware.records.LAPSES_AFTER", timedelta(seconds=-1))
    made = await client.data("createFirmware", json={"name": "Main"})
    kept = await add_firmware_later(client, monkeypatch)

    assert (await client.failure("getFirmware", id=made["id"]))[0] == 403
    assert (await attach(client, made["id"])).status_code == 403
    await firmware.sweep_records(acme.edge.system_database)
    assert [one["id"] for one in await client.data("listFirmwares")] == [kept["id"]]


async def add_firmware_later(client: Client, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("roadstead.core.firmware.records.LAPSES_AFTER", timedelta(minutes=5))
    return await add_firmware(client)


async def test_firmware_is_listed_newest_first_page_by_page_and_deleted_with_its_content(client: Client) -> None:
    made = [(await client.data("createFirmware", json={"name": f"f{number}"}))["id"] for number in range(3)]
    await attach(client, made[1])
    answer = await client.ask("listFirmwares", params={"page": 0, "pageSize": 2})
    assert [one["id"] for one in answer.json()["data"]] == made[:0:-1]
    assert answer.json()["meta"] == {"page": 0, "pageSize": 2, "itemsTotal": 3, "pagesTotal": 2}

    for id_ in made:
        assert (await client.ask("deleteFirmware", id=id_)).status_code == 204
    assert await client.data("listFirmwares") == []


async def test_the_native_api_shows_the_same_firmware_and_the_dialect_that_of_the_native_api(
    acme: Tenant, client: Client
) -> None:
    made = await add_firmware(client, name="Main", version="2.0.1")
    same_release = await add_firmware(client, name="Main", version="2.0.1")
    odd = await add_firmware(client, name="x" * 200, version="spring")

    items = {item["id"]: item for item in (await acme.api.get("/api/v1/firmware")).json()["items"]}
    assert items[made["id"]]["firmwareVersion"] == "2.0.1"
    assert items[made["id"]]["sizeBytes"] == len(CONTENT)
    assert items[made["id"]]["status"] == "PUBLISHED"
    assert items[same_release["id"]]["firmwareVersion"].startswith("0.0.0-")
    assert items[odd["id"]]["name"] == "x" * 120
    assert [(one["name"], one["version"]) for one in await client.data("listFirmwares")] == [
        ("x" * 200, "spring"), ("Main", "2.0.1"), ("Main", "2.0.1"),
    ]  # fmt: skip


async def test_what_cannot_be_is_told_with_its_name(client: Client) -> None:
    for body, name in (
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "x", "version": "y" * 256}, "version"),
        ({"name": "x", "description": 7}, "description"),
    ):
        answer = await client.ask("createFirmware", json=body)
        assert (answer.status_code, answer.json()["errorCode"]) == (400, "FIRMWARE_VALIDATION")
        assert name in answer.json()["errorMessage"]
    made = await client.data("createFirmware", json={"name": "x"})
    assert (await attach(client, made["id"], b"")).status_code == 400
    wrong = await client.http.post(f"/v1/firmwares/{made['id']}/blob", json={})
    assert (wrong.status_code, wrong.json()["errorCode"]) == (415, "FIRMWARE_UNKNOWN")


async def test_an_upload_that_is_cut_off_leaves_nothing(acme: Tenant, client: Client) -> None:
    made = await client.data("createFirmware", json={"name": "x"})

    async def broken() -> Any:
        yield CONTENT
        raise firmware.Interrupted

    attachments = firmware.Attachments(acme.edge.tenant_database, acme.edge.ports)
    with pytest.raises(firmware.Interrupted):
        await attachments.attach(acme.actor(), firmware.FirmwareId(UUID(made["id"])), broken())
    assert (await client.data("getFirmware", id=made["id"]))["blobAttached"] is False
    assert (await attach(client, made["id"])).status_code == 200


async def test_reading_is_not_writing(acme: Tenant, client: Client) -> None:
    made = await add_firmware(client)
    member = await Client.of(acme, Role.MEMBER)
    assert (await member.ask("getFirmware", id=made["id"])).status_code == 200
