"""/applications/{id}/jobLogs: what has become of exports, imports and bulk work (contract section 19)."""

from typing import Any

from litestar import get

from roadstead.core import jobs
from roadstead.core.jobs import BackgroundJob, JobStatus
from roadstead.core.registry import Space
from roadstead.core.work import Work
from roadstead.dialects.losant.envelopes import collection, read_listing, read_structure, single, spell_time
from roadstead.dialects.losant.queries import Fields, Id, Instant, Text, read_query
from roadstead.kernel.actor import ActorKind
from roadstead.kernel.ids import to_hex24
from roadstead.web.edge import AnyRequest

_FIELDS: Fields = {
    "id": Id("id"),
    "name": Text("name"),
    "status": Text("status"),
    "resourceId": Id("resourceId"),
    "resourceType": Text("resourceType"),
    "runQueuedAt": Instant("queuedAt"),
    "runStartedAt": Instant("startedAt"),
    "runCompletedAt": Instant("completedAt"),
}
_SORTS = {
    "name": "name",
    "status": "status",
    "resourceType": "resourceType",
    "runQueuedAt": "queuedAt",
    "runStartedAt": "startedAt",
    "runCompletedAt": "completedAt",
}
_STATUSES = {
    JobStatus.PENDING: "queued",
    JobStatus.RUNNING: "inProgress",
    JobStatus.READY: "completed",
    JobStatus.EXPIRED: "completed",
    JobStatus.FAILED: "failed",
}
_ASKERS = {
    ActorKind.USER: "user",
    ActorKind.API_KEY: "apiToken",
    ActorKind.APPLICATION: "apiToken",
    ActorKind.DEVICE: "device",
    ActorKind.SYSTEM: "system",
}


@get("/applications/{applicationId:str}/jobLogs", operation_id="applicationJobLogs.get")
async def list_job_logs(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """Jobs of an application."""
    listing = read_listing(request, list(_SORTS), sort="runQueuedAt", filter_fields=())
    asked = read_structure(request, "query", "advancedApplicationJobLogQuery")
    where = None if asked is None else read_query(asked, _FIELDS)
    sort = f"{'-' if listing.descending else ''}{_SORTS[listing.sort_field]}"
    page = await jobs.list_jobs(work, application.id, where, sort, listing.query)
    items = [_spell(request, application, job) for job in page.items] if listing.per_page else []
    more = None if asked is None else {"query": asked}
    return collection(
        request, "applicationJobLogs", items, listing, page.total or 0, more=more, applicationId=application.id
    )


@get("/applications/{applicationId:str}/jobLogs/{jobId:str}", operation_id="applicationJobLog.get")
async def get_job_log(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """One job, by the id that was answered when it was queued, or by that of its log."""
    job = await jobs.get_job(work, application.id, request.path_params["jobId"])
    return _spell(request, application, job)


def _spell(request: AnyRequest, application: Space, job: BackgroundJob) -> dict[str, Any]:
    progress = {"completed": job.reading_count, "total": job.total, "status": _STATUSES[job.status]}
    asked = job.input | {
        "emails": None if job.email is None else [job.email],
        "callbackUrl": job.callback_url,
    }
    # What it has made is gone by then.
    output = {name: value for name, value in job.output.items() if _is_there(job, name)}
    # What belongs to a whole organization is about no resource of the application.
    of_organization = job.resource_type == "organization"
    fields = {
        "jobId": to_hex24(job.id),
        "name": job.name,
        "runQueuedAt": spell_time(job.created_at),
        "runStartedAt": None if job.started_at is None else spell_time(job.started_at),
        "runCompletedAt": None if job.completed_at is None else spell_time(job.completed_at),
        "status": _STATUSES[job.status],
        "requestedById": to_hex24(job.requested_by),
        "requestedByType": _ASKERS[job.requested_as],
        "ownerType": "organization" if of_organization else "application",
        "ownerId": to_hex24(job.resource_id if of_organization else application.id),
        "resourceType": None if of_organization else job.resource_type,
        "resourceId": None if of_organization else to_hex24(job.resource_id),
        "progress": _told(progress),
        "input": _told(asked),
        "output": output or None,
        "error": None if job.error is None else {"name": "JobFailed", "message": job.error},
    }
    return single(request, "applicationJobLog", job.id, fields, applicationId=application.id)


def _is_there(job: BackgroundJob, name: str) -> bool:
    return name != "downloadUrls" or job.status is not JobStatus.EXPIRED


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


handlers = [list_job_logs, get_job_log]
