"""Signed URLs: what they open, and what they do not."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from roadstead.core import files
from roadstead.core.files import Uploaded, UploadUrl
from roadstead.kernel import time
from roadstead.kernel.errors import Conflict, NotFound
from tests.conftest import Tenant
from tests.dialects.native.fleet import problem

NAME = "things/report.bin"
CONTENT = os.urandom(100_000)


async def signed(tenant: Tenant, name: str = NAME, *, minutes: float = 5) -> str:
    """A URL of a file of the tenant, without the host."""
    async with tenant.work() as work:
        until = work.now() + timedelta(minutes=minutes)
        url = await files.download_url(work, name, filename="Bericht für März.bin", valid_until=until)
    assert url.startswith(f"http://api.test/storage/{tenant.organization_id}/{name}?X-Amz-Algorithm=")
    return url.removeprefix("http://api.test")


async def store(tenant: Tenant, content: bytes = CONTENT, name: str = NAME) -> None:
    """Put a file where a room would."""
    await tenant.edge.ports.blobs.put(files.blob_key(tenant.organization_id, name), content)


@pytest.fixture
def anyone(acme: Tenant) -> httpx.AsyncClient:
    """Somebody without a credential."""
    acme.api.headers.pop("Authorization")
    return acme.api


async def test_who_has_the_url_gets_the_file_and_never_a_page(acme: Tenant, anyone: httpx.AsyncClient) -> None:
    await store(acme)
    answer = await anyone.get(await signed(acme))
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == "100000"
    assert answer.headers["content-disposition"].startswith('attachment; filename="Bericht f_r M_rz.bin"; filename*=')
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_head_tells_the_same_without_the_file(acme: Tenant, anyone: httpx.AsyncClient) -> None:
    await store(acme)
    url = await signed(acme)
    answer, whole = await anyone.head(url), await anyone.get(url)
    assert (answer.status_code, answer.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "last-modified", "accept-ranges"):
        assert answer.headers[name] == whole.headers[name]


async def test_a_part_is_answered_as_a_part(acme: Tenant, anyone: httpx.AsyncClient) -> None:
    await store(acme)
    url = await signed(acme)
    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=99990-", 99_990, 100_000),
        ("bytes=-10", 99_990, 100_000),
        ("bytes=5-999999", 5, 100_000),
    ):
        answer = await anyone.get(url, headers={"Range": asked})
        assert (answer.status_code, answer.content) == (206, CONTENT[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100000"


async def test_a_download_goes_on_only_while_the_file_is_the_same(acme: Tenant, anyone: httpx.AsyncClient) -> None:
    await store(acme)
    url = await signed(acme)
    etag = (await anyone.head(url)).headers["etag"]
    goes_on = {"Range": "bytes=50000-", "If-Range": etag}
    assert (await anyone.get(url, headers=goes_on)).status_code == 206
    assert (await anyone.get(url, headers={"If-None-Match": etag})).status_code == 304
    await store(acme, b"another" * 10_000)
    answer = await anyone.get(url, headers=goes_on)
    assert (answer.status_code, answer.content) == (200, b"another" * 10_000)


async def test_ranges_that_mean_nothing_are_ignored_and_those_outside_are_refused(
    acme: Tenant, anyone: httpx.AsyncClient
) -> None:
    await store(acme)
    url = await signed(acme)
    for asked in ("bytes=5-1", "bytes=-", "items=0-5", "bytes=0-1,5-6"):
        answer = await anyone.get(url, headers={"Range": asked})
        assert (answer.status_code, len(answer.content)) == (200, 100_000), asked
    for asked in ("bytes=100000-", "bytes=-0"):
        answer = await anyone.get(url, headers={"Range": asked})
        assert problem(answer) == (416, "range-not-satisfiable", [])
        assert answer.headers["content-range"] == "bytes */100000"


async def test_a_signature_opens_its_own_file_of_its_own_tenant_and_nothing_else(
    acme: Tenant, globex: Tenant, anyone: httpx.AsyncClient
) -> None:
    await store(acme)
    await store(acme, name="things/other.bin")
    await store(globex)
    ours, theirs = await signed(acme), await signed(globex)
    place, _, query = ours.partition("?")
    forged = [
        f"{place.replace('report', 'other')}?{query}",
        f"{theirs.partition('?')[0]}?{query}",
        f"{place}?{theirs.partition('?')[2]}",
        place,
        f"{ours}&response-content-type=text%2Fhtml",
        ours.replace("octet-stream", "pdf"),
        ours.replace("X-Amz-Expires=300", "X-Amz-Expires=301"),
        f"{place}/x?{query}",
        ours[:-1] + ("0" if ours[-1] != "0" else "1"),
        ours.replace(f"X-Amz-Credential={parse_qs(query)['X-Amz-Credential'][0]}", "X-Amz-Credential=us"),
    ]
    for url in forged:
        assert problem(await anyone.get(url)) == (403, "forbidden", []), url
    assert (await anyone.put(ours, content=b"mine now")).status_code == 403
    assert (await anyone.get(ours)).content == CONTENT


async def test_a_url_runs_out(acme: Tenant, anyone: httpx.AsyncClient) -> None:
    await store(acme)
    answer = await anyone.get(await signed(acme, minutes=-1))
    assert (answer.status_code, answer.json()["detail"]) == (403, "this URL has expired")
    week = parse_qs(urlsplit(await signed(acme, minutes=60 * 24 * 365)).query)
    assert week["X-Amz-Expires"] == ["604800"]


async def test_a_file_that_is_gone_is_not_found(acme: Tenant, anyone: httpx.AsyncClient) -> None:
    assert problem(await anyone.get(await signed(acme, "things/nothing.bin"))) == (404, "not-found", [])


async def test_a_room_cannot_sign_its_way_out_of_the_organization(acme: Tenant, globex: Tenant) -> None:
    for name in (f"../{globex.organization_id}/x", "/x", "a//b", "a?b", ""):
        with pytest.raises(ValueError, match="cannot be"):
            await signed(acme, name)


# --- uploads ---------------------------------------------------------------------------------------------------------


async def awaited(
    tenant: Tenant, *, max_bytes: int = 200_000, sha256: bytes | None = None, minutes: float = 5
) -> UploadUrl:
    """A file that a room waits for."""
    async with tenant.work() as work:
        until = work.now() + timedelta(minutes=minutes)
        return await files.upload_url(
            work, "things", content_type="application/pdf", max_bytes=max_bytes, sha256=sha256, valid_until=until
        )


async def claim(tenant: Tenant, upload: UploadUrl, area: str = "things") -> Uploaded:
    """What the room does then."""
    async with tenant.work() as work:
        return await files.claim_upload(work, area, upload.upload_id)


async def bring(client: httpx.AsyncClient, upload: UploadUrl, content: bytes = CONTENT) -> httpx.Response:
    """What the bearer of the URL does."""
    return await client.put(upload.url, content=content, headers=upload.headers)


async def whole(tenant: Tenant, name: str) -> bytes:
    """A file of the tenant."""
    return b"".join([piece async for piece in tenant.edge.ports.blobs.read(f"{tenant.organization_id}/{name}")])


async def kept(tenant: Tenant) -> list[str]:
    """The keys of all files of the tenant."""
    return [blob.key async for blob in tenant.edge.ports.blobs.list(f"{tenant.organization_id}/")]


async def test_what_was_brought_is_claimed_once_by_the_room_that_asked(
    acme: Tenant, globex: Tenant, anyone: httpx.AsyncClient
) -> None:
    upload = await awaited(acme, sha256=hashlib.sha256(CONTENT).digest())
    with pytest.raises(Conflict, match="has not been uploaded"):
        await claim(acme, upload)
    answer = await bring(anyone, upload)
    assert answer.status_code == 200
    assert answer.headers["etag"]
    for tenant, area in ((globex, "things"), (acme, "others")):
        with pytest.raises(NotFound):
            await claim(tenant, upload, area)
    file = await claim(acme, upload)
    assert (file.size_bytes, file.sha256, file.content_type) == (
        100_000,
        hashlib.sha256(CONTENT).digest(),
        "application/pdf",
    )
    assert await whole(acme, file.name) == CONTENT
    with pytest.raises(NotFound):
        await claim(acme, upload)
    assert (await bring(anyone, upload, b"another")).status_code == 403
    assert await whole(acme, file.name) == CONTENT


async def test_an_upload_sent_again_replaces_the_one_before(acme: Tenant, anyone: httpx.AsyncClient) -> None:
    upload = await awaited(acme)
    await bring(anyone, upload, b"first")
    await bring(anyone, upload, b"second")
    assert await whole(acme, (await claim(acme, upload)).name) == b"second"
    assert len(await kept(acme)) == 1


async def test_size_type_and_checksum_are_enforced(acme: Tenant, anyone: httpx.AsyncClient) -> None:
    upload = await awaited(acme, max_bytes=10, sha256=hashlib.sha256(b"right").digest())

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x"

    assert problem(await bring(anyone, upload, b"x" * 11)) == (413, "too-large", [])
    chunked = await anyone.put(upload.url, content=unannounced(), headers=upload.headers)
    assert problem(chunked) == (413, "too-large", [])
    assert problem(await bring(anyone, upload, b"wrong")) == (400, "invalid-request", [])
    page = await anyone.put(upload.url, content=b"right", headers={"Content-Type": "text/html"})
    assert problem(page) == (415, "unsupported-media-type", [])
    assert await kept(acme) == []
    with pytest.raises(Conflict):
        await claim(acme, upload)
    assert (await bring(anyone, upload, b"right")).status_code == 200


async def test_an_upload_that_another_has_overtaken_leaves_nothing(acme: Tenant, anyone: httpx.AsyncClient) -> None:
    upload = await awaited(acme)
    begun, overtaken = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"slow"
        begun.set()
        await overtaken.wait()
        yield b"er"

    first = asyncio.create_task(anyone.put(upload.url, content=slow(), headers=upload.headers))
    await begun.wait()
    assert (await bring(anyone, upload, b"fast")).status_code == 200
    overtaken.set()
    assert problem(await first) == (409, "conflict", [])
    assert await whole(acme, (await claim(acme, upload)).name) == b"fast"
    assert len(await kept(acme)) == 1


async def test_an_upload_is_not_taken_after_its_time(acme: Tenant, anyone: httpx.AsyncClient) -> None:
    assert (await bring(anyone, await awaited(acme, minutes=-1))).status_code == 403


async def test_what_nobody_claims_is_swept_a_day_after_its_url_ran_out(
    acme: Tenant, globex: Tenant, anyone: httpx.AsyncClient
) -> None:
    unclaimed, fresh, claimed = await awaited(acme), await awaited(globex), await awaited(acme)
    for upload in (unclaimed, fresh, claimed):
        assert (await bring(anyone, upload)).status_code == 200
    file = await claim(acme, claimed)
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE file_upload SET due_at = %s WHERE id = %s", time.now(), unclaimed.upload_id)
    async with acme.edge.system_database.tx() as tx:
        await files.sweep_uploads(tx, acme.edge.ports.blobs)
    assert await kept(acme) == [f"{acme.organization_id}/{file.name}"]
    with pytest.raises(NotFound):
        await claim(acme, unclaimed)
    assert await whole(globex, (await claim(globex, fresh)).name) == CONTENT
