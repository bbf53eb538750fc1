"""Background jobs in the hands of workers: what a handler has at hand, and telling people of the end."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias

import msgspec

from roadstead.core import files
from roadstead.core.files import CannotBeMade, JobClaim
from roadstead.core.jobs import store
from roadstead.core.jobs.model import KEPT, BackgroundJob, JobStatus, Told, spell_job_id
from roadstead.core.jobs.service import JOBS
from roadstead.core.ports import Mail, Ports, Post
from roadstead.core.work import Work
from roadstead.db import Database, Tx
from roadstead.kernel import time
from roadstead.kernel.actor import system_actor
from roadstead.kernel.errors import Forbidden, Unavailable

_NOTICE_LEASE = timedelta(seconds=60)
_NOTICE_PAUSE = timedelta(seconds=30)
_MOST_NOTICES = 5
"""So often somebody is told before that is given up."""


class RunningJob:
    """One try at one job. Whoever dies over it leaves it to another, so a handler must bear being begun anew."""

    def __init__(self, database: Database, ports: Ports, claim: JobClaim, job: BackgroundJob) -> None:
        self.database = database
        self.ports = ports
        self.claim = claim
        self.job = job
        self.completed = 0
        """How far it is: handlers count it up, and it is written down every few seconds."""
        self.size_bytes = 0
        """Of its files."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What it was asked for."""
        return self.job.parameters

    @asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        """Work of the platform in the tenant of the job, in a transaction of its own."""
        actor = system_actor(self.claim.tenant_id, self.claim.organization_id, name=f"job {self.job.name}")
        async with self.database.tx(self.claim.tenant_id) as tx:
            yield Work(actor, tx, self.ports)

    async def expect(self, total: int) -> None:
        """Say how far it has to go."""
        async with self.database.tx() as tx:
            await store.update_total(tx, self.claim, total)

    async def keep_file(self, name: str, content: AsyncIterable[bytes] | bytes, *, content_type: str) -> str:
        """Store a file that the job has made; a URL under which everybody who has it can read it for 24 hours."""
        path = f"{self.claim.id}/{self.claim.lease}/{name}"
        stored = await self.ports.blobs.put(files.blob_key(self.claim.organization_id, path), content)
        self.size_bytes += stored.size_bytes
        async with self.work() as work:
            return await files.download_url(
                work, path, filename=name, content_type=content_type, valid_until=time.now() + KEPT
            )


Handler: TypeAlias = Callable[[RunningJob], Awaitable[Mapping[str, Any]]]
"""Does a job of one kind, and says what came of it as plain JSON. Raises `CannotBeMade` when trying again is no use."""


async def begin_job(database: Database, ports: Ports, claim: JobClaim) -> RunningJob:
    """What a worker has taken on; files of earlier tries are gone. Raises `CannotBeMade` when its record is gone."""
    await files.delete_files(ports.blobs, claim.organization_id, claim.id)
    async with database.tx(claim.tenant_id) as tx:
        job = await store.select_job(tx, claim.tenant_id, claim.id)
    if job is None:
        raise CannotBeMade("nobody waits for this job any more")
    return RunningJob(database, ports, claim, job)


async def finish_job(tx: Tx, running: RunningJob, output: Mapping[str, Any]) -> bool:
    """It is done. False: another worker has it, or nobody waits for it any more."""
    done = await JOBS.finish(tx, running.claim, size_bytes=running.size_bytes, readings=running.completed)
    if done:
        await store.update_output(tx, running.claim, output)
    return done


# --- telling ---------------------------------------------------------------------------------------------------------


async def claim_notice(tx: Tx) -> Told | None:
    """A job that is over and of which somebody has to be told, if there is one."""
    now = time.now()
    return await store.claim_notice(tx, at=now, until=now + _NOTICE_LEASE)


async def tell(ports: Ports, told: Told) -> str | None:
    """Tell by mail and URL; what went wrong, if something did.

    Whoever dies after this does it once more: both carry the id of the job, by which repeats can be dropped.
    """
    job = told.job
    try:
        if job.email is not None:
            await ports.mailer.send(Mail(job.email, _subject(job), _text(job), job.id))
        if job.callback_url is not None:
            headers = {"Content-Type": "application/json", "Idempotency-Key": str(job.id)}
            reply = await ports.outgoing.post(Post(job.callback_url, headers, msgspec.json.encode(spell_result(job))))
            if not 200 <= reply.status < 300:
                return f"answered {reply.status}"
    except (Forbidden, Unavailable) as error:
        return str(error)
    return None


async def settle_notice(tx: Tx, told: Told, error: str | None) -> None:
    """Once it was told, or was tried often enough, that is over; else it is tried again later."""
    again = error is not None and told.tries < _MOST_NOTICES
    due_at = time.now() + _NOTICE_PAUSE * 2**told.tries if again else None
    await store.settle_notice(tx, told.tenant_id, told.job.id, due_at)


def spell_result(job: BackgroundJob) -> dict[str, Any]:
    """What a URL is sent."""
    spelled: dict[str, Any] = {
        "jobId": spell_job_id(job.id),
        "name": job.name,
        "status": "failed" if job.status is JobStatus.FAILED else "completed",
        **job.output,
    }
    return spelled if job.error is None else spelled | {"error": {"name": "JobFailed", "message": job.error}}


def _subject(job: BackgroundJob) -> str:
    return f"{job.name}: {'failed' if job.status is JobStatus.FAILED else 'done'}"


def _text(job: BackgroundJob) -> str:
    if job.status is JobStatus.FAILED:
        return f"It could not be done: {job.error}\n"
    urls = job.output.get("downloadUrls", [])
    facts = [f"{name}: {value}" for name, value in job.output.items() if isinstance(value, int | str)]
    links = ["", "The result can be downloaded for 24 hours:", *urls] if urls else []
    return "\n".join([f"{job.name} is done.", *facts, *links, ""])
