"""What happens to commands by itself: they leave, arrive, are answered, run out of time. For the system duty only.

Rows of all tenants are handled together. Whoever changes several locks them in the order of their ids.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

import msgspec

from roadstead.core.commands.model import Command, CommandId, CommandStatus, Verdict, judge
from roadstead.core.commands.store import NAMES
from roadstead.core.downlinks import COMMAND, CommandAnswer, Downlink, Hearer
from roadstead.core.messages import CommandChanged, DownlinkQueued, Uplink, encode_fact
from roadstead.core.ports import Refusal, RefusalReason
from roadstead.db import Tx, holds_nul, storable
from roadstead.kernel import ids, time
from roadstead.kernel.ids import DeviceId, TenantId

_RETURNED = ", ".join(f"c.{name}" for name in NAMES)
_EXPIRED = "the device could not be reached in time"
_UNANSWERED = "the device has not answered in time"

_Changed = tuple[TenantId, CommandId, DeviceId, CommandStatus]


class CommandSource:
    """`ports.Source` of commands."""

    kind = COMMAND

    async def claim(self, tx: Tx, hearers: Sequence[Hearer], *, most: int) -> list[Downlink]:
        """PENDING ones become SENT; SENT ones that no session has brought home go along again."""
        now = time.now()
        tenants, commands = await tx.keyed(
            Command,
            f"""
            WITH due AS (
                SELECT c.tenant_id, c.id, e.session, e.answers
                FROM unnest(%s::integer[], %s::uuid[], %s::text[], %s::boolean[])
                    AS e (tenant_id, device_id, session, answers)
                CROSS JOIN LATERAL (
                    SELECT c.tenant_id, c.id FROM command c
                    WHERE c.tenant_id = e.tenant_id AND c.device_id = e.device_id AND {_WAITING}
                    ORDER BY c.created_at, c.id LIMIT %s
                ) c
            ), locked AS (
                SELECT e.tenant_id, e.id, e.session, e.answers FROM due e JOIN command c USING (tenant_id, id)
                WHERE {_WAITING} ORDER BY e.tenant_id, e.id FOR NO KEY UPDATE OF c
            )
            UPDATE command c SET status = 'SENT', sent_session = l.session, sent_at = coalesce(c.sent_at, %s),
                awaits_answer = c.awaits_answer AND l.answers,
                due_at = CASE WHEN c.status = 'PENDING' AND c.awaits_answer AND l.answers
                    THEN %s + make_interval(secs => c.timeout_s) ELSE c.due_at END
            FROM locked l WHERE c.tenant_id = l.tenant_id AND c.id = l.id
            RETURNING c.tenant_id, {_RETURNED}
            """,
            [hearer.tenant for hearer in hearers],
            [hearer.device for hearer in hearers],
            [hearer.session for hearer in hearers],
            [hearer.manners.answers for hearer in hearers],
            now, now, most, now, now, now, now,
        )  # fmt: skip
        claimed = [(TenantId(tenant), command) for tenant, command in zip(tenants, commands, strict=True)]
        claimed.sort(key=lambda one: (one[1].created_at, one[1].id))
        _tell(tx, [(tenant, one.id, one.device_id, one.status) for tenant, one in claimed if one.sent_at == now])
        return [Downlink(tenant, one.device_id, COMMAND, one.id, one) for tenant, one in claimed]

    async def note_arrived(self, tx: Tx, downlinks: Sequence[Downlink]) -> None:
        """Says when. What nobody answers has succeeded with that; else the status stays what it is."""
        places = [one.tenant for one in downlinks], [one.id for one in downlinks]
        # Most have been answered by now, and so have arrived: then there is nothing to begin a transaction for.
        sql = """
            SELECT count(*) FROM unnest(%s::integer[], %s::uuid[]) AS n (tenant_id, id)
            JOIN command c USING (tenant_id, id) WHERE c.delivered_at IS NULL
        """
        if not await tx.value(sql, *places):
            return
        now = time.now()
        rows = await tx.rows(
            """
            UPDATE command c SET delivered_at = %s, status = CASE WHEN n.ends THEN 'SUCCESS' ELSE c.status END,
                completed_at = CASE WHEN n.ends THEN %s ELSE c.completed_at END,
                due_at = CASE WHEN n.ends THEN NULL ELSE c.due_at END
            FROM (
                SELECT c.tenant_id, c.id, NOT c.awaits_answer AND c.status = 'SENT' AS ends
                FROM unnest(%s::integer[], %s::uuid[]) AS n (tenant_id, id)
                JOIN command c USING (tenant_id, id) WHERE c.delivered_at IS NULL
                ORDER BY c.tenant_id, c.id FOR NO KEY UPDATE OF c
            ) n
            WHERE c.tenant_id = n.tenant_id AND c.id = n.id
            RETURNING c.tenant_id, c.id, c.device_id, n.ends
            """,
            now,
            now,
            *places,
        )
        _tell(tx, [(tenant, id_, device, CommandStatus.SUCCESS) for tenant, id_, device, ends in rows if ends])


_WAITING = """
    c.status IN ('PENDING', 'SENT') AND c.delivered_at IS NULL AND c.sent_session IS DISTINCT FROM e.session
    AND c.release_at <= %s AND c.due_at > %s
