"""Readings that come as one request: checked at once, so that the answer can say what was refused."""

import secrets
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from roadstead.core.messages import Reading, Uplink
from roadstead.core.operation import operation
from roadstead.core.ports import Refusal, RefusalReason, Reported
from roadstead.core.telemetry import descriptions, store
from roadstead.core.telemetry.intake import Intake
from roadstead.core.telemetry.refused import Quarantined, insert_quarantined, quarantine_id, spell_item
from roadstead.core.work import Work
from roadstead.kernel import ids
from roadstead.kernel.actor import ActorKind, Grant
from roadstead.kernel.errors import Forbidden, Invalid, NotFound
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.kernel.time import to_millis

MOST_ITEMS = 5_000
"""Readings of one request."""

_DIALECT, _CHANNEL, _SOURCE = "native", "readings", "HTTP"
_UPLINK_BYTES = 262_144
"""About how much goes into one uplink: a message on the log has a bound that a request may exceed."""


class RefusedItem(msgspec.Struct, frozen=True):
    """An item of a request, or a part of it, that is in quarantine now."""

    index: int
    refusal: Refusal
    quarantine_id: UUID


class Ingested(msgspec.Struct, frozen=True):
    """What became of the items of one request."""

    accepted: int
    duplicates: int
    """Items that repeat sensor and time of another item of the request; the last one counts."""
    refused: list[RefusedItem]
    uplinks: list[Uplink]
    """What was accepted: to be put on the log before this is committed, then stored like what came by MQTT."""


class DocumentMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message in a device's own spelling, from somebody who sends it in the device's name."""

    dialect: str
    channel: str
    payload: bytes
    device_id: DeviceId | None = None
    alias: str | None = None
    """The device it is about, by one of these; else it is about who sends it."""
    sender_id: DeviceId | None = None
    """Who is said to send it; the device it is about, when nobody says so."""


class TakenMessage(msgspec.Struct, frozen=True):
    """What became of it."""

    uplink: Uplink
    """To be put on the log before this is committed, unless it was refused."""
    refused: list[RefusedItem]


class _Address(msgspec.Struct, rename="camel"):
    """What of an item says where it belongs."""

    sensor_id: str = ""
    device_id: str | None = None


_address = msgspec.json.Decoder(_Address)


@operation(Grant.READINGS_WRITE, changes=False)
async def take_readings(work: Work, intake: Intake, items: Sequence[bytes]) -> Ingested:
    """Check items (`ReadingInput` of the native contract as JSON) by the rules of every door; keep what is refused.

    A device speaks for itself and need not say so; it is `Forbidden` to speak for another. Others name the device, or
    a sensor or component by its id.
    """
    received = to_millis(work.now())
    homes = await _find_homes(work, items)
    uplinks = [
        Uplink(work.tenant_id, home if isinstance(home, bytes) else b"", _DIALECT, _CHANNEL, received, item, _SOURCE)
        for item, home in zip(items, homes, strict=True)
    ]
    refused = [(index, home) for index, home in enumerate(homes) if isinstance(home, Refusal)]
    placed = [index for index, home in enumerate(homes) if isinstance(home, bytes)]
    taken = await intake.take_in([uplinks[index] for index in placed])
    refused += [(placed[position], refusal) for position, refusal in taken.refused]

    readings: dict[bytes, dict[tuple[str, int], Reading]] = {}
    accepted = duplicates = 0
    for message in taken.accepted:
        if message.readings:
            known = readings.setdefault(message.device, {})
            fresh = {(reading.path, reading.at): reading for reading in message.readings}
            is_duplicate = fresh.keys() <= known.keys()
            known.update(fresh)
            accepted += not is_duplicate
            duplicates += is_duplicate
    return Ingested(
        accepted=accepted,
        duplicates=duplicates,
        refused=await quarantine(work, uplinks, refused),
        uplinks=await _pack(work, readings, received),
    )


@operation(Grant.READINGS_WRITE, changes=False)
async def take_document(work: Work, intake: Intake, message: DocumentMessage) -> TakenMessage:
    """Check a report of values by the rules of every door; keep it when it is refused.

    `NotFound` for a device that is not there, `Invalid` when none is named.
    """
    return await _take_message(work, intake, message)


@operation(Grant.EVENTS_WRITE, changes=False)
async def take_event(work: Work, intake: Intake, message: DocumentMessage) -> TakenMessage:
    """The same for an event of a device."""
    return await _take_message(work, intake, message)


@operation(Grant.READINGS_WRITE, changes=False)
async def speak_for(
    work: Work, device_id: DeviceId, *, dialect: str, channel: str, payloads: Sequence[bytes]
) -> list[Uplink]:
    """Messages in a device's own spelling from somebody who sends them in its name: to be put on the log.

    They are checked there, like what comes by MQTT. `NotFound` for a device that is not there, or that the caller does
    not speak for.
    """
    if not work.actor.speaks_for(device_id) or not await store.has_device(work.tx, work.tenant_id, device_id):
        raise NotFound("device", device_id)
    received, device = to_millis(work.now()), ids.to_bytes(device_id)
    return [Uplink(work.tenant_id, device, dialect, channel, received, payload, _SOURCE) for payload in payloads]


async def _take_message(work: Work, intake: Intake, message: DocumentMessage) -> TakenMessage:
    target = await _find_target(work, message)
    sender = message.sender_id or target
    if sender is None:
        raise Invalid.field("/deviceId", "name a device, by deviceId or alias")
    for device_id in {sender, target or sender}:
        if not await store.has_device(work.tx, work.tenant_id, device_id):
            raise NotFound("device", device_id)
    received = to_millis(work.now())
    uplink = Uplink(
        work.tenant_id, ids.to_bytes(sender), message.dialect, message.channel, received, message.payload, _SOURCE
    )
    taken = await intake.take_in([uplink])
    return TakenMessage(uplink, await quarantine(work, [uplink], taken.refused))


async def _find_target(work: Work, message: DocumentMessage) -> DeviceId | None:
    if message.alias is None:
        return message.device_id
    place = work.tenant_id, message.alias
    found = (await descriptions.select_aliases(work.tx, [place])).get(place)
    if found is None:
        raise NotFound("device", message.alias)
    return DeviceId(found)


async def _find_homes(work: Work, items: Sequence[bytes]) -> list[bytes | Refusal]:
    """The device of each item (the 12 bytes of its id), or why there is none."""
    addresses = [_read_address(item) for item in items]
    named = [
        id_
        for address in addresses
        if isinstance(address, _Address) and address.device_id is None
        if (id_ := ids.parse_uuid(address.sensor_id)) is not None
    ]
    known: Mapping[UUID, DeviceId] = {}
    if named and work.actor.kind is not ActorKind.DEVICE:
        known = await store.select_devices_of(work.tx, work.tenant_id, named)
    return [_find_home(work, address, item, known) for address, item in zip(addresses, items, strict=True)]


def _find_home(work: Work, address: _Address | str, item: bytes, known: Mapping[UUID, DeviceId]) -> bytes | Refusal:
    if isinstance(address, str):
        return Refusal(RefusalReason.MALFORMED, address, item)
    own = work.actor.id if work.actor.kind is ActorKind.DEVICE else None
    if address.device_id is not None:
        device = ids.parse_uuid(address.device_id)
        if own is not None and device != own:
            raise Forbidden("a device speaks for itself only")
        if device is None:
            return Refusal(RefusalReason.UNKNOWN_SENSOR, "there is no such device", item, address.sensor_id)
        return ids.to_bytes(device)
    if own is not None:
        return ids.to_bytes(own)
    sensor = ids.parse_uuid(address.sensor_id)
    if sensor is None:
        detail = "deviceId is needed, unless sensorId is the id of a sensor"
        return Refusal(RefusalReason.MISSING_FIELD, detail, item, address.sensor_id)
    home = known.get(sensor)
    if home is None:
        return Refusal(RefusalReason.UNKNOWN_SENSOR, "there is no such sensor", item, address.sensor_id)
    return ids.to_bytes(home)


def _read_address(item: bytes) -> _Address | str:
    """Where the item belongs, or what is wrong with it."""
    try:
        return _address.decode(item)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return str(error)


async def quarantine(
    work: Work, uplinks: Sequence[Uplink], refused: Sequence[tuple[int, Refusal]]
) -> list[RefusedItem]:
    """Keep what was refused of these, by the place of its uplink."""
    request = secrets.token_hex(8)
    kept = []
    for place, (index, refusal) in enumerate(sorted(refused, key=lambda found: found[0])):
        kept.append(RefusedItem(index, refusal, quarantine_id(uplinks[index], request, place)))
    await insert_quarantined(
        work.tx, [Quarantined(item.quarantine_id, uplinks[item.index], item.refusal) for item in kept]
    )
    return kept


async def _pack(work: Work, readings: Mapping[bytes, Mapping[tuple[str, int], Reading]], received: int) -> list[Uplink]:
    """Uplinks of what was accepted, in the platform's own spelling, sensors by their ids."""
    wanted = [(ids.from_bytes(device), path) for device, known in readings.items() for path, _ in known]
    sensor_ids = await store.select_sensor_ids(work.tx, work.tenant_id, list(dict.fromkeys(wanted)))
    uplinks = []
    for device, known in readings.items():
        id_ = ids.from_bytes(device)
        # A sensor that was deleted this very moment has no id any more: the check of the store will say so.
        reported = [
            Reported(str(sensor_ids.get((id_, one.path), one.path)), one.at, one.value, one.meta)
            for one in known.values()
        ]
        uplinks += spell_uplinks(work.tenant_id, device, reported, received=received)
    return uplinks


def spell_uplinks(tenant: TenantId, device: bytes, reported: Sequence[Reported], *, received: int) -> list[Uplink]:
    """What a device reports (`ref` is the id of a sensor) in the platform's own spelling, to be put on the log."""
    payloads = _join([spell_item(one) for one in reported])
    return [Uplink(tenant, device, _DIALECT, _CHANNEL, received, payload, _SOURCE) for payload in payloads]


def _join(items: Sequence[bytes]) -> list[bytes]:
    """JSON arrays of about a bound of bytes."""
    arrays: list[list[bytes]] = [[]]
    size = 0
    for item in items:
        if size + len(item) > _UPLINK_BYTES and arrays[-1]:
            arrays.append([])
            size = 0
        arrays[-1].append(item)
        size += len(item) + 1
    return [b"[" + b",".join(array) + b"]" for array in arrays if array]
