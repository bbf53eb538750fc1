"""From PENDING to the end, whatever happens to workers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from roadstead.core import exports
from roadstead.core.files import JobClaim
from roadstead.core.messages import ExportChanged, decode_fact
from roadstead.kernel.errors import Unavailable
from roadstead.workers.exports import ExportWorker
from tests.conftest import Tenant
from tests.dialects.native.exports.exporting import (
    Endless,
    Fleet,
    add_fleet,
    ask,
    fetch,
    files_of,
    get,
    made,
    make_due,
    table,
    tried,
    wait_for,
)
from tests.dialects.native.fleet import ok, problem
from tests.people import last_actions


async def test_a_running_export_says_how_far_it_is_and_stops_when_it_is_cancelled(
    acme: Tenant, fleet: Fleet, worker: ExportWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = Endless(acme)
    monkeypatch.setattr(acme.edge.ports.telemetry, "rows", endless.rows)
    asked = await ask(acme, "DEVICE", fleet["pump"])
    working = asyncio.create_task(made(acme, worker, asked["id"]))
    seen = await wait_for(acme, asked["id"], lambda export: export.get("readingCount", 0) > 20)
    assert seen["status"] == "RUNNING"
    assert "downloadUrl" not in seen

    cancelled = ok(await acme.api.post(f"/api/v1/exports/{asked['id']}/cancel"))
    assert cancelled["status"] == "CANCELLED"
    await asyncio.wait_for(working, 10)
    assert (await get(acme, asked["id"]))["status"] == "CANCELLED"
    assert await files_of(acme) == []
    assert problem(await acme.api.post(f"/api/v1/exports/{asked['id']}/cancel")) == (409, "invalid-state", [])
    assert problem(await acme.api.get(f"/api/v1/exports/{asked['id']}/download")) == (409, "invalid-state", [])


async def test_a_worker_that_dies_is_followed_by_another_and_the_third_time_is_the_last(
    acme: Tenant, fleet: Fleet, worker: ExportWorker
) -> None:
    async def die() -> None:
        """A worker takes it on, leaves a file, and is never heard of again."""
        job = None
        while job is None or str(job.id) != asked["id"]:
            async with acme.edge.system_database.tx() as tx:
                job = await exports.JOBS.claim(tx)
            assert job is not None
        await acme.edge.ports.blobs.put(f"{acme.organization_id}/{exports.file_name(job.id, job.lease)}", b"half of it")
        assert (await get(acme, asked["id"]))["status"] == "RUNNING"
        await make_due(acme, asked["id"])

    asked = await ask(acme, "DEVICE", fleet["pump"])
    await die()
    await die()
    while (export := await get(acme, asked["id"]))["status"] == "RUNNING":
        assert await worker.work_once()
    assert (export["status"], export["readingCount"]) == ("READY", 5)
    assert table(await fetch(acme, export)).num_rows == 4
    assert len(await files_of(acme)) == 1

    asked = await ask(acme, "DEVICE", fleet["pump"])
    for _ in range(3):
        await die()
    await worker.sweep()
    failed = await get(acme, asked["id"])
    assert (failed["status"], failed["error"]) == ("FAILED", "it was tried 3 times and never finished")
    assert len(await files_of(acme)) == 1


async def test_a_worker_that_comes_too_late_spoils_nothing(acme: Tenant, fleet: Fleet, worker: ExportWorker) -> None:
    asked = await ask(acme, "DEVICE", fleet["pump"])
    late: list[Any] = []
    async with acme.edge.system_database.tx() as tx:
        while not late or str(late[-1].id) != asked["id"]:
            late.append(await exports.JOBS.claim(tx))
    await make_due(acme, asked["id"])
    while (export := await get(acme, asked["id"]))["status"] == "RUNNING":
        assert await worker.work_once()
    async with acme.edge.system_database.tx() as tx:
        assert not await exports.JOBS.renew(tx, late[-1], readings=1)
        assert not await exports.JOBS.finish(tx, late[-1], size_bytes=1, readings=1)
        await exports.JOBS.fail(tx, late[-1], "too late")
        await exports.JOBS.interrupt(tx, late[-1])
    assert await get(acme, asked["id"]) | {"downloadUrl": ""} == export | {"downloadUrl": ""}
    assert table(await fetch(acme, export)).num_rows == 4


async def test_a_lease_that_is_renewed_just_after_the_end_costs_nothing(
    acme: Tenant, fleet: Fleet, worker: ExportWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await ask(acme, "DEVICE", fleet["pump"])

    async def renew(_: object, job: JobClaim, *, readings: int) -> bool:
        return (await wait_for(acme, str(job.id), lambda export: export["status"] == "READY")) is None

    with monkeypatch.context() as patched:
        patched.setattr(exports.JOBS, "renew", renew)
        export = await made(acme, worker, asked["id"])
    assert table(await fetch(acme, export)).num_rows == 4


async def test_a_worker_that_is_told_to_stop_gives_back_what_it_is_at(
    acme: Tenant, fleet: Fleet, worker: ExportWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(acme.edge.ports.telemetry, "rows", Endless(acme).rows)
        asked = await ask(acme, "DEVICE", fleet["pump"])
        working = asyncio.create_task(worker.run())
        await wait_for(acme, asked["id"], lambda export: export["status"] == "RUNNING")
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    assert (await get(acme, asked["id"]))["status"] == "PENDING"
    assert (await made(acme, worker, asked["id"]))["status"] == "READY"


async def test_servers_that_are_away_are_waited_for_but_not_for_ever(
    acme: Tenant, fleet: Fleet, worker: ExportWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> AsyncIterator[bytes]:
        raise Unavailable("the telemetry store cannot be reached")

    asked = await ask(acme, "DEVICE", fleet["pump"])
    with monkeypatch.context() as patched:
        patched.setattr(acme.edge.ports.telemetry, "rows", away)
        for _ in range(5):  # More often than a worker may die.
            assert (await tried(acme, worker, asked["id"]))["status"] == "PENDING"
    assert (await tried(acme, worker, asked["id"]))["status"] == "READY"

    asked = await ask(acme, "DEVICE", fleet["pump"])
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE export_job SET created_at = now() - interval '2 days' WHERE id = %s", asked["id"])
    with monkeypatch.context() as patched:
        patched.setattr(acme.edge.ports.telemetry, "rows", away)
        failed = await tried(acme, worker, asked["id"])
    assert failed["status"] == "FAILED"
    assert "within a day" in failed["error"]


async def test_what_goes_wrong_three_times_fails_and_says_why(
    acme: Tenant, fleet: Fleet, worker: ExportWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> AsyncIterator[bytes]:
        raise ZeroDivisionError("secret of ours")

    asked = await ask(acme, "DEVICE", fleet["pump"])
    monkeypatch.setattr(acme.edge.ports.telemetry, "rows", broken)
    assert (await tried(acme, worker, asked["id"]))["status"] == "PENDING"
    assert (await tried(acme, worker, asked["id"]))["status"] == "PENDING"
    failed = await tried(acme, worker, asked["id"])
    assert (failed["status"], failed["error"]) == ("FAILED", "something went wrong on our side")
    assert "readingCount" not in failed


async def test_what_was_deleted_before_it_ran_cannot_be_exported(
    acme: Tenant, fleet: Fleet, worker: ExportWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await ask(acme, "SENSOR", fleet["temperature"])
    ok(await acme.api.delete(f"/api/v1/sensors/{fleet['temperature']}", params={"purge": "true"}))
    assert (await made(acme, worker, asked["id"]))["error"] == "the sensor has been deleted"
    monkeypatch.setattr("roadstead.core.exports.scopes.MOST_FIELDS", 2)
    wide = await made(acme, worker, (await ask(acme, "DEVICE", fleet["pump"]))["id"])
    assert wide["error"] == "there are more than 2 different fields; export parts of it"


async def test_a_file_expires_after_a_day_and_its_record_after_thirty_more(
    acme: Tenant, globex: Tenant, fleet: Fleet, worker: ExportWorker
) -> None:
    theirs = await add_fleet(globex)
    kept = await made(globex, worker, (await ask(globex, "DEVICE", theirs["pump"]))["id"])
    export = await made(acme, worker, (await ask(acme, "DEVICE", fleet["pump"]))["id"])
    await make_due(acme, export["id"])
    await worker.sweep()
    expired = await get(acme, export["id"])
    assert expired["status"] == "EXPIRED"
    assert "downloadUrl" not in expired
    assert expired["readingCount"] == 5
    assert await files_of(acme) == []
    assert (await acme.api.get(export["downloadUrl"])).status_code == 404
    assert problem(await acme.api.get(f"/api/v1/exports/{export['id']}/download")) == (410, "gone", [])
    await make_due(acme, export["id"])
    await worker.sweep()
    assert problem(await acme.api.get(f"/api/v1/exports/{export['id']}")) == (404, "not-found", [])
    assert (await get(globex, kept["id"]))["status"] == "READY"
    assert len(await files_of(globex)) == 1


async def test_each_look_gives_a_fresh_url_and_download_leads_to_the_file(
    acme: Tenant, fleet: Fleet, worker: ExportWorker
) -> None:
    export = await made(acme, worker, (await ask(acme, "DEVICE", fleet["pump"]))["id"])
    answer = await acme.api.get(f"/api/v1/exports/{export['id']}/download")
    assert answer.status_code == 302
    file = await acme.api.get(answer.headers["location"])
    assert len(file.content) == export["sizeBytes"]
    assert f'filename="export-{export["id"]}.zip"' in file.headers["content-disposition"]
    async with acme.edge.system_database.tx() as tx:
        soon = timedelta(seconds=90)
        await tx.run("UPDATE export_job SET expires_at = now() + %s WHERE id = %s", soon, export["id"])
    fresh = parse_qs(urlsplit((await get(acme, export["id"]))["downloadUrl"]).query)
    assert int(fresh["X-Amz-Expires"][0]) <= 90


async def test_a_finished_export_is_deleted_with_its_file_and_one_under_way_is_not(
    acme: Tenant, fleet: Fleet, worker: ExportWorker
) -> None:
    asked = await ask(acme, "DEVICE", fleet["pump"])
    assert problem(await acme.api.delete(f"/api/v1/exports/{asked['id']}")) == (409, "invalid-state", [])
    export = await made(acme, worker, asked["id"])
    assert (await acme.api.delete(f"/api/v1/exports/{asked['id']}")).status_code == 204
    assert (await acme.api.get(export["downloadUrl"])).status_code == 404
    assert await files_of(acme) == []
    cancelled = await ask(acme, "DEVICE", fleet["pump"])
    ok(await acme.api.post(f"/api/v1/exports/{cancelled['id']}/cancel"))
    assert (await acme.api.delete(f"/api/v1/exports/{cancelled['id']}")).status_code == 204
    assert await last_actions(acme, 5) == [
        "export.delete", "export.cancel", "export.create", "export.delete", "export.create",
    ]  # fmt: skip


async def test_every_change_of_status_is_told(acme: Tenant, fleet: Fleet, worker: ExportWorker) -> None:
    export = await made(acme, worker, (await ask(acme, "DEVICE", fleet["pump"]))["id"])
    await make_due(acme, export["id"])
    await worker.sweep()
    async with acme.edge.system_database.tx() as tx:
        rows = await tx.rows("SELECT fact FROM outbox WHERE tenant_id = %s ORDER BY id", acme.tenant_id)
    facts = [decode_fact(bytes(row[0])) for row in rows]
    told = [fact.status for fact in facts if isinstance(fact, ExportChanged) and str(fact.export_id) == export["id"]]
    assert told == ["PENDING", "RUNNING", "READY", "EXPIRED"]