"""


# --- answers ---------------------------------------------------------------------------------------------------------


class _Step(msgspec.Struct):
    """A command that takes answers."""

    device: DeviceId
    status: CommandStatus
    acknowledged_at: datetime | None
    completed_at: datetime | None = None
    result: object = None
    error: str | None = None
    changed: bool = False


async def take_answers(tx: Tx, answers: Sequence[tuple[Uplink, CommandAnswer]]) -> list[tuple[int, Refusal]]:
    """Apply what devices say about their commands, in order; answers which of them cannot be taken, and why.

    May run twice: what has been said before changes nothing, and is refused for the same reason as before.
    """
    steps = await _lock(tx, answers)
    refused: list[tuple[int, Refusal]] = []
    changed: list[_Changed] = []
    for index, (uplink, answer) in enumerate(answers):
        step = steps.get((uplink.tenant, answer.command_id))
        if step is None or ids.to_bytes(step.device) != uplink.device:
            detail = f"the device has no command {answer.command_id}"
            refused.append((index, _refuse(uplink, RefusalReason.UNKNOWN_COMMAND, detail)))
            continue
        if holds_nul(answer.result):
            refused.append((index, _refuse(uplink, RefusalReason.MALFORMED, "the result must not contain NUL")))
            continue
        said = CommandStatus(answer.status)
        match judge(step.status, said, acknowledged=step.acknowledged_at is not None):
            case Verdict.TAKEN:
                _take(step, said, answer, time.from_millis(uplink.received))
                changed.append((uplink.tenant, CommandId(answer.command_id), step.device, said))
            case Verdict.EARLY:
                detail = f"the command {answer.command_id} has not been sent yet"
                refused.append((index, _refuse(uplink, RefusalReason.UNKNOWN_COMMAND, detail)))
            case Verdict.LATE:
                detail = f"the command {answer.command_id} has ended as {step.status} before"
                refused.append((index, _refuse(uplink, RefusalReason.LATE_ANSWER, detail)))
    _write(tx, steps)
    _tell(tx, changed)
    return refused


async def _lock(tx: Tx, answers: Sequence[tuple[Uplink, CommandAnswer]]) -> dict[tuple[TenantId, UUID], _Step]:
    rows = await tx.rows(
        """
        SELECT c.tenant_id, c.id, c.device_id, c.status, c.acknowledged_at
        FROM (SELECT DISTINCT * FROM unnest(%s::integer[], %s::uuid[]) AS n (tenant_id, id)) n
        JOIN command c USING (tenant_id, id) ORDER BY c.tenant_id, c.id FOR NO KEY UPDATE OF c
        """,
        [uplink.tenant for uplink, _ in answers],
        [answer.command_id for _, answer in answers],
    )
    return {
        (TenantId(tenant), id_): _Step(DeviceId(device), CommandStatus(status), acknowledged_at)
        for tenant, id_, device, status, acknowledged_at in rows
    }


def _take(step: _Step, said: CommandStatus, answer: CommandAnswer, at: datetime) -> None:
    step.status, step.changed = said, True
    if said is CommandStatus.ACKNOWLEDGED:
        step.acknowledged_at = at
    else:
        step.completed_at = at
    if answer.result is not None:
        step.result = answer.result
    step.error = storable(answer.error) or step.error


def _write(tx: Tx, steps: dict[tuple[TenantId, UUID], _Step]) -> None:
    rows = [
        (
            step.status.value,
            step.acknowledged_at,
            step.completed_at,
            None if step.result is None else msgspec.json.encode(step.result).decode(),
            step.error,
            *place,
        )
        for place, step in steps.items()
        if step.changed
    ]
    if rows:
        tx.later(
            """
            UPDATE command c SET status = n.status, acknowledged_at = n.acknowledged_at, completed_at = n.completed_at,
                result = coalesce(n.result::jsonb, c.result), error = coalesce(n.error, c.error),
                due_at = CASE WHEN n.completed_at IS NULL THEN c.due_at END,
                delivered_at = coalesce(c.delivered_at, n.acknowledged_at, n.completed_at)
            FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[], %s::integer[],
                        %s::uuid[]) AS n (status, acknowledged_at, completed_at, result, error, tenant_id, id)
            WHERE c.tenant_id = n.tenant_id AND c.id = n.id
            """,
            *(list(column) for column in zip(*rows, strict=True)),
        )


def _refuse(uplink: Uplink, reason: RefusalReason, detail: str) -> Refusal:
    return Refusal(reason, detail, uplink.payload, whole=True)


# --- timers ----------------------------------------------------------------------------------------------------------


async def release_due(tx: Tx, most: int) -> int:
    """Commands whose time to leave has come may leave; says how many. May run twice, and side by side."""
    rows = await tx.rows(
        """
        UPDATE command c SET due_at = c.expires_at
        FROM (
            SELECT tenant_id, id FROM command WHERE due_at <= now() AND status = 'PENDING' AND expires_at > now()
            ORDER BY due_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
        ) n
        WHERE c.tenant_id = n.tenant_id AND c.id = n.id
        RETURNING c.tenant_id, c.device_id
        """,
        most,
    )
    now = time.now()
    for tenant, devices in groupby(sorted(rows), key=lambda row: row[0]):
        fact = DownlinkQueued(COMMAND, [DeviceId(device) for _, device in devices])
        tx.emit(TenantId(tenant), now, encode_fact(fact))
    return len(rows)


async def expire_due(tx: Tx, most: int) -> int:
    """Commands that have run out of time end as TIMEOUT; says how many. May run twice, and side by side."""
    rows = await tx.rows(
        """
        UPDATE command c SET status = 'TIMEOUT', completed_at = %s, due_at = NULL,
            error = CASE WHEN c.status = 'PENDING' OR NOT c.awaits_answer THEN %s ELSE %s END
        FROM (
            SELECT tenant_id, id FROM command WHERE due_at <= now() AND (status <> 'PENDING' OR expires_at <= now())
            ORDER BY due_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
        ) n
        WHERE c.tenant_id = n.tenant_id AND c.id = n.id
        RETURNING c.tenant_id, c.id, c.device_id
        """,
        time.now(),
        _EXPIRED,
        _UNANSWERED,
        most,
    )
    _tell(tx, [(tenant, id_, device, CommandStatus.TIMEOUT) for tenant, id_, device in rows])
    return len(rows)


def _tell(tx: Tx, changed: Iterable[_Changed]) -> None:
    now = time.now()
    for tenant, id_, device, status in changed:
        tx.emit(tenant, now, encode_fact(CommandChanged(device, id_, status)))
