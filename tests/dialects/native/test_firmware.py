"""/firmware over HTTP: releases, uploads that break and go on, downloads by tokens."""

import hashlib
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from roadstead.core import firmware
from roadstead.core.firmware import Interrupted, Uploads
from tests.conftest import Tenant
from tests.dialects.native.firmware import FIRMWARE, add_firmware, add_profile, describe, register
from tests.dialects.native.fleet import add_device, ok, problem
from tests.people import last_actions

CONTENT = os.urandom(100_000)


def token_of(url: str) -> str:
    """The secret at the end of a URL."""
    return url.rpartition("/")[2]


async def test_a_release_is_registered_uploaded_published_and_deprecated(acme: Tenant, globex: Tenant) -> None:
    await add_profile(acme)
    sent = {"releaseNotes": "faster", "metadata": {"board": "b2"}, "signature": b64encode(b"signed").decode()}
    made = await register(acme, CONTENT, "1.1.0-rc.1+7", **sent)
    path = f"{FIRMWARE}/{made['id']}"

    assert {key: made[key] for key in sent} == sent
    assert (made["firmwareVersion"], made["status"], made["uploadedBytes"]) == ("1.1.0-rc.1+7", "DRAFT", 0)
    assert (made["upload"]["method"], made["upload"]["storageKey"]) == ("PUT", f"firmware/{made['id']}")
    assert problem(await acme.api.post(f"{path}/publish"))[:2] == (409, "upload-missing")
    assert problem(await acme.api.post(f"{path}/deprecate"))[:2] == (409, "invalid-state")
    done = ok(await acme.api.put(made["upload"]["uploadUrl"], content=CONTENT))
    assert done == {"receivedBytes": len(CONTENT), "sizeBytes": len(CONTENT), "complete": True}

    published = await acme.api.post(f"{path}/publish")
    assert (ok(published)["status"], published.headers["etag"]) == ("PUBLISHED", f'"{published.json()["version"]}"')
    assert ok(await acme.api.post(f"{path}/publish"))["version"] == published.json()["version"]
    assert ok(await acme.api.post(f"{path}/deprecate"))["status"] == "DEPRECATED"
    assert problem(await acme.api.post(f"{path}/publish"))[:2] == (409, "invalid-state")
    assert problem(await globex.api.get(path))[0] == 404
    assert (await last_actions(acme, 4))[::3] == ["firmware.deprecate", "firmware.create"]


async def test_what_is_wrong_with_a_release_is_named(acme: Tenant, globex: Tenant) -> None:
    await add_profile(acme)
    await add_profile(globex, "valve")
    await register(acme, CONTENT, "1.0.0")
    for fields, expected in (
        ({"version": "1.0.0"}, (409, ["/version"])),
        ({"version": "1.0"}, (422, ["/version"])),
        ({"version": "1.0.01"}, (422, ["/version"])),
        ({"deviceProfile": "valve"}, (422, ["/deviceProfile"])),
        ({"sizeBytes": 0}, (422, ["/sizeBytes"])),
        ({"sizeBytes": 2**30 + 1}, (422, ["/sizeBytes"])),
        ({"sha256": "abc"}, (422, ["/sha256"])),
        ({"signature": "???"}, (422, ["/signature"])),
        ({"metadata": {"a": "x" * 20_000}}, (422, ["/metadata"])),
        ({"url": "https://example.org"}, (422, ["/url"])),
    ):
        body = describe(CONTENT, "2.0.0") | fields
        assert problem(await acme.api.post(FIRMWARE, json=body))[::2] == expected, fields


async def test_releases_are_listed_as_semantic_versions_go(acme: Tenant, globex: Tenant) -> None:
    await add_profile(acme)
    await add_profile(acme, "valve")
    versions = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.b", "1.0.0-b.2", "1.0.0-b.11", "1.0.0", "1.9.0", "1.10.0"]
    for version in reversed(versions):
        await register(acme, CONTENT, version)
    other = await add_firmware(acme, "3.0.0", deviceProfile="valve@1.0")

    async def listed(**params: Any) -> list[str]:
        return [one["firmwareVersion"] for one in ok(await acme.api.get(FIRMWARE, params=params))["items"]]

    assert await listed(sort="version", deviceProfile="pump") == versions
    assert await listed(sort="-version", limit=2) == ["3.0.0", "1.10.0"]
    assert (await listed())[0] == "3.0.0"
    assert await listed(deviceProfile="valve") == await listed(status="PUBLISHED") == ["3.0.0"]
    assert await listed(deviceProfile="valve@1.0", version="3.0.0") == ["3.0.0"]
    assert await listed(deviceProfile="valve@2.0") == await listed(version="3.0") == []
    assert ok(await globex.api.get(FIRMWARE))["items"] == []
    assert problem(await acme.api.get(FIRMWARE, params={"sort": "name"}))[::2] == (422, ["sort"])
    assert other["status"] == "PUBLISHED"


