"""Events of devices and who has seen them (contract section 5): of a device, a project, a system, an interface path."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from litestar import get, post, put
from litestar.params import PathParameter
from msgspec import UNSET, UnsetType

from roadstead.core import events, registry
from roadstead.core.events import Event, EventDraft
from roadstead.core.registry import Device
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import visible_devices
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.devices import DeviceShape
from roadstead.dialects.leverege.history import find_group, place_scope, read_history_query, system_scope
from roadstead.dialects.leverege.history_language import QueryBody, read_instant, spell_time
from roadstead.dialects.leverege.interface import list_reached
from roadstead.dialects.leverege.lists import DEFAULT_PER_PAGE, MOST_PER_PAGE, Listed
from roadstead.dialects.leverege.paths import Form, Place
from roadstead.dialects.leverege.project_of import check_project
from roadstead.dialects.leverege.system_devices import load_device
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.filter import And, Compare, Exists, Filter, In, Not, Operator, Path, equals
from roadstead.kernel.ids import DeviceId, parse_base62, to_base62
from roadstead.kernel.page import PageQuery
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

DevicePath = Annotated[str, PathParameter(name="deviceId")]
EventPath = Annotated[str, PathParameter(name="eventId")]
SystemPath = Annotated[str, PathParameter(name="systemId")]
ProjectPath = Annotated[str, PathParameter(name="projectId")]

_READ = "device.readEvents"
_DEFAULT_TYPE = "default"
_USUAL = {"start": 0}


# --- shapes ----------------------------------------------------------------------------------------------------------


class AckShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who has seen an event, and what was said about it."""

    time: str
    user_id: str | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET


class EventShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`Event`."""

    id: str
    device_id: str
    system_id: str | UnsetType = UNSET
    blueprint_id: str | UnsetType = UNSET
    type: str
    time: str
    data: dict[str, Any]
    user_id: str | UnsetType = UNSET
    message: str
    severity: str
    acked: bool
    ack: AckShape | UnsetType = UNSET

    @classmethod
    def of(cls, work: Work, event: Event, device: Device | None) -> "EventShape":
        """In words of this dialect. `device`: what it is about, while that is there."""
        ack = event.acknowledgement
        return cls(
            id=to_base62(event.id),
            device_id=to_base62(event.device_id) if event.device_id else "",
            system_id=to_base62(device.space_id) if device else UNSET,
            blueprint_id=to_base62(device.shown_type(work.actor.organization_id)) if device else UNSET,
            type=event.type,
            time=spell_time(event.occurred_at),
            data=event.data or {},
            user_id=to_base62(event.created_by) if event.created_by else UNSET,
            message=event.message,
            severity=event.severity,
            acked=ack is not None,
            ack=UNSET
            if ack is None
            else AckShape(
                time=spell_time(ack.at),
                user_id=UNSET if ack.by is None else to_base62(ack.by),
                data=UNSET if ack.data is None else ack.data,
            ),
        )


class EventsShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page of events, whole or as the paths that were asked for."""

    items: Sequence[EventShape | dict[str, Any]]
    count: int
    total: int
    per_page: int
    start_index: int


class EventBody(msgspec.Struct, frozen=True):
    """What is sent to make an event."""

    type: str = _DEFAULT_TYPE
    time: str | int | float | None = None
    data: dict[str, Any] | None = None


class AckBody(msgspec.Struct, frozen=True):
    """What is sent to acknowledge one."""

    data: dict[str, Any] | None = None


# --- routes ----------------------------------------------------------------------------------------------------------


@get("/v1/device/{deviceId:str}/events", operation_id="device.event-list")
async def list_device_events(request: AnyRequest, work: Work, device_id: DevicePath) -> EventsShape:
    """Of one device, newest first unless told otherwise."""
    device = await load_device(work, device_id, _READ)
    return await _answer(request, work, equals("id", device.id))


