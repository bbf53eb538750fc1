"""Background jobs of tests: a worker does what waits, and tests look at what came of it."""

from typing import Any

from roadstead.app.background_jobs import JOB_HANDLERS
from roadstead.workers.background_jobs import background_worker
from tests.dialects.losant.contract import Client

_MOST = 50


async def run_job(client: Client, application_id: str, queued: dict[str, Any]) -> dict[str, Any]:
    """Have a worker do a job that was answered as queued, and all before it; its log."""
    assert queued["success"]
    assert queued["jobQueued"]
    edge = client.tenant.edge
    worker = background_worker(edge.system_database, edge.ports, JOB_HANDLERS)
    for _ in range(_MOST):
        log = await client.data("applicationJobLog.get", applicationId=application_id, jobId=queued["jobId"])
        if log["status"] in ("completed", "failed"):
            found: dict[str, Any] = log
            return found
        assert await worker.work_once(), log
    raise AssertionError(f"job {queued['jobId']} comes to no end")
