"""Timers of a project: when, what, and what came of it the last time (contract section 7)."""

from functools import partial
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar import delete, get, patch, post, put
from litestar.params import PathParameter

from roadstead.core import timers
from roadstead.core.timers import (
    Action,
    Once,
    Query,
    Repeating,
    Report,
    Schedule,
    Scheduled,
    Solar,
    Timer,
    TimerChange,
    TimerDraft,
)
from roadstead.core.work import Work
from roadstead.dialects.leverege import wire
from roadstead.dialects.leverege.access import check, check_data
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.inbound import InboundBody, find_reporter, time_of
from roadstead.dialects.leverege.lists import Listed, ListQuery, pick
from roadstead.dialects.leverege.patches import apply_patch
from roadstead.dialects.leverege.project_of import check_project
from roadstead.dialects.leverege.statuses import Deleted
from roadstead.dialects.leverege.values import paths_of, read_values
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import parse_base62, to_base62
from roadstead.kernel.time import to_millis
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

ProjectPath = Annotated[str, PathParameter(name="projectId")]
MaybeProject = Annotated[str | None, PathParameter(name="projectId")]
TimerPath = Annotated[str, PathParameter(name="timerId")]

T = TypeVar("T")

_NOTES = "leverege"
_ONE = ["/v1/project/{projectId:str}/timer/{timerId:str}", "/v1/timer/{timerId:str}"]


class TimerSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`TimerSpec`: members that its type does not have are kept and not looked at."""

    type: str
    delay: int | None = None
    when: int | None = None
    run_immediately: bool | None = None
    cron: str | None = None
    timezone: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    from_sunrise: bool | None = None
    offset: int | None = None

    @classmethod
    def of(cls, schedule: Schedule) -> "TimerSpec":
        """In words of this dialect."""
        match schedule:
            case Once():
                return cls(type="once", delay=schedule.delay_ms, when=schedule.at_ms)
            case Repeating():
                return cls(type="repeating", delay=schedule.delay_ms, run_immediately=schedule.run_immediately)
            case Scheduled():
                return cls(type="scheduled", cron=schedule.cron, timezone=schedule.time_zone)
            case Solar():
                return cls(
                    type="solar",
                    latitude=schedule.latitude,
                    longitude=schedule.longitude,
                    from_sunrise=schedule.from_sunrise,
                    offset=schedule.offset_ms,
                    cron=schedule.cron,
                    timezone=schedule.time_zone,
                )

    def schedule(self) -> Schedule:
        """What the core is asked for."""
        match self.type:
            case "once":
                return Once(delay_ms=self.delay, at_ms=self.when)
            case "repeating":
                delay: int = _required("timer/delay", self.delay)
                return Repeating(delay_ms=delay, run_immediately=bool(self.run_immediately))
            case "scheduled":
                cron: str = _required("timer/cron", self.cron)
                return Scheduled(cron=cron, time_zone=self.timezone or "UTC")
            case "solar":
                return Solar(
                    latitude=_required("timer/latitude", self.latitude),
                    longitude=_required("timer/longitude", self.longitude),
                    from_sunrise=self.from_sunrise is not False,
                    offset_ms=self.offset or 0,
                    cron=self.cron or "0 0 * * *",
                    time_zone=self.timezone or "UTC",
                )
        raise Invalid.field("/timer/type", "is not one of once, repeating, scheduled, solar")


class TimerAction(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`TimerAction`: members that its type does not have are refused, so that nobody waits for what never comes."""

    type: str
    topic: str | None = None
    message: dict[str, Any] | None = None
    url: str | None = None
    method: str | None = None
    header: dict[str, str] | None = None
    body: Any = None

    @classmethod
    def of(cls, action: Action) -> "TimerAction":
        """In words of this dialect."""
        match action:
            case Query():
                return cls(
                    type="queryUrl",
                    url=action.url,
                    method=action.method,
                    header=action.headers or None,
                    body=action.body,
                )
            case Report():
                return cls(type="publishTopic", topic=action.topic, message=action.told)

    async def action(self, work: Work) -> Action:
        """What the core is asked for."""
        match self.type:
            case "queryUrl":
                _refuse_members("queryUrl", topic=self.topic, message=self.message)
                url: str = _required("action/url", self.url)
                method = (self.method or "GET").upper()
                return Query(url=url, method=method, headers=self.header or {}, body=self.body)
            case "publishTopic":
                others = {"url": self.url, "method": self.method, "header": self.header, "body": self.body}
                _refuse_members("publishTopic", **others)
                topic: str = _required("action/topic", self.topic)
                message: dict[str, Any] = _required("action/message", self.message)
                return await _read_report(work, topic, message)
        raise Invalid.field("/action/type", "is not one of publishTopic, queryUrl; scripts are not run here")