@post("/v1/device/{deviceId:str}/events", operation_id="device.event-create", status_code=200)
async def create_event(request: AnyRequest, work: Work, device_id: DevicePath) -> EventShape:
    """Something has happened: it waits for somebody to see it."""
    device = await load_device(work, device_id, "device.updateEvents")
    body = read_as(await read_body(request), EventBody)
    draft = EventDraft(
        type=body.type,
        message=body.type,
        device_id=device.id,
        occurred_at=None if body.time is None else read_instant(body.time, "time"),
        data=body.data,
        requires_action=True,
    )
    return EventShape.of(work, await events.create_event(work, draft), device)


@put("/v1/device/{deviceId:str}/events/{eventId:str}/ack", operation_id="device.event-ack", status_code=200)
async def acknowledge_event(request: AnyRequest, work: Work, device_id: DevicePath, event_id: EventPath) -> EventShape:
    """Somebody has seen it; the first one stays."""
    device = await load_device(work, device_id, "device.updateEvents")
    known = parse_base62(event_id)
    if known is None or (await events.get_event(work, known)).device_id != device.id:
        raise NotFound("event", event_id)
    body = read_as(await read_body(request), AckBody)
    return EventShape.of(work, await events.note_acknowledgement(work, known, body.data), device)


@get("/v1/project/{projectId:str}/device/events", operation_id="project.device-events")
async def get_project_events(request: AnyRequest, work: Work, project_id: ProjectPath) -> EventsShape:
    """Of all devices of the project."""
    return await _answer_project(request, work, project_id)


@post("/v1/project/{projectId:str}/device/events", status_code=200)
async def post_project_events(request: AnyRequest, work: Work, project_id: ProjectPath) -> EventsShape:
    """The same, for proxies that drop bodies of GET."""
    return await _answer_project(request, work, project_id)


@get("/v1/system/{systemId:str}/device/events", operation_id="system.device-events")
async def get_system_events(request: AnyRequest, work: Work, system_id: SystemPath) -> EventsShape:
    """Of all devices of the system."""
    return await _answer(request, work, await system_scope(work, system_id, _READ))


@post("/v1/system/{systemId:str}/device/events", status_code=200)
async def post_system_events(request: AnyRequest, work: Work, system_id: SystemPath) -> EventsShape:
    """The same."""
    return await _answer(request, work, await system_scope(work, system_id, _READ))


@get(Form.EVENTS.value, operation_id="interface.events")
async def get_blueprint_events(request: AnyRequest, work: Work, place: Place) -> EventsShape:
    """Of the devices of the blueprint."""
    return await _answer(request, work, await place_scope(work, place, _READ))


@post(Form.EVENTS.value, status_code=200)
async def post_blueprint_events(request: AnyRequest, work: Work, place: Place) -> EventsShape:
    """The same."""
    return await _answer(request, work, await place_scope(work, place, _READ))


@get(Form.OBJECT_EVENTS.value, operation_id="interface.obj-events")
async def get_object_events(request: AnyRequest, work: Work, place: Place) -> EventsShape | Listed[DeviceShape]:
    """Of one device; `*`: of all. A relation of this name comes first."""
    group = await find_group(work, place, "events")
    if group is not None:
        return await list_reached(request, work, group)
    return await _answer(request, work, await place_scope(work, place, _READ))


@post(Form.OBJECT_EVENTS.value, status_code=200)
async def post_object_events(request: AnyRequest, work: Work, place: Place) -> EventsShape:
    """The same."""
    return await _answer(request, work, await place_scope(work, place, _READ))


@get(Form.GROUP_EVENTS.value, operation_id="interface.group-events")
async def get_group_events(request: AnyRequest, work: Work, place: Place) -> EventsShape:
    """Of the devices of a group."""
    return await _answer(request, work, await place_scope(work, place, _READ))


@post(Form.GROUP_EVENTS.value, status_code=200)
async def post_group_events(request: AnyRequest, work: Work, place: Place) -> EventsShape:
    """The same."""
    return await _answer(request, work, await place_scope(work, place, _READ))


