"""Firing timers: what is due, what each asks for, and when it is due again."""

from datetime import datetime
from uuid import uuid5

from roadstead.core import telemetry
from roadstead.core.ports import Ports, Post
from roadstead.core.telemetry import DocumentMessage, Intake, TakenMessage
from roadstead.core.timers import store
from roadstead.core.timers.model import Claim, Outcome, Query, Report
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel.errors import Forbidden, Unavailable
from roadstead.kernel.time import to_millis

MOST_TRIES = 2
"""Who dies while it fires gives it to another one, once."""
_SHOWN_LETTERS = 300


async def send_query(ports: Ports, claim: Claim, query: Query) -> Outcome:
    """Send it. Never raises for what the other side does.

    After a crash it may go out twice, both times with the same `Idempotency-Key`: receivers drop repeats by it.
    """
    headers = {"Idempotency-Key": str(uuid5(claim.id, str(to_millis(claim.due_at)))), **query.headers}
    if query.body is not None and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "text/plain; charset=utf-8" if isinstance(query.body, str) else "application/json"
    try:
        reply = await ports.outgoing.post(Post(query.url, headers, query.content(), query.method))
    except (Forbidden, Unavailable) as error:
        return Outcome(error=str(error)[:_SHOWN_LETTERS])
    failed = None if 200 <= reply.status < 300 else f"answered {reply.status}"
    return Outcome(status=reply.status, answer=reply.beginning or None, error=failed)


async def take_report(work: Work, intake: Intake, claim: Claim, report: Report) -> TakenMessage:
    """What is said in the name of a device, by the rules of every door; to be put on the log unless it is refused.

    After a crash it may be said twice, both times of the same instant: the store keeps one.
    """
    message = DocumentMessage(
        dialect=report.dialect,
        channel=report.channel,
        payload=report.spell(to_millis(claim.due_at)),
        device_id=report.device_id,
    )
    return await telemetry.take_document(work, intake, message)


async def settle(tx: Tx, claim: Claim, outcome: Outcome, now: datetime) -> None:
    """Note what came of a run. What was missed meanwhile is not made up for: it is due again at the next instant."""
    due_at = claim.schedule.next(claim.due_at, now)
    await store.settle_claim(tx, claim, outcome, now, due_at)
