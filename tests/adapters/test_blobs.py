"""What every store of files must do, in a folder and in a bucket of an S3 server."""

import os
import resource
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

from roadstead.adapters.blobs import FolderBlobs, open_blobs
from roadstead.core.ports import Blobs
from roadstead.kernel.errors import NotFound, Unavailable

SECRET = "this-is-no-secret"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A server that speaks S3, with one bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    assert httpx.put(f"{url}/bucket").status_code == 200
    yield f"s3://bucket/roadstead?region=eu-central-1&endpoint={url}&access_key_id=us&secret_access_key={SECRET}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """A store, by its URL."""
    return open_blobs(request.getfixturevalue("s3") if request.param == "s3" else f"file://{tmp_path}", Path())


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    """As they come from a network."""
    for piece in content:
        yield piece


async def whole(stream: AsyncIterator[bytes]) -> bytes:
    """All of it."""
    return b"".join([piece async for piece in stream])


async def test_what_was_put_is_read_back_whole_or_in_part(blobs: Blobs) -> None:
    content = os.urandom(9_000_000)
    stored = await blobs.put("acme/exports/a.zip", pieces(content[:8_999_999], content[8_999_999:]))
    assert (stored.key, stored.size_bytes) == ("acme/exports/a.zip", 9_000_000)
    assert await blobs.head("acme/exports/a.zip") == stored
    assert await whole(blobs.read("acme/exports/a.zip")) == content
    assert await whole(blobs.read("acme/exports/a.zip", start=5, end=4_500_000)) == content[5:4_500_000]
    assert await whole(blobs.read("acme/exports/a.zip", start=8_999_990, end=99_000_000)) == content[-10:]
    assert await whole(blobs.read("acme/exports/a.zip", start=9_000_000)) == b""


async def test_an_empty_file_is_a_file(blobs: Blobs) -> None:
    for content in (b"", pieces()):
        assert (await blobs.put("acme/files/empty", content)).size_bytes == 0
        assert await whole(blobs.read("acme/files/empty")) == b""


async def test_a_file_is_replaced_and_its_etag_tells(blobs: Blobs) -> None:
    before = await blobs.put("acme/files/a", b"one")
    after = await blobs.put("acme/files/a", b"another")
    assert await whole(blobs.read("acme/files/a")) == b"another"
    assert before.etag != after.etag


async def test_what_is_cut_off_while_it_arrives_is_not_there(blobs: Blobs) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield os.urandom(9_000_000)
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await blobs.put("acme/files/broken", broken())
    with pytest.raises(NotFound):
        await blobs.head("acme/files/broken")
    assert [one async for one in blobs.list("acme/files/broken/")] == []


async def test_what_is_not_there_is_not_found_and_may_be_deleted(blobs: Blobs) -> None:
    with pytest.raises(NotFound):
        await blobs.head("acme/files/nothing")
    with pytest.raises(NotFound):
        await whole(blobs.read("acme/files/nothing"))
    await blobs.put("acme/files/nothing", b"something")
    await blobs.delete("acme/files/nothing")
    await blobs.delete("acme/files/nothing")
    with pytest.raises(NotFound):
        await blobs.head("acme/files/nothing")


async def test_files_are_listed_by_prefix(blobs: Blobs) -> None:
    for key in ("listed/one/a", "listed/one/b", "listed/two/a", "listed-too/one/a"):
        await blobs.put(key, key.encode())
    assert sorted([one.key async for one in blobs.list("listed/")]) == ["listed/one/a", "listed/one/b", "listed/two/a"]
    assert [one async for one in blobs.list("listed/two/")] == [await blobs.head("listed/two/a")]
    assert [one async for one in blobs.list("lis/")] == []


@pytest.mark.parametrize(
    "key", ["a", "/a/b", "a/../b", "a/.b", "a//b", "a/b/", "ä/b", "a/b c", "a/%2e", "a/" + "b" * 500]
)
async def test_a_key_cannot_lead_anywhere_else(blobs: Blobs, key: str) -> None:
    with pytest.raises(ValueError, match="cannot be the key"):
        await blobs.put(key, b"x")
    with pytest.raises(ValueError, match="cannot be the key"):
        await blobs.head(key)


async def test_a_bucket_that_is_away_is_unavailable_and_names_no_secret(s3: str) -> None:
    await open_blobs(s3, Path()).ready()
    away = open_blobs(s3.replace("//bucket", "//elsewhere"), Path())
    with pytest.raises(Unavailable) as failure:
        await away.ready()
    assert SECRET not in f"{failure.value} {failure.value.__cause__}"


async def test_a_disk_that_takes_no_more_is_unavailable(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(Unavailable, match="File too large"):
            await blobs.put("acme/files/a", pieces(bytes(900_000), bytes(900_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "arriving").iterdir()) == []
    with pytest.raises(NotFound):
        await blobs.head("acme/files/a")


async def test_a_folder_syncs_the_content_before_the_name_and_then_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = FolderBlobs(tmp_path)
    place = tmp_path / "files" / "acme" / "files" / "a"
    synced: list[tuple[Path, bool]] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), place.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    await blobs.put("acme/files/a", b"x")
    (content, was_named), *folders = synced
    assert content.parent == tmp_path / "arriving"
    assert not was_named
    assert folders == [(folder, True) for folder in (place.parent, place.parent.parent, tmp_path / "files")]


async def test_what_a_crash_left_behind_is_swept_after_a_day(tmp_path: Path) -> None:
    FolderBlobs(tmp_path)
    old, fresh = tmp_path / "arriving" / "old", tmp_path / "arriving" / "fresh"
    for draft in (old, fresh):
        draft.write_bytes(b"half of")
    os.utime(old, (time.time() - 90_000, time.time() - 90_000))
    FolderBlobs(tmp_path)
    assert not old.exists()
    assert fresh.exists()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ftp://somewhere", "looks like s3://"),
        ("s3://", "looks like s3://"),
        ("s3://bucket?bogus=1", "bogus"),
    ],
)
def test_a_url_that_means_no_store_is_refused(url: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=complaint):
        open_blobs(url, tmp_path)
