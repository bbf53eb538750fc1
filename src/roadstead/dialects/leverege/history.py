"""History of devices as rows (contract section 5): of a device, of a project, of a system, of an interface path."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.params import PathParameter

from roadstead.core import registry, telemetry, types
from roadstead.core.history import Kind, Node
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import visible_devices
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.devices import DeviceShape
from roadstead.dialects.leverege.history_language import QueryBody, Question, read_query, spell_time
from roadstead.dialects.leverege.interface import list_reached
from roadstead.dialects.leverege.lists import Listed
from roadstead.dialects.leverege.paths import ANY, Form, Place
from roadstead.dialects.leverege.project_of import check_project
from roadstead.dialects.leverege.reach import Reach, reach, reach_device
from roadstead.dialects.leverege.system_devices import load_device
from roadstead.kernel.errors import Invalid, Malformed
from roadstead.kernel.filter import And, Filter, equals
from roadstead.kernel.ids import to_base62
from roadstead.kernel.time import from_millis
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

DevicePath = Annotated[str, PathParameter(name="deviceId")]
SystemPath = Annotated[str, PathParameter(name="systemId")]
ProjectPath = Annotated[str, PathParameter(name="projectId")]

_READ = "device.readHistory"
_IN_QUERY = ("start", "end", "perPage", "startIndex")
_PER_PAGE = 100


class RowsShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`HistoryResult`."""

    items: list[dict[str, Any]]
    count: int
    total: int
    per_page: int
    start_index: int


# --- routes ----------------------------------------------------------------------------------------------------------


@get("/v1/device/{deviceId:str}/history", operation_id="device.history")
async def get_device_history(request: AnyRequest, work: Work, device_id: DevicePath) -> RowsShape:
    """Of one device."""
    return await _answer_device(request, work, device_id)


@post("/v1/device/{deviceId:str}/history", status_code=200)
async def post_device_history(request: AnyRequest, work: Work, device_id: DevicePath) -> RowsShape:
    """The same, for proxies that drop bodies of GET."""
    return await _answer_device(request, work, device_id)


@get("/v1/device/{deviceId:str}/historical", operation_id="device.get-historical")
async def get_historical(request: AnyRequest, work: Work, device_id: DevicePath) -> RowsShape:
    """What was reported, newest first; `path` may be said several times."""
    device = await load_device(work, device_id, _READ)
    asked = request.query_params
    paths = [path for path in asked.getall("path", []) if path]
    numbers = {name: asked[name] for name in _IN_QUERY if asked.get(name)}
    body = {"start": 0, "perPage": _PER_PAGE, "order": [["$time", "DESC"]], **numbers}
    if paths:
        body["paths"] = ["$id", "$time", "$deviceId", *([path, path] for path in dict.fromkeys(paths))]
    return await _answer(work, equals("id", device.id), _read_numbers(body))


@get("/v1/project/{projectId:str}/device/history", operation_id="project.device-history")
async def get_project_history(request: AnyRequest, work: Work, project_id: ProjectPath) -> RowsShape:
    """Of all devices of the project."""
    return await _answer_project(request, work, project_id)


@post("/v1/project/{projectId:str}/device/history", status_code=200)
async def post_project_history(request: AnyRequest, work: Work, project_id: ProjectPath) -> RowsShape:
    """The same."""
    return await _answer_project(request, work, project_id)


@get("/v1/system/{systemId:str}/device/history", operation_id="system.device-history")
async def get_system_history(request: AnyRequest, work: Work, system_id: SystemPath) -> RowsShape:
    """Of all devices of the system."""
    return await _answer_system(request, work, system_id)


@post("/v1/system/{systemId:str}/device/history", status_code=200)
async def post_system_history(request: AnyRequest, work: Work, system_id: SystemPath) -> RowsShape:
    """The same."""
    return await _answer_system(request, work, system_id)


@get(Form.HISTORY.value, operation_id="interface.history")
async def get_blueprint_history(request: AnyRequest, work: Work, place: Place) -> RowsShape:
    """Of the devices of the blueprint."""
    return await _answer_place(request, work, place)


@post(Form.HISTORY.value, status_code=200)
async def post_blueprint_history(request: AnyRequest, work: Work, place: Place) -> RowsShape:
    """The same."""
    return await _answer_place(request, work, place)


@get(Form.OBJECT_HISTORY.value, operation_id="interface.obj-history")
async def get_object_history(request: AnyRequest, work: Work, place: Place) -> RowsShape | Listed[DeviceShape]:
    """Of one device; `*`: of all. A relation of this name comes first."""
    group = await find_group(work, place, "history")
    if group is not None:
        return await list_reached(request, work, group)
    return await _answer_place(request, work, place)