class TimerBody(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `timer.create`, and what a timer is after a patch."""

    name: str
    timer: TimerSpec
    action: TimerAction

    async def draft(self, work: Work, told: Any) -> TimerDraft:
        """What the core is asked for; what only this dialect knows of `told` is kept beside."""
        return TimerDraft(
            name=self.name,
            schedule=self.timer.schedule(),
            action=await self.action.action(work),
            notes={_NOTES: {name: value for name, value in told["timer"].items() if value is not None}},
        )


class LastRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of the last run; beside what the contract has."""

    time: int
    status: int | None = None
    answer: str | None = None
    error: str | None = None


class TimerShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`Timer`."""

    id: str
    name: str
    project_id: str
    timer: dict[str, Any]
    action: TimerAction
    running: bool
    next_run: int | None
    last_run: LastRun | None = None

    @classmethod
    def of(cls, work: Work, timer: Timer) -> "TimerShape":
        """In words of this dialect."""
        last = timer.last_run_at
        return cls(
            id=to_base62(timer.id),
            name=timer.name,
            project_id=to_base62(work.actor.organization_id),
            timer=timer.notes.get(_NOTES, {}) | msgspec.to_builtins(TimerSpec.of(timer.schedule)),
            action=TimerAction.of(timers.open_action(work.ports, timer)),
            running=timer.running,
            next_run=None if timer.due_at is None else to_millis(timer.due_at),
            last_run=None
            if last is None
            else LastRun(
                time=to_millis(last), status=timer.last_status, answer=timer.last_answer, error=timer.last_error
            ),
        )


async def _read_report(work: Work, topic: str, message: dict[str, Any]) -> Report:
    """A message that a network could bring from a device, for the device that it is about."""
    body = read_as(message, InboundBody)
    if body.type != "inboundDataEventMsg" or body.event is not None or not body.data:
        raise Invalid.field("/action/message", "timers publish data: an inboundDataEventMsg with data, without event")
    offered = f"{body.network_id}-inbound" if body.network_id else "inbound"
    if topic != offered:
        detail = f"'{topic}' is not offered: a message like this goes to '{offered}'"
        raise Invalid.field("/action/topic", detail)
    device = await find_reporter(work, body)
    if device is None:
        raise NotFound("device", body.device_id)
    values = read_values(body.data)
    await check_data(work, device, paths_of(values))
    said = msgspec.to_builtins(wire.DataMessage(values, time_of(body, 0)))
    return Report(
        topic=topic,
        device_id=device.id,
        dialect=wire.DIALECT,
        channel=wire.DATA,
        message=said,
        instant="at" if body.time is None else None,
        told=message,
    )


def _required(pointer: str, value: T | None) -> T:
    if value is None:
        raise Invalid.field(f"/{pointer}", "is required", code="required")
    return value


def _refuse_members(type_: str, **members: object) -> None:
    for name, value in members.items():
        if value is not None:
            raise Invalid.field(f"/action/{name}", f"is not for an action of type {type_}")


# --- routes ----------------------------------------------------------------------------------------------------------


@get("/v1/project/{projectId:str}/timer", operation_id="timer.list")
async def list_timers(request: AnyRequest, work: Work, project_id: ProjectPath) -> Listed[TimerShape]:
    """Oldest first."""
    check_project(work, project_id)
    await check(work, "timer.list")
    return pick(await timers.list_timers(work), ListQuery.of(request), partial(TimerShape.of, work))


@post("/v1/project/{projectId:str}/timer", operation_id="timer.create", status_code=200)
async def create_timer(request: AnyRequest, work: Work, project_id: ProjectPath) -> TimerShape:
    """It does not run before it is started."""
    check_project(work, project_id)
    await check(work, "timer.create")
    told = await read_body(request)
    draft = await read_as(told, TimerBody).draft(work, told)
    return TimerShape.of(work, await timers.create_timer(work, draft))


@get(_ONE, operation_id="timer.get")
async def get_timer(work: Work, timer_id: TimerPath, project_id: MaybeProject = None) -> TimerShape:
    """With what came of its last run."""
    await _enter(work, project_id, "timer.read")
    return TimerShape.of(work, await timers.get_timer(work, _read_id(timer_id)))


@patch(_ONE, operation_id="timer.update")
async def update_timer(
    request: AnyRequest, work: Work, timer_id: TimerPath, project_id: MaybeProject = None
) -> TimerShape:
    """`timer` and `action` are replaced when their type is sent, else merged."""
    await _enter(work, project_id, "timer.update")
    before = await timers.get_timer(work, _read_id(timer_id))
    known: dict[str, Any] = msgspec.to_builtins(TimerShape.of(work, before))
    body = await read_body(request)
    for name in ("timer", "action"):
        if isinstance(body, dict) and isinstance(body.get(name), dict) and "type" in body[name]:
            known[name] = {}
    told = apply_patch(known, body)
    draft = await read_as(told, TimerBody).draft(work, told)
    change = TimerChange(
        name=draft.name, schedule=draft.schedule, action=draft.action, notes={**before.notes, **draft.notes}
    )
    return TimerShape.of(work, await timers.change_timer(work, before.id, change))


@delete(_ONE, operation_id="timer.delete", status_code=200)
async def delete_timer(work: Work, timer_id: TimerPath, project_id: MaybeProject = None) -> Deleted:
    """It fires no more."""
    await _enter(work, project_id, "timer.delete")
    found = _read_id(timer_id)
    await timers.delete_timer(work, found)
    return Deleted.of(found)


@put([f"{path}/start" for path in _ONE], operation_id="timer.start")
async def start_timer(work: Work, timer_id: TimerPath, project_id: MaybeProject = None) -> TimerShape:
    """From now on; one that runs begins anew."""
    await _enter(work, project_id, "timer.update")
    return TimerShape.of(work, await timers.start_timer(work, _read_id(timer_id)))


@put([f"{path}/stop" for path in _ONE], operation_id="timer.stop")
async def stop_timer(work: Work, timer_id: TimerPath, project_id: MaybeProject = None) -> TimerShape:
    """It can be started again."""
    await _enter(work, project_id, "timer.update")
    return TimerShape.of(work, await timers.stop_timer(work, _read_id(timer_id)))


async def _enter(work: Work, project_id: str | None, permission: str) -> None:
    if project_id is not None:
        check_project(work, project_id)
    await check(work, permission)


def _read_id(text: str) -> UUID:
    found = parse_base62(text)
    if found is None:
        raise NotFound("timer", text)
    return found


handlers = [list_timers, create_timer, get_timer, update_timer, delete_timer, start_timer, stop_timer]