async def test_notes_and_metadata_change_and_nothing_else(acme: Tenant) -> None:
    await add_profile(acme)
    made = await register(acme, CONTENT, metadata={"a": 1, "b": {"c": 2}})
    path = f"{FIRMWARE}/{made['id']}"
    patch = {"releaseNotes": "better", "metadata": {"a": None, "b": {"d": 3}}}
    changed = ok(await acme.api.patch(path, json=patch, headers={"if-match": '"1"'}))

    assert (changed["releaseNotes"], changed["metadata"]) == ("better", {"b": {"c": 2, "d": 3}})
    assert problem(await acme.api.patch(path, json=patch, headers={"if-match": '"1"'}))[0] == 412
    assert "releaseNotes" not in ok(await acme.api.patch(path, json={"releaseNotes": None}))
    assert problem(await acme.api.patch(path, json={"version": "2.0.0"}))[::2] == (422, ["/version"])


# --- uploads ---------------------------------------------------------------------------------------------------------


async def test_an_upload_that_was_cut_off_goes_on_where_it_ended(acme: Tenant) -> None:
    await add_profile(acme)
    made = await register(acme, CONTENT)
    url, size = made["upload"]["uploadUrl"], len(CONTENT)
    uploads = Uploads(acme.edge.system_database, acme.edge.ports.blobs)
    grant = await uploads.find(token_of(url))

    async def breaking() -> AsyncIterator[bytes]:
        yield CONTENT[:30_000]
        yield CONTENT[30_000:40_000]
        raise Interrupted

    with pytest.raises(Interrupted):
        await uploads.receive(grant, breaking())
    assert ok(await acme.api.get(url)) == {"receivedBytes": 40_000, "sizeBytes": size, "complete": False}
    assert ok(await acme.api.get(f"{FIRMWARE}/{made['id']}"))["uploadedBytes"] == 40_000

    async def send(first: int, end: int, total: object = size) -> Any:
        header = {"Content-Range": f"bytes {first}-{end - 1}/{total}"}
        return await acme.api.put(url, content=CONTENT[first:end], headers=header)

    for first, total, expected in ((39_999, size, (409, "upload-offset")), (50_000, "*", (409, "upload-offset"))):
        assert problem(await send(first, size, total))[:2] == expected
    assert problem(await send(40_000, 50_000, size - 1))[::2] == (422, ["Content-Range"])
    assert ok(await send(40_000, 50_000, "*"))["receivedBytes"] == 50_000
    # A lost URL is no lost upload.
    again = ok(await acme.api.post(f"{FIRMWARE}/{made['id']}/upload-url"))
    url = again["uploadUrl"]
    assert ok(await send(50_000, size))["complete"]
    assert problem(await send(0, size))[:2] == (409, "invalid-state")
    assert problem(await acme.api.post(f"{FIRMWARE}/{made['id']}/upload-url"))[:2] == (409, "invalid-state")
    assert ok(await acme.api.post(f"{FIRMWARE}/{made['id']}/publish"))["status"] == "PUBLISHED"


