"""What devices have said, taken out, taken away and counted (contract sections 11 and 19)."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Response, delete, get, post

from roadstead.core import erasure, exports, metering, registry
from roadstead.core.erasure import ErasureDraft
from roadstead.core.metering import Payload
from roadstead.core.ports import Span
from roadstead.core.registry import Device, Space
from roadstead.core.work import Work
from roadstead.dialects.losant.data import choose, read_instant
from roadstead.dialects.losant.device_files import COUNTS, DATA, DEVICES, CountsFile, DataFile, DevicesFile
from roadstead.dialects.losant.envelopes import queued, read_flag
from roadstead.dialects.losant.periods import alone, payload_breakdown, read_period
from roadstead.dialects.losant.queries import read_device_query
from roadstead.dialects.losant.schemas import read_body
from roadstead.dialects.losant.spans import make_span, read_span
from roadstead.kernel import time
from roadstead.kernel.filter import And, Filter, equals
from roadstead.kernel.filter_json import spell_filter
from roadstead.kernel.time import to_millis
from roadstead.web.edge import AnyRequest

_DEVICES = "/applications/{applicationId:str}/devices"
_DEVICE = _DEVICES + "/{deviceId:str}"
_Queued = Response[dict[str, Any]]
_MONTH_MS = -2_592_000_000
_COUNTED = (
    Payload.DEVICE_COMMAND,
    Payload.DEVICE_CONNECT,
    Payload.DEVICE_DISCONNECT,
    Payload.DEVICE_STATE,
    Payload.MQTT_IN,
)


# --- exports ---------------------------------------------------------------------------------------------------------


@post("/applications/{applicationId:str}/data/export", operation_id="data.export", status_code=202)
async def export_data(request: AnyRequest, work: Work, application: Space) -> _Queued:
    """What devices of the application have reported, as tables."""
    body = await read_body(request, "devicesDataExport")
    file = _data_file(registry.within_reach(work, choose(application, body)), body)
    return await _request(work, application, DATA, file, "Data export", body, _shown(body, file.span))


@post(f"{_DEVICE}/export", operation_id="device.export", status_code=202)
async def export_device(request: AnyRequest, work: Work, application: Space, device: Device) -> _Queued:
    """What one device has reported, as a table."""
    asked = request.query_params
    body: dict[str, Any] = {name: asked[name] for name in ("email", "callbackUrl") if asked.get(name)}
    body |= await read_body(request, "deviceDataExport")
    if "includeBlobData" in asked:
        body["options"] = {"includeBlobData": read_flag(request, "includeBlobData")} | body.get("options", {})
    span = _body_span(body) if "start" in body or "end" in body else read_span(request, to_now=True)
    file = msgspec.structs.replace(_data_file(equals("id", device.id), body), span=span)
    return await _request(
        work, application, DATA, file, "Device data export", body, _shown(body, span), resource=("device", device.id)
    )


@post(f"{_DEVICES}/export", operation_id="devices.export", status_code=202)
async def export_devices(request: AnyRequest, work: Work, application: Space) -> _Queued:
    """Devices of the application, as a table or as JSON."""
    body = _with_query(request, await read_body(request, "devicesExportPost"))
    file = DevicesFile(devices=spell_filter(_queried(work, application, body)), format=body.get("format", "csv"))
    return await _request(work, application, DEVICES, file, "Devices export", body, _shown(body))


@post(f"{_DEVICES}/payloadCounts", operation_id="devices.payloadCounts", status_code=202)
async def export_counts(request: AnyRequest, work: Work, application: Space) -> _Queued:
    """How many messages there were of each device, as a table; of the last 30 days unless it is said."""
    body = await read_body(request, "devicesExportPayloadCountPost")
    span = _body_span({"start": _MONTH_MS} | body)
    file = CountsFile(devices=spell_filter(_queried(work, application, body)), span=span)
    return await _request(work, application, COUNTS, file, "Devices payload counts", body, _shown(body, span))


async def _request(
    work: Work,
    application: Space,
    kind: str,
    file: msgspec.Struct,
    name: str,
    body: Mapping[str, Any],
    shown: Mapping[str, Any],
    **more: Any,
) -> _Queued:
    job_id = await exports.request_file(
        work,
        kind,
        msgspec.to_builtins(file),
        space_id=application.id,
        name=name,
        email=body.get("email"),
        callback_url=body.get("callbackUrl"),
        shown=shown,
        **more,
    )
    return queued(job_id)


def _data_file(where: Filter, body: Mapping[str, Any]) -> DataFile:
    options = body.get("options", {})
    return DataFile(
        devices=spell_filter(where),
        span=_body_span(body),
        attributes=body.get("attributes"),
        dates=options.get("includeDate", True),
        ids=options.get("includeID", True),
        blobs=options.get("includeBlobData", False),
        file_per_device=options.get("filePerDevice", False),
    )


# --- taking away -----------------------------------------------------------------------------------------------------


@delete(f"{_DEVICE}/data", operation_id="device.removeData", status_code=202)
async def remove_device_data(request: AnyRequest, work: Work, application: Space, device: Device) -> _Queued:
    """What a device has said, when it was connected and what it was told, of a span or altogether."""
    span = read_span(request, to_now=True)
    draft = ErasureDraft(space_id=application.id, where=equals("id", device.id), span=span)
    job_id = await erasure.request_erasure(
        work, draft, name="Device data removal", shown=_shown({}, span), resource=("device", device.id)
    )
    return queued(job_id)


@post(f"{_DEVICES}/removeData", operation_id="devices.removeData", status_code=202)
async def remove_data(request: AnyRequest, work: Work, application: Space) -> _Queued:
    """The same of the devices of a query, all of it or some attributes."""
    body = await read_body(request, "devicesRemoveDataPost")
    span = _body_span(body)
    draft = ErasureDraft(
        space_id=application.id,
        where=_queried(work, application, body),
        span=span,
        attributes=body.get("attributes"),
        keep_connections=body.get("keepConnectionHistory", False),
        keep_commands=body.get("keepCommandHistory", False),
    )
    job_id = await erasure.request_erasure(
        work,
        draft,
        name="Devices data removal",
        email=body.get("email"),
        callback_url=body.get("callbackUrl"),
        shown=_shown(body, span),
    )
    return queued(job_id)


# --- counting --------------------------------------------------------------------------------------------------------


@get(f"{_DEVICE}/payloadCounts", operation_id="device.payloadCounts")
async def count_payloads(request: AnyRequest, work: Work, device: Device) -> dict[str, int]:
    """How many messages of each kind there were, of the last 30 days unless it is said."""
    totals = await metering.count_payloads(work, read_period(request), device_id=device.id)
    return {kind: sum(totals.get(kind, {}).values()) for kind in _COUNTED}


@get(f"{_DEVICE}/payloadCountsBreakdown", operation_id="device.payloadCountsBreakdown")
async def chart_payloads(request: AnyRequest, work: Work, device: Device) -> dict[str, Any]:
    """How many messages of all kinds there were, by hours or days."""
    return await payload_breakdown(request, alone(work), device_id=device.id)


# --- all of them -----------------------------------------------------------------------------------------------------


def _queried(work: Work, application: Space, body: Mapping[str, Any]) -> Filter:
    """The devices of a query that the caller sees; without a query, all of the application."""
    where = And((equals("spaceId", application.id), read_device_query(body.get("query") or {})))
    return registry.within_reach(work, where)


def _body_span(body: Mapping[str, Any]) -> Span:
    """From the beginning until now, unless it is said."""
    now = to_millis(time.now())
    start = read_instant(body["start"], now) if "start" in body else None
    return make_span(start, read_instant(body.get("end"), now))


def _with_query(request: AnyRequest, body: dict[str, Any]) -> dict[str, Any]:
    asked = request.query_params
    return {name: asked[name] for name in ("email", "callbackUrl") if asked.get(name)} | body


def _shown(body: Mapping[str, Any], span: Span | None = None) -> dict[str, Any]:
    """What the log of a job says about what was asked for."""
    shown: dict[str, Any] = {}
    if span is not None:
        shown |= {"start": to_millis(span.start), "end": to_millis(span.end)}
    query = body.get("query") or body.get("deviceQuery")
    return shown if query is None else shown | {"query": msgspec.json.encode(query).decode()}


handlers = [
    export_data,
    export_device,
    export_devices,
    export_counts,
    remove_device_data,
    remove_data,
    count_payloads,
    chart_payloads,
]
