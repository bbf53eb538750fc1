"""Background jobs: done once whatever happens to workers, told of, and each seen by its own tenant alone."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from roadstead.core import jobs, registry
from roadstead.core.files import CannotBeMade
from roadstead.core.jobs import BackgroundJob, Handler, JobStatus, RunningJob, parse_job_id, spell_job_id
from roadstead.core.registry import SpaceDraft
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.ids import SpaceId, new_id, to_hex24
from roadstead.workers.background_jobs import background_worker
from roadstead.workers.file_jobs import FileWorker
from tests.conftest import Postbox, Tenant
from tests.people import add_person
from tests.receivers import receiver


async def add_space(tenant: Tenant) -> SpaceId:
    """One of its own."""
    async with tenant.work() as work:
        return (await registry.create_space(work, SpaceDraft(name="Harbour"))).id


async def enqueue(tenant: Tenant, space_id: SpaceId, kind: str, **how: Any) -> str:
    """A job of somebody."""
    async with tenant.work() as work:
        return await jobs.enqueue(work, kind, {"number": 7}, space_id=space_id, name="A job", **how)


async def look(tenant: Tenant, space_id: SpaceId, job_id: str) -> BackgroundJob:
    """How far it is."""
    async with tenant.work() as work:
        return await jobs.get_job(work, space_id, job_id)


def worker(tenant: Tenant, handlers: Mapping[str, Handler]) -> FileWorker:
    """Does jobs of these kinds."""
    return background_worker(tenant.edge.system_database, tenant.edge.ports, handlers, renew_every_s=0.02)


async def work_on(tenant: Tenant, space_id: SpaceId, job_id: str, handlers: Mapping[str, Handler]) -> BackgroundJob:
    """Until this job has come to its end, or waits for another try."""
    while (job := await look(tenant, space_id, job_id)).status is JobStatus.PENDING:
        assert await worker(tenant, handlers).work_once()
    return job


async def answer(job: RunningJob) -> dict[str, Any]:
    """What a quick handler does."""
    job.completed = job.parameters["number"]
    url = await job.keep_file("result.txt", b"seven", content_type="text/plain")
    return {"downloadUrls": [url], "written": 1}


def test_an_id_has_21_characters_and_another_face() -> None:
    id_ = new_id()
    assert len(spell_job_id(id_)) == 21
    assert parse_job_id(spell_job_id(id_)) == parse_job_id(to_hex24(id_)) == id_
    assert [parse_job_id(text) for text in ("", "x" * 21, "j1" + "a" * 19, "j" * 20)] == [None] * 4


async def test_a_job_is_done_and_its_file_can_be_fetched(acme: Tenant, globex: Tenant) -> None:
    space_id = await add_space(acme)
    job_id = await enqueue(acme, space_id, "answer", shown={"start": 1})
    job = await work_on(acme, space_id, job_id, {"answer": answer})
    assert (job.status, job.reading_count, job.output["written"], job.input) == (JobStatus.READY, 7, 1, {"start": 1})
    assert (await acme.client().get(job.output["downloadUrls"][0])).text == "seven"
    with pytest.raises(NotFound):
        await look(globex, space_id, job_id)
    with pytest.raises(NotFound):
        await look(acme, await add_space(acme), job_id)


async def test_a_job_survives_the_death_of_its_worker(acme: Tenant) -> None:
    space_id = await add_space(acme)
    job_id = await enqueue(acme, space_id, "answer")
    database, ports = acme.edge.system_database, acme.edge.ports
    # A worker takes it on, writes a file, and is never heard of again.
    async with database.tx() as tx:
        while (claim := await jobs.JOBS.claim(tx)) is not None and claim.id != parse_job_id(job_id):
            await jobs.JOBS.fail(tx, claim, "of another test")
    assert claim is not None
    dead = await jobs.begin_job(database, ports, claim)
    lost = await dead.keep_file("result.txt", b"half of it", content_type="text/plain")
    assert (await look(acme, space_id, job_id)).status is JobStatus.RUNNING
    assert not await worker(acme, {"answer": answer}).work_once()
    async with database.tx() as tx:
        await tx.run("UPDATE background_job SET due_at = now() - interval '1 second' WHERE id = %s", claim.id)
    assert await worker(acme, {"answer": answer}).work_once()
    job = await look(acme, space_id, job_id)
    assert job.status is JobStatus.READY
    assert (await acme.client().get(lost)).status_code == 404
    assert (await acme.client().get(job.output["downloadUrls"][0])).text == "seven"
    # It comes back, and is too late.
    async with database.tx() as tx:
        assert not await jobs.finish_job(tx, dead, {"written": 99})
    assert (await look(acme, space_id, job_id)).output["written"] == 1


async def test_how_far_it_is_can_be_seen_meanwhile(acme: Tenant) -> None:
    space_id, go_on = await add_space(acme), asyncio.Event()

    async def slow(job: RunningJob) -> dict[str, Any]:
        await job.expect(10)
        job.completed = 4
        await go_on.wait()
        return {}

    job_id = await enqueue(acme, space_id, "slow")
    working = asyncio.create_task(work_on(acme, space_id, job_id, {"slow": slow}))
    async with asyncio.timeout(10):
        while (job := await look(acme, space_id, job_id)).reading_count != 4:
            await asyncio.sleep(0.01)
    assert (job.status, job.total) == (JobStatus.RUNNING, 10)
    go_on.set()
    await working
    assert (await look(acme, space_id, job_id)).status is JobStatus.READY


async def test_what_cannot_be_done_says_why(acme: Tenant) -> None:
    space_id = await add_space(acme)

    async def give_up(job: RunningJob) -> dict[str, Any]:
        raise CannotBeMade("there is no such harbour")

    job = await work_on(acme, space_id, await enqueue(acme, space_id, "give up"), {"give up": give_up})
    assert (job.status, job.error) == (JobStatus.FAILED, "there is no such harbour")
    job = await work_on(acme, space_id, await enqueue(acme, space_id, "unheard of"), {})
    assert job.status is JobStatus.FAILED
    assert "unheard of" in (job.error or "")


async def test_one_that_wants_to_be_alone_waits_for_the_end_of_another(acme: Tenant) -> None:
    space_id, elsewhere, device = await add_space(acme), await add_space(acme), new_id()
    job_id = await enqueue(acme, space_id, "answer", alone=True)
    with pytest.raises(Conflict):
        await enqueue(acme, space_id, "answer", alone=True)
    await enqueue(acme, elsewhere, "answer", alone=True)
    await enqueue(acme, space_id, "answer", alone=True, resource=("device", device))
    await enqueue(acme, space_id, "other", alone=True)
    await enqueue(acme, space_id, "answer")
    await work_on(acme, space_id, job_id, {"answer": answer})
    await enqueue(acme, space_id, "answer", alone=True)


async def test_whoever_asked_is_told_by_mail(acme: Tenant, postbox: Postbox) -> None:
    space_id = await add_space(acme)
    person = await add_person(acme)
    async with acme.work() as work:
        asked = msgspec.structs.replace(work, actor=msgspec.structs.replace(work.actor, id=person.id))
        job_id = await jobs.enqueue(asked, "answer", {"number": 1}, space_id=space_id, name="A job")
    job = await work_on(acme, space_id, job_id, {"answer": answer})
    assert job.email == person.email
    await worker(acme, {}).sweep()
    assert job.output["downloadUrls"][0] in postbox.newest(person.email).text
    await worker(acme, {}).sweep()
    assert len([mail for mail in postbox.mails if mail.to == person.email]) == 1


async def test_a_url_is_called_again_until_it_answers(acme: Tenant, postbox: Postbox) -> None:
    space_id = await add_space(acme)
    sent = len(postbox.mails)
    async with receiver() as server:
        server.status = 500
        job_id = await enqueue(acme, space_id, "answer", callback_url=f"http://127.0.0.1:{server.port}/done")
        await work_on(acme, space_id, job_id, {"answer": answer})
        await worker(acme, {}).sweep()
        assert len(server.requests) == 1
        server.status = 200
        async with acme.edge.system_database.tx() as tx:
            sql = (
                "UPDATE background_job SET notice_due_at = now() - interval '1 second' WHERE notice_due_at IS NOT NULL"
            )
            await tx.run(sql)
        await worker(acme, {}).sweep()
        await worker(acme, {}).sweep()
        assert [request.path for request in server.requests] == ["/done", "/done"]
        told = msgspec.json.decode(server.requests[-1].body)
        assert (told["jobId"], told["status"], told["written"]) == (job_id, "completed", 1)
    assert len(postbox.mails) == sent
    with pytest.raises(Invalid, match="callbackUrl"):
        await enqueue(acme, space_id, "answer", callback_url="ftp://harbour")