async def test_a_wrong_checksum_keeps_nothing_and_a_right_upload_may_follow(acme: Tenant) -> None:
    await add_profile(acme)
    made = await register(acme, CONTENT)
    url, size = made["upload"]["uploadUrl"], len(CONTENT)
    wrong = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])

    assert problem(await acme.api.put(url, content=wrong))[:2] == (400, "checksum-mismatch")
    assert ok(await acme.api.get(url))["receivedBytes"] == 0
    head = {"Content-Range": f"bytes 0-999/{size}"}
    ok(await acme.api.put(url, content=bytes(1_000), headers=head))
    rest = {"Content-Range": f"bytes 1000-{size - 1}/{size}"}
    assert problem(await acme.api.put(url, content=CONTENT[1_000:], headers=rest))[:2] == (400, "checksum-mismatch")
    assert problem(await acme.api.put(url, content=CONTENT + b"x"))[:2] == (413, "too-large")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(size // 1_000 + 1):
            yield bytes(1_000)

    assert problem(await acme.api.put(url, content=endless()))[:2] == (413, "too-large")
    assert problem(await acme.api.put(url, content=CONTENT, headers={"Content-Range": "bytes 5-1/9"}))[0] == 400
    assert ok(await acme.api.put(url, content=CONTENT))["complete"]


async def test_a_crash_after_the_last_byte_leaves_nothing_undone(acme: Tenant) -> None:
    await add_profile(acme)
    made = await register(acme, CONTENT)
    url = made["upload"]["uploadUrl"]
    ok(await acme.api.put(url, content=CONTENT))
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE firmware SET uploaded_at = NULL WHERE id = %s", made["id"])
    assert problem(await acme.api.post(f"{FIRMWARE}/{made['id']}/publish"))[:2] == (409, "upload-missing")
    assert ok(await acme.api.get(url))["complete"]
    assert ok(await acme.api.post(f"{FIRMWARE}/{made['id']}/publish"))["status"] == "PUBLISHED"


async def test_what_is_of_no_use_any_more_leaves_the_blob_store(acme: Tenant) -> None:
    await add_profile(acme)
    database, blobs = acme.edge.system_database, acme.edge.ports.blobs
    prefix = f"{acme.organization_id}/firmware/"
    made = await register(acme, CONTENT)
    url = made["upload"]["uploadUrl"]
    ok(await acme.api.put(url, content=CONTENT[:500], headers={"Content-Range": f"bytes 0-499/{len(CONTENT)}"}))
    ok(await acme.api.put(url, content=CONTENT))
    assert len([blob async for blob in blobs.list(prefix)]) == 2

    await firmware.sweep_parts(database, blobs)
    assert [blob.size_bytes async for blob in blobs.list(prefix)] == [len(CONTENT)]
    assert (await acme.api.delete(f"{FIRMWARE}/{made['id']}")).status_code == 204
    assert problem(await acme.api.get(url))[0] == 404
    await firmware.sweep_parts(database, blobs)
    assert [blob async for blob in blobs.list(prefix)] == []


# --- signatures ------------------------------------------------------------------------------------------------------


def spell_key(key: PublicKeyTypes) -> str:
    """PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


async def test_with_signing_keys_a_firmware_needs_the_signature_of_one(acme: Tenant, globex: Tenant) -> None:
    await add_profile(acme)
    await add_profile(globex)
    edwards, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    curve = ec.generate_private_key(ec.SECP256R1())
    keys = [spell_key(edwards.public_key()), spell_key(curve.public_key())]

    async def trust(keys: object) -> Any:
        settings = {"settings": {"firmwareSigningKeys": keys}}
        return await acme.api.patch("/api/v1/organizations/current", json=settings)

    async def create(version: str, signature: bytes | None) -> Any:
        signed = {} if signature is None else {"signature": b64encode(signature).decode()}
        return await acme.api.post(FIRMWARE, json=describe(CONTENT, version, **signed))

    assert problem(await trust(["nonsense"]))[::2] == (422, ["/settings/firmwareSigningKeys/0"])
    ok(await trust(keys))
    digest = hashlib.sha256(CONTENT).digest()
    for signature in (None, b"x", stranger.sign(digest), edwards.sign(CONTENT)):
        assert problem(await create("1.0.0", signature))[::2] == (422, ["/signature"])
    first = ok(await create("1.0.0", edwards.sign(digest)))
    second = ok(await create("1.0.1", curve.sign(CONTENT, ec.ECDSA(SHA256()))))
    for made in (first, second):
        ok(await acme.api.put(made["upload"]["uploadUrl"], content=CONTENT))

    ok(await trust(keys[1:]))
    assert problem(await acme.api.post(f"{FIRMWARE}/{first['id']}/publish"))[:2] == (409, "signature-invalid")
    assert ok(await acme.api.post(f"{FIRMWARE}/{second['id']}/publish"))["status"] == "PUBLISHED"
    ok(await trust(None))
    assert ok(await acme.api.post(f"{FIRMWARE}/{first['id']}/publish"))["status"] == "PUBLISHED"
    assert (await add_firmware(globex, "1.0.0"))["status"] == "PUBLISHED"


# --- downloads -------------------------------------------------------------------------------------------------------


async def test_a_token_fetches_the_content_whole_or_in_parts(acme: Tenant, globex: Tenant) -> None:
    await add_profile(acme)
    made = await add_firmware(acme, content=CONTENT)
    device, theirs = await add_device(acme, "pump-1"), await add_device(globex, "pump-1")
    tokens = f"{FIRMWARE}/{made['id']}/download-tokens"
    grant = ok(await acme.api.post(tokens, json={"deviceId": device["id"], "maxUses": 2}))

    assert grant["url"] == f"http://api.test{FIRMWARE}/download/{grant['token']}"
    assert (grant["remainingUses"], grant["deviceId"], grant["firmwareId"]) == (2, device["id"], made["id"])
    assert problem(await acme.api.post(tokens, json={"deviceId": theirs["id"]}))[::2] == (422, ["/deviceId"])
    async with acme.client() as nobody:
        whole = await nobody.get(grant["url"])
        etag = f'"{made["sha256"]}"'
        assert (whole.status_code, whole.content, whole.headers["etag"]) == (200, CONTENT, etag)
        assert (await nobody.head(grant["url"])).headers["content-length"] == str(len(CONTENT))
        assert (await nobody.get(grant["url"], headers={"if-none-match": etag})).status_code == 304

        async def part(spelled: str, **headers: str) -> tuple[int, bytes]:
            answer = await nobody.get(grant["url"], headers={"range": spelled, **headers})
            return answer.status_code, answer.content

        assert await part("bytes=10-19") == (206, CONTENT[10:20])
        assert await part("bytes=99990-") == (206, CONTENT[-10:])
        assert await part("bytes=-10", **{"if-range": etag}) == (206, CONTENT[-10:])
        assert (await part("bytes=100000-"))[0] == 416
        # Two times the content, in whatever pieces: that is all it was good for.
        assert problem(await nobody.get(grant["url"]))[:2] == (410, "gone")
        assert await part("bytes=0-99969") == (206, CONTENT[:99_970])
        assert problem(await nobody.get(grant["url"], headers={"range": "bytes=0-0"}))[0] == 410
        assert problem(await nobody.get(f"{FIRMWARE}/download/{'x' * 43}"))[0] == 404


async def test_what_has_not_left_is_given_back_and_a_token_ends_in_time(acme: Tenant) -> None:
    await add_profile(acme)
    made = await add_firmware(acme, content=CONTENT)
    device = await add_device(acme, "pump-1")
    body = {"deviceId": device["id"], "maxUses": 1, "ttlSeconds": 60}
    grant = ok(await acme.api.post(f"{FIRMWARE}/{made['id']}/download-tokens", json=body))
    downloads = firmware.Downloads(acme.edge.system_database, acme.edge.ports.blobs)
    download = await downloads.find(grant["token"])
    await downloads.begin(download, 0, len(CONTENT))
    await downloads.finish(download, sent_to=60_000, end=len(CONTENT))

    rest = await acme.api.get(grant["url"], headers={"range": "bytes=60000-"})
    assert rest.content == CONTENT[60_000:]
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE firmware_token SET expires_at = now() WHERE tenant_id = %s", acme.tenant_id)
        stored = await tx.rows("SELECT token_hash FROM firmware_token WHERE tenant_id = %s", acme.tenant_id)
    assert problem(await acme.api.get(grant["url"]))[:2] == (410, "gone")
    assert grant["token"].encode() not in b"".join(bytes(hash_) for (hash_,) in stored)


async def test_a_draft_cannot_be_fetched(acme: Tenant) -> None:
    await add_profile(acme)
    made = await register(acme, CONTENT)
    device = await add_device(acme, "pump-1")
    ok(await acme.api.put(made["upload"]["uploadUrl"], content=CONTENT))
    answer = await acme.api.post(f"{FIRMWARE}/{made['id']}/download-tokens", json={"deviceId": device["id"]})
    assert problem(answer)[:2] == (409, "invalid-state")
    assert problem(await acme.api.get(f"{FIRMWARE}/download/{token_of(made['upload']['uploadUrl'])}"))[0] == 404
