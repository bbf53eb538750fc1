"""/v1/telemetry: the newest record of a device, or means by day, week or month."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from litestar import get

from roadstead.core import registry, telemetry
from roadstead.core.messages import Value
from roadstead.core.ports import Span
from roadstead.core.work import Work
from roadstead.dialects.leapcraft.devices import spell_address
from roadstead.dialects.leapcraft.parameters import read_choice, read_time
from roadstead.dialects.leapcraft.terms import Terms
from roadstead.dialects.leapcraft.times import spell_time
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.web.edge import AnyRequest

_MOST_BUCKETS = 1_100
_DECIMALS = 6
_TYPES = {"latest": "latest", "averages": "averages"}
_RESOLUTIONS = {"daily": "P1D", "weekly": "P1W", "monthly": "P1M"}


class TelemetryShape(msgspec.Struct, frozen=True):
    """`Telemetry`."""

    physical_id: str
    timestamp: str
    data: dict[str, Any]
    created_at: str


@get("/v1/telemetry/{physical_id:str}", operation_id="telemetry.get")
async def get_telemetry(request: AnyRequest, work: Work, physical_id: str) -> TelemetryShape | list[TelemetryShape]:
    """`type=latest`: one record; `type=averages`: the means of each calendar bucket (UTC) that has any."""
    if read_choice(request, "type", _TYPES) == "latest":
        device = (await registry.find_placed_device(work, physical_id)).device
        snapshot = await telemetry.get_snapshot(work, device.id)
        data = spell_data(snapshot.values)
        return TelemetryShape(spell_address(device), spell_time(snapshot.at), data, spell_time(snapshot.received_at))
    interval = read_choice(request, "resolution", _RESOLUTIONS)
    span = Span(read_time(request, "from"), read_time(request, "to"))
    if span.start >= span.end:
        raise Invalid.field("from", "must be earlier than 'to'", place="query")
    device = (await registry.find_placed_device(work, physical_id)).device
    means = await telemetry.list_means(work, device.id, span, interval=interval, most=_MOST_BUCKETS)
    shapes = [_spell_means(spell_address(device), each, work.now()) for each in means]
    terms: Terms = request.app.state.terms
    if terms.averages_shape == "array":
        return shapes
    if not shapes:
        raise NotFound("average of device", physical_id)
    return shapes[-1]


def _spell_means(address: str, means: telemetry.Means, now: datetime) -> TelemetryShape:
    rounded: dict[str, Value] = {path: round(value, _DECIMALS) for path, value in means.values.items()}
    return TelemetryShape(address, spell_time(means.start), spell_data(rounded), spell_time(now))


def spell_data(values: Mapping[str, Value]) -> dict[str, Any]:
    """Numbers by name of the metric; what is no number goes into `meta`."""
    names = name_metrics(values)
    data: dict[str, Any] = {names[path]: value for path, value in values.items() if not isinstance(value, (str, bool))}
    meta = {names[path]: value for path, value in values.items() if isinstance(value, (str, bool))}
    return {**data, "meta": meta} if meta else data


def name_metrics(paths: Iterable[str]) -> dict[str, str]:
    """The name of each path: that of the sensor alone, or `component.sensor` where several components have it."""
    short = {path: path.rpartition("/")[2] for path in paths}
    often = Counter(short.values())
    return {path: name if often[name] == 1 else path.replace("/", ".") for path, name in short.items()}
