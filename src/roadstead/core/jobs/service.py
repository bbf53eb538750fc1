"""What can be done with background jobs."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from roadstead.core import identity
from roadstead.core.files import FileJobs
from roadstead.core.jobs import store
from roadstead.core.jobs.model import (
    KEPT,
    MOST_UNDER_WAY,
    REMEMBERED,
    BackgroundJob,
    JobStatus,
    parse_job_id,
    spell_job_id,
)
from roadstead.core.operation import operation, unguarded
from roadstead.core.work import Work
from roadstead.db import SortKey
from roadstead.kernel.actor import ActorKind, Grant
from roadstead.kernel.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import SpaceId, new_id
from roadstead.kernel.page import Page, PageQuery

JOBS = FileJobs("background_job", kept=KEPT, remembered=REMEMBERED)
"""The life of every job."""
_ADDRESS = re.compile(r"[^@\s,;<>]{1,64}@[A-Za-z0-9.-]{1,255}")


@unguarded("for the rooms above, which have asked whether the caller may do this")
async def enqueue(
    work: Work,
    kind: str,
    parameters: Mapping[str, Any],
    *,
    space_id: SpaceId,
    name: str,
    email: str | None = None,
    callback_url: str | None = None,
    shown: Mapping[str, Any] | None = None,
    resource: tuple[str, UUID] | None = None,
    alone: bool = False,
    bounded: bool = False,
) -> str:
    """Have it done by a worker, after the commit; the id of the job, 21 letters and digits.

    `parameters` are plain JSON for the handler of this kind, `shown` what of it people see. `resource` is what it is
    about, such as `("device", id)`; None: the application. Whoever asks is told by mail, unless another address is
    named, or a URL alone. Raises `Conflict` when it has to be `alone` of its kind about its resource and is not,
    `Invalid` for an address or a URL that cannot be one, `TooMany` when too much is under way in the space, and
    `Forbidden` for who sees but some of its devices: jobs see all, unless their parameters are `bounded` by what the
    caller sees.
    """
    if work.actor.reach is not None and not work.actor.reach.is_whole and not bounded:
        raise Forbidden("this needs a key for all devices of the application")
    if callback_url is not None:
        wrong = work.ports.outgoing.check_url(callback_url)
        if wrong is not None:
            raise Invalid.field("callbackUrl", wrong)
    if email is not None and not _ADDRESS.fullmatch(email):
        raise Invalid.field("email", "is not a mail address")
    if await store.count_under_way(work.tx, work.tenant_id, space_id) >= MOST_UNDER_WAY:
        raise TooMany(f"{MOST_UNDER_WAY} jobs of this application are under way already", retry_after_s=60)
    if email is None and callback_url is None and work.actor.kind is ActorKind.USER:
        email = (await identity.load_emails(work, [work.actor.id])).get(work.actor.id)
    resource_type, resource_id = resource or ("application", space_id)
    job = BackgroundJob(
        id=new_id(),
        space_id=space_id,
        kind=kind,
        name=name,
        parameters=dict(parameters),
        input=dict(shown or {}),
        resource_type=resource_type,
        resource_id=resource_id,
        alone=alone,
        email=email,
        callback_url=callback_url,
        requested_by=work.actor.id,
        requested_as=work.actor.kind,
        status=JobStatus.PENDING,
        created_at=work.now(),
    )
    if not await store.insert_job(work.tx, work.tenant_id, job):
        raise Conflict(
            f"a job of this kind is under way for this {resource_type}: wait for its end", code="job-running"
        )
    work.record("job.create", job.id)
    return spell_job_id(job.id)


@operation(Grant.EXPORTS_READ)
async def list_jobs(
    work: Work, space_id: SpaceId, where: Filter | None, sort: str, page: PageQuery
) -> Page[BackgroundJob]:
    """Jobs of a space that a filter over `FIELDS` is true for, sorted by one of `SORTS`, with `-` backwards."""
    key = store.SORTS[sort.removeprefix("-")]
    order = SortKey(key.sql, descending=sort.startswith("-"), cast=key.cast)
    return await store.page_jobs(work.tx, work.tenant_id, space_id, where, [order], page)


@operation(Grant.EXPORTS_READ)
async def get_job(work: Work, space_id: SpaceId, job_id: str) -> BackgroundJob:
    """One job of a space, by its 21 characters or 24 hex digits."""
    id_ = parse_job_id(job_id)
    job = None if id_ is None else await store.select_job(work.tx, work.tenant_id, id_)
    if job is None or job.space_id != space_id:
        raise NotFound("Job", job_id)
    return job
