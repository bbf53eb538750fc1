"""An export whose worker dies goes on where it was, whenever that happens."""

import asyncio
import contextlib
import functools
import json
import random
import zipfile
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pyarrow as pa
import pytest

from roadstead.adapters.clickhouse.tables import read_rows
from roadstead.core.messages import Reading
from roadstead.core.ports import BlobInfo
from roadstead.kernel import time
from roadstead.kernel.ids import to_bytes
from roadstead.workers import export_pieces
from roadstead.workers.exports import ExportWorker
from tests.conftest import Tenant
from tests.dialects.native.exports.exporting import (
    NOON,
    ask,
    fetch,
    files_of,
    get,
    make_due,
    report,
    table,
    tries_of,
)
from tests.dialects.native.fleet import add_device, add_profiles, add_site, ok

SECOND = timedelta(seconds=1)
Happen = Callable[[str], Awaitable[None]]
"""What befalls a worker at a moment of its work."""


class Killed(BaseException):
    """The process is gone: nothing of it answers this."""


async def nothing(_: str) -> None:
    """A good day."""


class Process:
    """A worker to which things happen, and what the store has answered it."""

    def __init__(self, tenant: Tenant, scratch: Path, happen: Happen = nothing) -> None:
        self.asked: list[list[UUID]] = []
        self.rows_answered: list[tuple[str, datetime, str]] = []
        self._store = tenant.edge.ports.telemetry
        self._blobs = tenant.edge.ports.blobs
        self._happen = happen
        ports = msgspec.structs.replace(tenant.edge.ports, telemetry=self, blobs=self)
        self.worker = ExportWorker(tenant.edge.system_database, ports, scratch, renew_every_s=60)

    async def rows(self, tenant: Any, devices: Any, columns: Any, span: Any) -> AsyncIterator[bytes]:
        """Of the store."""
        self.asked.append(devices)
        async for answer in self._store.rows(tenant, devices, columns, span):
            rows = pa.ipc.open_stream(answer).read_all()
            if rows.num_rows:
                await self._happen("answer")
            for digits, at in zip(rows["digits"].to_pylist(), rows["at"].to_pylist(), strict=True):
                self.rows_answered.append((digits, at, columns[0].path))
            yield answer

    async def put(self, key: str, content: bytes | AsyncIterable[bytes]) -> BlobInfo:
        """Of the blob store."""
        await self._happen("put file" if key.endswith(".zip") else "put piece")
        info = await self._blobs.put(key, content)
        await self._happen("stored")
        return info

    async def delete(self, key: str) -> None:
        """Of the blob store."""
        await self._happen("delete")
        await self._blobs.delete(key)

    async def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """Of the blob store."""
        found = [info async for info in self._blobs.list(prefix)]
        await self._happen("listed")
        for info in found:
            yield info

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """Of the blob store."""
        async for part in self._blobs.read(key):
            await self._happen("read")
            yield part


