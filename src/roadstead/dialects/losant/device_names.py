"""/applications/{applicationId}/devices/...: what is said of many devices in a few words (contract section 6)."""

from typing import Any

from litestar import get

from roadstead.core import registry
from roadstead.core.registry import DataType, Space, spell_name
from roadstead.core.work import Work
from roadstead.dialects.losant.choices import read_asked
from roadstead.dialects.losant.envelopes import read_structure
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import And, starts_with
from roadstead.kernel.ids import to_hex24
from roadstead.web.edge import AnyRequest

_DEVICES = "/applications/{applicationId:str}/devices"
_MOST_VALUE = 255
"""Characters of the value of a tag, as devices are shown with it."""


@get(f"{_DEVICES}/deviceNames", operation_id="devices.deviceNames")
async def list_names(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """What devices are called, by that."""
    where = And((read_asked(request, application), starts_with("shownName", _prefix(request))))
    names = await registry.list_device_names(work, where)
    return {
        "deviceSummary": [
            {"id": to_hex24(each.id), "deviceClass": each.device_class, "name": each.name} for each in names
        ]
    }


@get(f"{_DEVICES}/tagKeys", operation_id="devices.tagKeys")
async def list_tag_keys(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """The keys of their tags."""
    where = read_asked(request, application)
    keys = await registry.list_tag_keys_of(work, where, prefix=_prefix(request))
    return {"tagKeys": sorted({spell_name(key) for key in keys})}


@get(f"{_DEVICES}/tagValues", operation_id="devices.tagValues")
async def list_tag_values(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """The values that their tags of a key have."""
    key = request.query_params.get("key")
    if not key:
        raise Invalid.field("key", "is required", place="query")
    where = read_asked(request, application)
    values = await registry.list_tag_values_of(work, where, key, prefix=_prefix(request))
    return {"tagKey": spell_name(key), "tagValues": sorted({value[:_MOST_VALUE] for value in values if value})}


@get(f"{_DEVICES}/attributeNames", operation_id="devices.attributeNames")
async def list_attribute_names(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """The names of their attributes, of some data types or all."""
    where = read_asked(request, application)
    types = read_structure(request, "dataType", "deviceAttributeDataTypeFilter")
    names = await registry.list_attribute_names(
        work, where, prefix=_prefix(request), data_types=[DataType(each) for each in _listed(types)]
    )
    return {"attributeNames": names}


def _prefix(request: AnyRequest) -> str:
    return request.query_params.get("startsWith") or ""


def _listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


handlers = [list_names, list_tag_keys, list_tag_values, list_attribute_names]