async def _answer_project(request: AnyRequest, work: Work, project_id: str) -> EventsShape:
    check_project(work, project_id)
    return await _answer(request, work, await visible_devices(work, _READ))


async def _answer(request: AnyRequest, work: Work, devices: Filter | None) -> EventsShape:
    body = await read_history_query(request, _USUAL)
    if body.group:
        raise Invalid.field("group", "does not go with events")
    start, limit = body.page(DEFAULT_PER_PAGE)
    if limit > MOST_PER_PAGE:
        raise Invalid.field("perPage", f"is a number from 1 to {MOST_PER_PAGE}")
    span = body.span(work.now())
    occurred = (
        Compare(("occurredAt",), Operator.GE, span.start),
        Compare(("occurredAt",), Operator.LT, span.end),
    )
    where = And((*occurred, *_read_acked(request), *_read_where(body)))
    page = PageQuery(limit=limit, offset=start, include_total=True)
    paths = _read_paths(body.paths if body.paths is not None else body.attributes)
    found = await events.search_events(work, devices, where, sort=_read_order(body), page=page)
    device_ids = {event.device_id for event in found.items if event.device_id is not None}
    known = await _load_devices(work, device_ids)
    shapes = [EventShape.of(work, event, known.get(event.device_id)) for event in found.items]
    return EventsShape(
        items=shapes if paths is None else [_pick(shape, paths) for shape in shapes],
        count=len(shapes),
        total=found.total or 0,
        per_page=limit,
        start_index=start,
    )


async def _load_devices(work: Work, device_ids: set[DeviceId]) -> Mapping[DeviceId | None, Device]:
    where = In(("id",), tuple(device_ids))
    page = await registry.list_devices(work, where, page=PageQuery(limit=max(1, len(device_ids))))
    return {device.id: device for device in page.items}


# --- the language ----------------------------------------------------------------------------------------------------


def _text(value: Any, name: str) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise Invalid.field(name, "takes text, a number, true or false")
    return value


def _id(value: Any, name: str) -> Any:
    known = parse_base62(value) if isinstance(value, str) else None
    if known is None:
        raise Invalid.field(name, f"{value!r} is no id")
    return known


_FIELDS: dict[str, tuple[Path, Callable[[Any, str], Any]]] = {
    "$id": (("id",), _id),
    "$time": (("occurredAt",), read_instant),
    "$deviceId": (("deviceId",), _id),
    "$event.id": (("id",), _id),
    "$event.type": (("type",), _text),
    "$event.time": (("occurredAt",), read_instant),
    "$event.deviceId": (("deviceId",), _id),
    "$event.userId": (("createdBy",), _id),
    "$event.message": (("message",), _text),
    "$event.severity": (("severity",), _text),
    "$ack.time": (("acknowledgedAt",), read_instant),
    "$ack.userId": (("acknowledgedBy",), _id),
}
_SORTS = {
    "$time": "occurredAt",
    "$event.time": "occurredAt",
    "$event.type": "type",
    "$deviceId": "deviceId",
    "$event.deviceId": "deviceId",
    "$ack.time": "acknowledgedAt",
}
_OPERATORS = {
    ">": Operator.GT,
    ">=": Operator.GE,
    "<": Operator.LT,
    "<=": Operator.LE,
    "=": Operator.EQ,
}
_MOST_CONDITIONS = 50
_MOST_VALUES = 1_000


def _read_field(path: Any, name: str) -> tuple[Path, Callable[[Any, str], Any]]:
    if not isinstance(path, str) or not path.strip("/"):
        raise Invalid.field(name, f"{path!r} is no path")
    if path in _FIELDS:
        return _FIELDS[path]
    for prefix, column in (("$event.", "data"), ("$ack.", "acknowledgedData"), ("$data/", "data")):
        if path.startswith(prefix):
            steps = _steps(path.removeprefix(prefix))
            return (column, *(steps[1:] if len(steps) > 1 and steps[0] == "data" else steps)), _text
    if path.startswith("$"):
        raise Invalid.field(name, f"there is no column '{path}'")
    return ("data", *_steps(path)), _text


