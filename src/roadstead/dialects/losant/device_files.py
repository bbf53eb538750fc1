"""What exports are made of: tables of data, of devices, of what was counted (contract section 19).

Each file is a ZIP archive of tables, written as they are read.
"""

import base64
import csv
import io
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from roadstead.core import jobs, metering, registry, telemetry
from roadstead.core.jobs import Handler, RunningJob
from roadstead.core.messages import Value
from roadstead.core.metering import Payload
from roadstead.core.ports import Span
from roadstead.core.registry import Attribute, DataType, Device
from roadstead.core.telemetry import AttributeRow
from roadstead.dialects.losant.device_attributes import spell_attribute
from roadstead.dialects.losant.device_shapes import tags_of
from roadstead.dialects.losant.envelopes import spell_time
from roadstead.kernel.filter import In
from roadstead.kernel.filter_json import read_filter
from roadstead.kernel.ids import DeviceId, to_hex24
from roadstead.kernel.page import PageQuery
from roadstead.kernel.time import from_millis

DATA, DEVICES, COUNTS = "losant data", "losant devices", "losant payload counts"
"""The kinds of jobs."""
_MOST_DEVICES = 1_000_000
_AT_ONCE = 200
_ZIP = "application/zip"


class DataFile(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a file of data: the parameters of its job."""

    devices: dict[str, Any]
    """A filter as JSON."""
    span: Span
    attributes: list[str] | None = None
    """None: all."""
    dates: bool = True
    """With the time as ISO 8601, too."""
    ids: bool = True
    """With the id of the device."""
    blobs: bool = False
    """With files that were reported, as base64; else without their attributes."""
    file_per_device: bool = False


class DevicesFile(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a file of devices."""

    devices: dict[str, Any]
    format: str = "csv"


class CountsFile(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a file of counts."""

    devices: dict[str, Any]
    span: Span


# --- what devices have reported --------------------------------------------------------------------------------------


async def make_data_file(job: RunningJob) -> dict[str, Any]:
    """One table of all devices, or one of each."""
    wanted = msgspec.convert(job.parameters, DataFile)
    device_ids = await _find_devices(job, wanted.devices)
    tables = tables_of_each(job, wanted, device_ids) if wanted.file_per_device else _table(job, wanted, device_ids)
    return await _keep(job, "data.zip", tables)


async def _table(
    job: RunningJob, wanted: DataFile, device_ids: Sequence[DeviceId]
) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
    names: set[str] = set()
    for some in _chunks(device_ids):
        known = await _find_attributes(job, wanted, some)
        names.update(each.name for all_ in known.values() for each in all_)
    yield "data.csv", _rows(job, wanted, device_ids, sorted(names))


async def tables_of_each(
    job: RunningJob, wanted: DataFile, device_ids: Sequence[DeviceId]
) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
    """A table for each device, by the name of its file."""
    for some in _chunks(device_ids):
        known = await _find_attributes(job, wanted, some)
        for device_id in some:
            yield (
                f"{to_hex24(device_id)}.csv",
                _rows(job, wanted, [device_id], [each.name for each in known[device_id]]),
            )


async def _rows(
    job: RunningJob, wanted: DataFile, device_ids: Sequence[DeviceId], names: Sequence[str]
) -> AsyncIterator[bytes]:
    yield _csv([["Timestamp", *(["ISO Date"] if wanted.dates else []), *(["ID"] if wanted.ids else []), *names]])
    for some in _chunks(device_ids):
        known = await _find_attributes(job, wanted, some)
        files = {(id_, each.name) for id_, all_ in known.items() for each in all_ if each.data_type is DataType.BLOB}
        walk = telemetry.walk_attributes(job.ports.telemetry, job.claim.tenant_id, known, wanted.span)
        async for rows in walk:
            spelled = []
            for row in rows:
                values = await _with_files(job, row, files) if files else row.values
                spelled.append(_spell_row(wanted, row, values, names))
            yield _csv(spelled)
        job.completed += len(some)


async def _with_files(job: RunningJob, row: AttributeRow, files: set[tuple[DeviceId, str]]) -> dict[str, Value]:
    values = dict(row.values)
    for name, value in row.values.items():
        if (row.device_id, name) in files:
            content = await telemetry.load_blob(job.ports, job.claim.organization_id, row.device_id, value)
            values[name] = base64.b64encode(content or b"").decode()
    return values


def _spell_row(wanted: DataFile, row: AttributeRow, values: Mapping[str, Value], names: Sequence[str]) -> list[str]:
    head = [str(row.at)]
    if wanted.dates:
        head.append(spell_time(from_millis(row.at)))
    if wanted.ids:
        head.append(to_hex24(row.device_id))
    return head + [_cell(values.get(name)) for name in names]


async def _find_attributes(
    job: RunningJob, wanted: DataFile, device_ids: Sequence[DeviceId]
) -> dict[DeviceId, list[Attribute]]:
    async with job.work() as work:
        known = await registry.find_attributes(work, device_ids, wanted.attributes)
    if wanted.blobs:
        return known
    return {id_: [each for each in all_ if each.data_type is not DataType.BLOB] for id_, all_ in known.items()}


# --- devices ---------------------------------------------------------------------------------------------------------

_COLUMNS = {
    "ID": "id",
    "Name": "name",
    "Description": "description",
    "Device Class": "deviceClass",
    "Gateway ID": "gatewayId",
    "Parent ID": "parentId",
    "Creation Date": "creationDate",
    "Last Updated": "lastUpdated",
    "Connected": "connected",
}


async def make_devices_file(job: RunningJob) -> dict[str, Any]:
    """Devices as a table, with a column for each key of tags, or as JSON."""
    wanted = msgspec.convert(job.parameters, DevicesFile)
    device_ids = await _find_devices(job, wanted.devices)

    async def tables() -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        if wanted.format == "json":
            yield "devices.json", _devices_as_json(job, device_ids)
        else:
            yield "devices.csv", _devices_as_csv(job, device_ids)

    return await _keep(job, "devices.zip", tables())


async def _devices_as_json(job: RunningJob, device_ids: Sequence[DeviceId]) -> AsyncIterator[bytes]:
    before = b"["
    async for devices in _walk_devices(job, device_ids):
        for device in devices:
            yield before + msgspec.json.encode(device)
            before = b",\n"
        job.completed += len(devices)
    yield b"[]\n" if before == b"[" else b"]\n"


async def _devices_as_csv(job: RunningJob, device_ids: Sequence[DeviceId]) -> AsyncIterator[bytes]:
    keys: set[str] = set()
    async for devices in _walk_devices(job, device_ids):
        keys.update(tag["key"] for device in devices for tag in device["tags"])
    tags = sorted(keys)
    yield _csv([[*_COLUMNS, "Attributes", *(f"Tag {key}" for key in tags)]])
    async for devices in _walk_devices(job, device_ids):
        yield _csv(_device_row(device, tags) for device in devices)
        job.completed += len(devices)


def _device_row(device: Mapping[str, Any], tags: Sequence[str]) -> list[str]:
    values: dict[str, list[str]] = {}
    for tag in device["tags"]:
        values.setdefault(tag["key"], []).append(tag["value"])
    attributes = ", ".join(each["name"] for each in device["attributes"])
    cells = [_cell(device.get(name)) for name in _COLUMNS.values()]
    return [*cells, attributes, *(", ".join(values.get(key, [])) for key in tags)]


async def _walk_devices(job: RunningJob, device_ids: Sequence[DeviceId]) -> AsyncIterator[list[dict[str, Any]]]:
    for some in _chunks(device_ids):
        async with job.work() as work:
            devices = await _load(job, some)
            attributes = await registry.find_attributes(work, some)
            around = await registry.load_surroundings(work, devices)
        yield [_spell(device, attributes[device.id], str(around.class_of(device))) for device in devices]


def _spell(device: Device, attributes: Sequence[Attribute], class_: str) -> dict[str, Any]:
    fields = {
        "id": to_hex24(device.id),
        "applicationId": to_hex24(device.space_id),
        "name": device.title or device.name,
        "description": device.notes.get("losant", {}).get("description"),
        "deviceClass": class_,
        "gatewayId": None if device.gateway_id is None else to_hex24(device.gateway_id),
        "parentId": None if device.parent_id is None else to_hex24(device.parent_id),
        "tags": [{"key": key, "value": value} for key, values in tags_of(device).items() for value in values],
        "attributes": [spell_attribute(attribute) for attribute in attributes],
        "creationDate": spell_time(device.created_at),
        "lastUpdated": spell_time(device.updated_at),
        "connected": device.online,
    }
    return {name: value for name, value in fields.items() if value is not None}


# --- what was counted ------------------------------------------------------------------------------------------------

_KINDS = (
    Payload.DEVICE_STATE,
    Payload.DEVICE_COMMAND,
    Payload.DEVICE_CONNECT,
    Payload.DEVICE_DISCONNECT,
    Payload.MQTT_IN,
)


async def make_counts_file(job: RunningJob) -> dict[str, Any]:
    """How many messages there were of each device."""
    wanted = msgspec.convert(job.parameters, CountsFile)
    device_ids = await _find_devices(job, wanted.devices)

    async def table() -> AsyncIterator[bytes]:
        yield _csv([["ID", "Name", *_KINDS]])
        for some in _chunks(device_ids):
            devices = await _load(job, some)
            async with job.work() as work:
                totals = await metering.load_totals_of_devices(work, wanted.span, some)
            yield _csv(
                [to_hex24(device.id), device.title or device.name]
                + [str(sum(totals.get(device.id, {}).get(kind, {}).values())) for kind in _KINDS]
                for device in devices
            )
            job.completed += len(some)

    async def tables() -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        yield "payload-counts.csv", table()

    return await _keep(job, "payload-counts.zip", tables())


# --- all of them -----------------------------------------------------------------------------------------------------


async def _find_devices(job: RunningJob, devices: dict[str, Any]) -> list[DeviceId]:
    async with job.work() as work:
        found = await registry.load_device_ids(work, read_filter(devices), limit=_MOST_DEVICES)
    await job.expect(len(found))
    return found


async def _load(job: RunningJob, device_ids: Sequence[DeviceId]) -> list[Device]:
    """Those that are still there."""
    async with job.work() as work:
        page = await registry.search_devices(work, In(("id",), tuple(device_ids)), [], PageQuery(limit=len(device_ids)))
    return page.items


async def _keep(job: RunningJob, name: str, tables: AsyncIterator[tuple[str, AsyncIterator[bytes]]]) -> dict[str, Any]:
    url = await job.keep_file(name, jobs.zip_files(tables), content_type=_ZIP)
    return {"downloadUrls": [url]}


def _chunks(device_ids: Sequence[DeviceId]) -> Iterable[Sequence[DeviceId]]:
    return (device_ids[first : first + _AT_ONCE] for first in range(0, len(device_ids), _AT_ONCE))


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Value | None) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
    return str(value)


HANDLERS: Mapping[str, Handler] = {DATA: make_data_file, DEVICES: make_devices_file, COUNTS: make_counts_file}
"""Who does these jobs, by kind."""