@post(Form.OBJECT_HISTORY.value, status_code=200)
async def post_object_history(request: AnyRequest, work: Work, place: Place) -> RowsShape:
    """The same."""
    return await _answer_place(request, work, place)


@get(Form.GROUP_HISTORY.value, operation_id="interface.group-history")
async def get_group_history(request: AnyRequest, work: Work, place: Place) -> RowsShape:
    """Of the devices of a group."""
    return await _answer_place(request, work, place)


@post(Form.GROUP_HISTORY.value, status_code=200)
async def post_group_history(request: AnyRequest, work: Work, place: Place) -> RowsShape:
    """The same."""
    return await _answer_place(request, work, place)


async def _answer_device(request: AnyRequest, work: Work, device_id: str) -> RowsShape:
    device = await load_device(work, device_id, _READ)
    return await _answer(work, equals("id", device.id), await read_history_query(request))


async def _answer_project(request: AnyRequest, work: Work, project_id: str) -> RowsShape:
    check_project(work, project_id)
    return await _answer(work, await visible_devices(work, _READ), await read_history_query(request))


async def _answer_system(request: AnyRequest, work: Work, system_id: str) -> RowsShape:
    return await _answer(work, await system_scope(work, system_id, _READ), await read_history_query(request))


async def _answer_place(request: AnyRequest, work: Work, place: Place) -> RowsShape:
    return await _answer(work, await place_scope(work, place, _READ), await read_history_query(request))


async def _answer(work: Work, where: Filter | None, body: QueryBody) -> RowsShape:
    question = read_query(body)
    found = await telemetry.list_history(work, where, body.span(work.now()), question.query)
    items = [_spell_row(question, row) for row in found.rows]
    return RowsShape(
        items=items,
        count=len(items),
        total=found.total,
        per_page=question.query.limit or max(len(items), 1),
        start_index=question.query.start_index,
    )


# --- what events do as well ------------------------------------------------------------------------------------------


async def system_scope(work: Work, system_id: str, permission: str) -> Filter:
    """The devices of a system on which the caller has a permission."""
    of_system = equals("spaceId", (await registry.load_space_called(work, system_id)).id)
    visible = await visible_devices(work, permission)
    return of_system if visible is None else And((of_system, visible))


async def place_scope(work: Work, place: Place, permission: str) -> Filter:
    """The devices at the end of an interface path on which the caller has a permission."""
    found = await reach(work, place)
    if place.object is not None and place.object != ANY:
        return equals("id", (await reach_device(work, found, place.object, permission)).id)
    return await found.within(work, permission)


async def find_group(work: Work, place: Place, word: str) -> Reach | None:
    """The group of a relation that is called as the word after an object; None when there is none of this name."""
    found = await reach(work, place)
    if place.object is None or await types.relation_of(work, found.blueprint_id, word) is None:
        return None
    return await reach(work, msgspec.structs.replace(place, way=(*place.way, (place.object, word)), object=None))


async def read_history_query(request: AnyRequest, usual: Mapping[str, Any] | None = None) -> QueryBody:
    """A query from the body, or the JSON of the parameter `query`; single parameters come before both.

    `usual`: what holds where nothing was sent. Raises `Malformed`, or `Invalid` that names the field.
    """
    body = await read_body(request)
    asked = request.query_params
    if asked.get("query"):
        try:
            body = msgspec.json.decode(asked["query"])
        except (msgspec.DecodeError, RecursionError) as error:
            raise Malformed(f"query: is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Invalid("the query is an object")
    return _read_numbers({**(usual or {}), **body, **{name: asked[name] for name in _IN_QUERY if asked.get(name)}})


def _read_numbers(body: Mapping[str, Any]) -> QueryBody:
    """The body as a struct; parameters are text, also where they are numbers."""
    numbers = {
        name: int(text)
        for name in ("perPage", "startIndex")
        if isinstance(text := body.get(name), str) and text.isascii() and text.isdigit() and len(text) <= 10
    }
    if body.get("start") is None:
        raise Invalid.field("start", "is required")
    return read_as({**body, **numbers}, QueryBody)


def _spell_row(question: Question, row: list[Any]) -> dict[str, Any]:
    columns = question.query.columns
    return {name: _spell_cell(node, cell) for name, node, cell in zip(question.names, columns, row, strict=True)}


def _spell_cell(node: Node, cell: Any) -> Any:
    if cell is None:
        return None
    if node.kind is Kind.TIME:
        return spell_time(from_millis(cell))
    return to_base62(cell) if node.kind is Kind.DEVICE else cell


handlers = [
    get_device_history,
    post_device_history,
    get_historical,
    get_project_history,
    post_project_history,
    get_system_history,
    post_system_history,
    get_blueprint_history,
    post_blueprint_history,
    get_object_history,
    post_object_history,
    get_group_history,
    post_group_history,
]
