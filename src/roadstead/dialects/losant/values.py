"""How values of attributes are answered (contract section 9)."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from roadstead.core import telemetry
from roadstead.core.messages import Value
from roadstead.core.registry import Attribute, DataType, Space
from roadstead.core.telemetry import AttributeState
from roadstead.core.work import Work
from roadstead.dialects.losant.envelopes import spell_time
from roadstead.dialects.losant.wire import read_meta
from roadstead.kernel.ids import DeviceId

_BLOB_URL_TTL_S = 604_800.0
"""How long URLs of files are good in applications that do not say it."""


async def spell_value(
    work: Work, application: Space, device_id: DeviceId, attribute: Attribute, value: Value
) -> Value | None:
    """A file is answered as a URL; None when it is none of ours."""
    if attribute.data_type is not DataType.BLOB:
        return value
    ttl_s = application.notes.get("losant", {}).get("blobUrlTTL", _BLOB_URL_TTL_S)
    return await telemetry.find_blob_url(work, device_id, attribute, value, valid_for=timedelta(seconds=ttl_s))


async def spell_data(
    work: Work, application: Space, device_id: DeviceId, values: Iterable[tuple[Attribute, Value]]
) -> dict[str, Value]:
    """Values by the names of their attributes; without those that cannot be answered."""
    spelled = {each.name: await spell_value(work, application, device_id, each, value) for each, value in values}
    return {name: value for name, value in spelled.items() if value is not None}


async def spell_state(work: Work, application: Space, device_id: DeviceId, state: AttributeState) -> dict[str, Any]:
    """As the contract's schema `deviceState` has it."""
    data = await spell_data(work, application, device_id, state.values)
    return {"time": spell_time(state.at), "data": data, **read_meta(state.metadata)}