def _steps(path: str) -> list[str]:
    return [step for step in re.split("[./]", path) if step]


def _read_where(body: QueryBody) -> list[Filter]:
    clauses = body.where or []
    if clauses and isinstance(clauses[0], str):
        clauses = [clauses]
    if len(clauses) > _MOST_CONDITIONS:
        raise Invalid.field("where", f"takes at most {_MOST_CONDITIONS} clauses")
    return [_read_clause(clause, f"where[{index}]") for index, clause in enumerate(clauses)]


def _read_clause(clause: Any, name: str) -> Filter:
    if not isinstance(clause, list) or len(clause) != 3:
        raise Invalid.field(name, "is [path, operator, value]")
    path, operator, value = clause
    field, read = _read_field(path, name)
    if operator == "!=":
        return And((Exists(field), Not(Compare(field, Operator.EQ, read(value, name)))))
    if isinstance(operator, str) and operator.upper() == "IN":
        if not isinstance(value, list) or not 1 <= len(value) <= _MOST_VALUES:
            raise Invalid.field(name, f"IN takes a list of 1 to {_MOST_VALUES} values")
        return In(field, tuple(read(one, name) for one in value))
    if operator not in _OPERATORS:
        raise Invalid.field(name, f"there is no operator '{operator}'")
    return Compare(field, _OPERATORS[operator], read(value, name))


def _read_acked(request: AnyRequest) -> list[Filter]:
    text = request.query_params.get("acked")
    if not text:
        return []
    if text not in ("true", "false"):
        raise Invalid.field("acked", "is true or false", place="query")
    there = Exists(("acknowledgedAt",))
    return [there if text == "true" else Not(there)]


def _read_order(body: QueryBody) -> str | None:
    keys = []
    for order in body.order or []:
        path, way = order if isinstance(order, list) and len(order) == 2 else (order, "ASC")
        if not isinstance(way, str) or way.upper() not in ("ASC", "DESC"):
            raise Invalid.field("order", "takes paths, and [path, 'ASC' or 'DESC']")
        if not isinstance(path, str) or path not in _SORTS:
            raise Invalid.field("order", f"events are not sorted by {path!r}")
        keys.append(f"{'-' if way.upper() == 'DESC' else ''}{_SORTS[path]}")
    return ",".join(keys) or None


def _read_paths(paths: list[Any] | None) -> dict[str, str] | None:
    """Paths by alias; None: the whole event."""
    if paths is None:
        return None
    found: dict[str, str] = {}
    for index, path in enumerate(paths):
        name = f"paths[{index}]"
        accessor, alias, *more = path if isinstance(path, list) and path else (path, None)
        if any(one is not None for one in more):
            raise Invalid.field(name, "functions and casts do not go with events")
        _read_field(accessor, name)
        known = alias or str(accessor).rstrip("/").rpartition("/")[2]
        if not isinstance(known, str) or known in found:
            raise Invalid.field(name, f"there are two columns called {known!r}: give an alias")
        found[known] = accessor
    return found


def _pick(shape: EventShape, paths: Mapping[str, str]) -> dict[str, Any]:
    whole: dict[str, Any] = msgspec.to_builtins(shape)
    return {alias: _value(whole, path) for alias, path in paths.items()}


def _value(event: Mapping[str, Any], path: str) -> Any:
    if path in ("$id", "$time", "$deviceId"):
        return event.get(path[1:])
    ack: Mapping[str, Any] = event.get("ack") or {}
    if path in _FIELDS:
        return (ack if path.startswith("$ack.") else event).get(path.partition(".")[2])
    (column, *steps), _ = _read_field(path, "paths")
    value: Any = event["data"] if column == "data" else ack.get("data")
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    return value


handlers = [
    list_device_events,
    create_event,
    acknowledge_event,
    get_project_events,
    post_project_events,
    get_system_events,
    post_system_events,
    get_blueprint_events,
    post_blueprint_events,
    get_object_events,
    post_object_events,
    get_group_events,
    post_group_events,
]
