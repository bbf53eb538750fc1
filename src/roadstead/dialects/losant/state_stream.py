"""/applications/{applicationId}/devices/{deviceId}/stateStream: states as they come (contract section 29)."""

from collections.abc import Iterator, Sequence

import msgspec
from litestar import get
from litestar.response import Stream

from roadstead.core import registry, streams, telemetry
from roadstead.core.registry import Attribute, Device, Space
from roadstead.core.streams import Parcel, ReadingEvent, StreamWish, Topic
from roadstead.core.telemetry import AttributeState
from roadstead.core.work import Work
from roadstead.dialects.losant.event_streams import read_keep_alive, speak, spell_event
from roadstead.dialects.losant.values import spell_state
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import SensorId
from roadstead.kernel.time import from_millis
from roadstead.web.edge import AnyRequest, BeginWork, Edge
from roadstead.web.listening import in_time


@get(
    "/applications/{applicationId:str}/devices/{deviceId:str}/stateStream",
    operation_id="device.stateStream",
    media_type="text/event-stream",
    middleware=[in_time],
)
async def listen(request: AnyRequest, work: Work, begin: BeginWork, application: Space, device: Device) -> Stream:
    """Events `deviceState` as soon as states are stored, whichever way they came."""
    edge: Edge = request.app.state.edge
    read_keep_alive(request)
    wanted = await streams.open_filter(work, StreamWish(topics=frozenset({Topic.READING}), device_ids=[device.id]))
    speller = _Speller(begin, application, device)
    subscription = await edge.live.subscribe(work.tenant_id, wanted, None)
    return speak(request, subscription, Grant.READINGS_READ, speller.spell)


class _Speller:
    """Makes states of readings; it knows what the sensors of the device are called."""

    def __init__(self, begin: BeginWork, application: Space, device: Device) -> None:
        self._begin = begin
        self._application = application
        self._device_id = device.id
        self._known: dict[SensorId, Attribute] = {}

    async def spell(self, parcels: Sequence[Parcel]) -> bytes:
        """All states that are in there."""
        spelled = []
        async with self._begin() as work:
            for readings in _states(parcels):
                if any(reading.sensor_id not in self._known for reading in readings):
                    await self._learn(work)
                values = [
                    (self._known[each.sensor_id], each.reading.value)
                    for each in readings
                    if each.sensor_id in self._known
                ]
                at, metadata = from_millis(readings[0].reading.at), telemetry.read_metadata(readings[0].reading.meta)
                if values:
                    state = AttributeState(at, values, metadata)
                    shown = await spell_state(work, self._application, self._device_id, state)
                    spelled.append(spell_event("deviceState", msgspec.json.encode(shown)))
        return b"".join(spelled)

    async def _learn(self, work: Work) -> None:
        found = await registry.find_attributes(work, [self._device_id])
        self._known = {each.sensor_id: each for each in found[self._device_id]}


def _states(parcels: Sequence[Parcel]) -> Iterator[list[ReadingEvent]]:
    """Neighbours of one time that came with the same metadata, none of them twice."""
    run: list[ReadingEvent] = []
    for event in (event for parcel in parcels for event in parcel.events):
        if not isinstance(event.body, ReadingEvent):
            continue
        if run and not _goes_with(run, event.body):
            yield run
            run = []
        run.append(event.body)
    if run:
        yield run


def _goes_with(run: Sequence[ReadingEvent], one: ReadingEvent) -> bool:
    first = run[0]
    if (one.reading.at, one.reading.meta, one.received) != (first.reading.at, first.reading.meta, first.received):
        return False
    return all(one.sensor_id != other.sensor_id for other in run)


handlers = [listen]