@pytest.fixture
def piecemeal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store answers a little at a time, and every answer is a piece."""
    small = functools.partial(read_rows, most_weight=1_000)
    monkeypatch.setattr("roadstead.adapters.clickhouse.store.read_rows", small)
    monkeypatch.setattr("roadstead.core.exports.scopes._DEVICES_AT_ONCE", 3)
    monkeypatch.setattr(export_pieces, "_MOST_BYTES", 1)


@pytest.fixture
async def harbour(acme: Tenant, globex: Tenant) -> str:
    """A site of seven devices; another tenant has one as well."""
    await add_harbour(globex)
    return await add_harbour(acme)


async def add_harbour(tenant: Tenant) -> str:
    """Its fifth device reports most, and the last nothing."""
    await add_profiles(tenant)
    site: str = (await add_site(tenant, "Harbour"))["id"]
    columns = tenant.edge.ports.telemetry.columns()
    for number, count in enumerate((3, 40, 3, 30, 90, 3, 0)):
        profile = {"deviceProfile": "pump@1.0"} if number % 2 else {}
        device = (await add_device(tenant, f"d{number}", siteId=site, **profile))["id"]
        ok(await tenant.api.post("/api/v1/sensors", json={"deviceId": device, "key": "level", "valueType": "DOUBLE"}))
        for path in ("level", "motor/rpm") if number % 2 else ("level",):
            start = time.to_millis(NOON)
            readings = [Reading(path, start + at * 60_000, number + at / 8) for at in range(count)]
            columns.add(tenant.tenant_id, to_bytes(UUID(device)), 0, readings)
    await tenant.edge.ports.telemetry.insert(columns)
    return site


async def die(tenant: Tenant, process: Process, export_id: str) -> bool:
    """The worker works until something happens to it. False: it came to the end."""
    await let_it_be_next(tenant, export_id)
    with contextlib.suppress(Killed):
        assert await process.worker.work_once()
    return (await get(tenant, export_id))["status"] in {"PENDING", "RUNNING"}


async def run(tenant: Tenant, process: Process, export_id: str) -> Any:
    """The export after its next worker has done with it."""
    assert not await die(tenant, process, export_id)
    return await get(tenant, export_id)


async def let_it_be_next(tenant: Tenant, export_id: str) -> None:
    """Its last worker is given up; exports of other tests wait."""
    async with tenant.edge.system_database.tx() as tx:
        await tx.run("UPDATE export_job SET due_at = now() + interval '1 h' WHERE status IN ('PENDING', 'RUNNING')")
    await make_due(tenant, export_id)


async def forget_tries(tenant: Tenant, export_id: str) -> None:
    """How often workers may die over the same is another test."""
    async with tenant.edge.system_database.tx() as tx:
        await tx.run("UPDATE export_job SET tries = 0 WHERE id = %s", export_id)


async def pieces_of(tenant: Tenant, export_id: str) -> int:
    """How many are recorded."""
    async with tenant.edge.system_database.tx() as tx:
        count: int = await tx.value("SELECT count(*) FROM export_piece WHERE export_id = %s", export_id)
    return count


def killed_at(moment: str, *, after: int = 0) -> Happen:
    """The end of a worker, at this moment of its work for the n-th time."""
    left = after

    async def happen(now: str) -> None:
        nonlocal left
        if now == moment:
            left -= 1
            if left < 0:
                raise Killed

    return happen


def content(bundle: zipfile.ZipFile) -> dict[str, Any]:
    """All that is in it but for what tells one export from another."""
    found: dict[str, Any] = {name: bundle.read(name) for name in bundle.namelist() if name != "manifest.json"}
    manifest = json.loads(bundle.read("manifest.json"))
    return found | {"manifest": manifest | {"exportId": None, "createdAt": None}}


@pytest.mark.parametrize(("format_", "seed"), [("PARQUET", 1), ("CSV", 2), ("NDJSON", 3)])
async def test_the_file_is_the_same_whenever_and_however_often_workers_die(
    acme: Tenant, globex: Tenant, harbour: str, piecemeal: None, tmp_path: Path, format_: str, seed: int
) -> None:
    luck, deaths = random.Random(seed), 0

    async def fate(_: str) -> None:
        nonlocal deaths
        if deaths < 12 and luck.random() < 0.15:
            deaths += 1
            raise Killed

    plain = await run(acme, Process(acme, tmp_path), (await ask(acme, "SITE", harbour, format=format_))["id"])
    asked = (await ask(acme, "SITE", harbour, format=format_))["id"]
    while await die(acme, Process(acme, tmp_path, fate), asked):
        await forget_tries(acme, asked)

    export = await get(acme, asked)
    assert deaths > 5
    assert (export["status"], export["readingCount"]) == ("READY", plain["readingCount"])
    assert plain["readingCount"] == 3 + 80 + 3 + 60 + 90 + 6
    assert content(await fetch(acme, export)) == content(await fetch(acme, plain))
    assert await pieces_of(acme, asked) > 5


async def test_what_is_in_a_piece_is_not_asked_for_again(
    acme: Tenant, harbour: str, piecemeal: None, tmp_path: Path
) -> None:
    asked = (await ask(acme, "SITE", harbour))["id"]
    answered: list[Any] = []
    deaths = 0
    while await die(acme, process := Process(acme, tmp_path, killed_at("answer", after=2)), asked):
        answered += process.rows_answered
        deaths += 1
        assert (await get(acme, asked))["readingCount"] > 0
        assert await pieces_of(acme, asked) == 2 * deaths
    answered += process.rows_answered
    assert deaths > 3, "more often than a worker may die over the same"
    assert len(set(answered)) == len(answered)
    assert table(await fetch(acme, await get(acme, asked))).num_rows == len(answered)

    asked = (await ask(acme, "SITE", harbour))["id"]
    assert await die(acme, Process(acme, tmp_path, killed_at("put file")), asked)
    process = Process(acme, tmp_path)
    assert (await run(acme, process, asked))["status"] == "READY"
    assert process.rows_answered == []


async def test_where_nobody_reports_an_export_is_in_pieces_as_well(
    acme: Tenant, harbour: str, piecemeal: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_pieces, "_LONGEST_S", -1.0)
    empty = {"from": "2023-01-01T00:00:00Z", "to": "2023-02-01T00:00:00Z"}
    asked = (await ask(acme, "SITE", harbour, **empty))["id"]
    first, second = Process(acme, tmp_path, killed_at("stored", after=2)), Process(acme, tmp_path)
    assert await die(acme, first, asked)
    assert (await run(acme, second, asked))["status"] == "READY"
    [again] = {tuple(devices) for devices in first.asked} & {tuple(devices) for devices in second.asked}
    assert again == tuple(first.asked[-1]), "its piece was stored and not recorded"


async def test_what_changes_between_two_tries_changes_nothing_that_was_begun(
    acme: Tenant, harbour: str, piecemeal: None, tmp_path: Path
) -> None:
    now = time.now()
    first, *_, late = sorted(device["id"] for device in ok(await acme.api.get("/api/v1/devices"))["items"])
    await report(acme, late, "level", (now - SECOND, 1.0))
    future = (now + timedelta(days=30)).isoformat()
    plain = await run(acme, Process(acme, tmp_path), (await ask(acme, "SITE", harbour, to=future))["id"])
    wanted = table(await fetch(acme, plain)).to_pylist()

    asked = (await ask(acme, "SITE", harbour, to=future))["id"]
    assert await die(acme, Process(acme, tmp_path, killed_at("answer", after=3)), asked)
    assert (await acme.api.delete(f"/api/v1/devices/{first}")).status_code == 204
    ok(await acme.api.patch(f"/api/v1/sites/{harbour}", json={"name": "Port"}))
    await report(acme, late, "level", (time.now(), 2.0))
    added = (await add_device(acme, "added", siteId=harbour))["id"]
    ok(await acme.api.post("/api/v1/sensors", json={"deviceId": added, "key": "new", "valueType": "DOUBLE"}))
    await report(acme, added, "new", (NOON, 3.0))

    export = await run(acme, Process(acme, tmp_path), asked)
    bundle = await fetch(acme, export)
    rows = table(bundle).to_pylist()
    assert [row for row in rows if row["deviceName"] != "added"] == wanted
    manifest = json.loads(bundle.read("manifest.json"))
    assert manifest["scope"]["name"] == "Harbour"
    assert now <= datetime.fromisoformat(manifest["until"]) <= datetime.fromisoformat(export["startedAt"]) + SECOND
    assert manifest["readingCount"] == export["readingCount"] == plain["readingCount"]


@pytest.mark.parametrize(
    ("moment", "is_over"),
    [
        ("listed", True),
        ("delete", True),
        ("put piece", True),
        ("put piece", False),
        ("stored", False),
        ("put file", True),
    ],
)
async def test_a_worker_that_stood_still_while_another_took_over_spoils_nothing(
    acme: Tenant, harbour: str, piecemeal: None, tmp_path: Path, moment: str, is_over: bool
) -> None:
    asked = (await ask(acme, "SITE", harbour))["id"]
    assert await die(acme, Process(acme, tmp_path, killed_at("stored", after=2)), asked)  # Two pieces, and a leftover.
    others: list[Process] = []
    pieces = 0

    async def stand_still(now: str) -> None:
        nonlocal pieces
        if now == moment and not others:
            await forget_tries(acme, asked)
            others.append(Process(acme, tmp_path, nothing if is_over else killed_at("answer")))
            assert await die(acme, others[0], asked) is not is_over
            pieces = await pieces_of(acme, asked)

    assert await die(acme, Process(acme, tmp_path, stand_still), asked) is not is_over
    assert await pieces_of(acme, asked) == pieces, "it has added nothing to what is somebody else's"
    export = await get(acme, asked) if is_over else await run(acme, Process(acme, tmp_path), asked)
    assert (export["status"], table(await fetch(acme, export)).num_rows) == ("READY", 242)
    assert len(await files_of(acme)) == await pieces_of(acme, asked) + 1


async def test_a_worker_that_is_told_to_stop_leaves_its_pieces_to_the_next(
    acme: Tenant, harbour: str, piecemeal: None, tmp_path: Path
) -> None:
    reached = asyncio.Event()

    async def hang(now: str) -> None:
        if now == "answer" and len(first.rows_answered) > 50:
            reached.set()
            await asyncio.Event().wait()

    first, second = Process(acme, tmp_path, hang), Process(acme, tmp_path)
    asked = (await ask(acme, "SITE", harbour))["id"]
    working = asyncio.create_task(run(acme, first, asked))
    await asyncio.wait_for(reached.wait(), 10)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    waiting = await get(acme, asked)
    assert (waiting["status"], await tries_of(acme, asked)) == ("PENDING", (0, True))
    assert (await run(acme, second, asked))["status"] == "READY"
    assert not {*first.rows_answered} & {*second.rows_answered}


async def test_pieces_go_a_minute_after_the_end_whatever_that_is(
    acme: Tenant, globex: Tenant, harbour: str, piecemeal: None, tmp_path: Path
) -> None:
    async def begin(tenant: Tenant, site: str) -> str:
        """An export of which there are pieces, and whose worker is dead."""
        asked: str = (await ask(tenant, "SITE", site))["id"]
        assert await die(tenant, Process(tenant, tmp_path, killed_at("answer", after=3)), asked)
        assert await pieces_of(tenant, asked) == 3
        return asked

    async def pass_a_minute() -> None:
        async with acme.edge.system_database.tx() as tx:
            await tx.run("UPDATE export_job SET completed_at = completed_at - interval '61 s'")
        await worker.sweep()

    worker = Process(acme, tmp_path).worker
    [theirs] = [site["id"] for site in ok(await globex.api.get("/api/v1/sites"))["items"]]
    kept = await begin(globex, theirs)
    cancelled, failed, finished, deleted = [await begin(acme, harbour) for _ in range(4)]
    ok(await acme.api.post(f"/api/v1/exports/{cancelled}/cancel"))
    for _ in range(2):
        assert await die(acme, Process(acme, tmp_path, killed_at("answer")), failed)
    assert (await run(acme, Process(acme, tmp_path), finished))["status"] == "READY"
    ok(await acme.api.post(f"/api/v1/exports/{deleted}/cancel"))
    assert (await acme.api.delete(f"/api/v1/exports/{deleted}")).status_code == 204
    await make_due(acme, failed)
    await worker.sweep()
    assert (await get(acme, failed))["status"] == "FAILED"
    assert await pieces_of(acme, cancelled) == 3, "a worker may still be at it"
    assert await pieces_of(acme, deleted) == 0

    await pass_a_minute()
    [file] = await files_of(acme)
    assert file.endswith(f"{finished}.zip")
    assert [await pieces_of(acme, each) for each in (cancelled, failed, finished)] == [0, 0, 0]

    assert await pieces_of(globex, kept) == 3
    assert len(await files_of(globex)) == 3
    assert (await run(globex, Process(globex, tmp_path), kept))["status"] == "READY"
    await make_due(acme, finished)
    await worker.sweep()
    assert await files_of(acme) == []


async def test_an_export_that_fits_into_one_piece_is_not_put_aside(acme: Tenant, harbour: str, tmp_path: Path) -> None:
    moments: list[str] = []

    async def note(now: str) -> None:
        moments.append(now)

    asked = (await ask(acme, "SITE", harbour))["id"]
    export = await run(acme, Process(acme, tmp_path, note), asked)
    assert export["status"] == "READY"
    assert [moment for moment in moments if moment != "answer"] == ["listed", "put file", "stored"]


async def test_an_export_whose_pieces_are_gone_says_so(
    acme: Tenant, harbour: str, piecemeal: None, tmp_path: Path
) -> None:
    asked = (await ask(acme, "SITE", harbour))["id"]
    assert await die(acme, Process(acme, tmp_path, killed_at("answer", after=3)), asked)
    first = next(key for key in await files_of(acme) if key.endswith("/pieces/1"))
    await acme.edge.ports.blobs.delete(first)
    failed = await run(acme, Process(acme, tmp_path), asked)
    assert (failed["status"], failed["error"]) == ("FAILED", "a part of it that was finished is gone; export again")
