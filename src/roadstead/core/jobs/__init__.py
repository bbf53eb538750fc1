"""Background jobs: what takes longer than a request is a row, a worker does it, and whoever asked is told.

A room that has such work names a kind, calls `enqueue`, and has its `Handler` registered where the worker is started.
"""

from roadstead.core.jobs.model import BackgroundJob, JobStatus, Told, parse_job_id, spell_job_id
from roadstead.core.jobs.running import (
    Handler,
    RunningJob,
    begin_job,
    claim_notice,
    finish_job,
    settle_notice,
    spell_result,
    tell,
)
from roadstead.core.jobs.service import JOBS, enqueue, get_job, list_jobs
from roadstead.core.jobs.store import FIELDS, SORTS
from roadstead.core.jobs.zipping import zip_files

__all__ = [
    "FIELDS",
    "JOBS",
    "SORTS",
    "BackgroundJob",
    "Handler",
    "JobStatus",
    "RunningJob",
    "Told",
    "begin_job",
    "claim_notice",
    "enqueue",
    "finish_job",
    "get_job",
    "list_jobs",
    "parse_job_id",
    "settle_notice",
    "spell_job_id",
    "spell_result",
    "tell",
    "zip_files",
]
