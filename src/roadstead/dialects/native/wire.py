"""What devices of the native dialect say, in JSON (contract section 6). Pure: from bytes to values."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from roadstead.core.messages import Reading, Uplink
from roadstead.core.ports import Decoded, Glance, Refusal, RefusalReason, Reported
from roadstead.dialects.native import topics

HEALTH_PREFIX = "$health/"
"""Paths of health snapshots; one snapshot is what has the same time."""

_MOST_BYTES = {"MQTT": 262_144, "HTTP": 5_242_880}
_LEAST_BYTES = min(_MOST_BYTES.values())
_MOST_REF = 36
_MOST_META_BYTES = 10_240

_Instant = Annotated[datetime, Meta(tz=True)]
_Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Scalar = float | int | bool | str


class _Item(msgspec.Struct, rename="camel", gc=False):
    """`ReadingInput`. An object as value is a structured payload, a list the items of a list field."""

    sensor_id: Annotated[str, Meta(min_length=1, max_length=_MOST_REF)]
    timestamp: _Instant
    value: _Scalar | dict[str, Any] | list[Any]
    metadata: Raw | UnsetType = UNSET


class _Loose(msgspec.Struct, rename="camel"):
    """An item of which something is wrong."""

    sensor_id: Any = None
    timestamp: Any = None
    value: Any = None


class _Health(msgspec.Struct, rename="camel"):
    """`DeviceHealthInput`."""

    timestamp: _Instant
    uptime_seconds: _Int64 | None = None
    free_heap_bytes: _Int64 | None = None
    signal_strength_dbm: _Int64 | None = None
    connection_type: Literal["WIFI", "ETHERNET", "CELLULAR", "LORAWAN", "BLE", "OTHER"] | None = None
    readings_sent: _Int64 | None = None
    readings_dropped: _Int64 | None = None
    battery_percent: float | None = None
    cpu_temperature: float | None = None
    firmware_version: Annotated[str, Meta(max_length=128, pattern=r"^[^\x00]*$")] | None = None
    metadata: dict[str, Any] | None = None


class _Status(msgspec.Struct, rename="camel"):
    status: Literal["ONLINE", "OFFLINE"]
    timestamp: _Instant | None = None


_items = msgspec.json.Decoder(list[_Item] | _Item).decode
_item = msgspec.json.Decoder(_Item).decode
_raw_items = msgspec.json.Decoder(list[Raw]).decode
_loose = msgspec.json.Decoder(_Loose).decode
_health = msgspec.json.Decoder(_Health).decode
_status = msgspec.json.Decoder(_Status).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


class NativeCodec:
    """The codec of the native dialect."""

    is_lenient = False

    def glance(self, uplink: Uplink) -> Glance | None:
        """See `Codec.glance`."""
        if uplink.channel != topics.READINGS or len(uplink.payload) > _LEAST_BYTES:
            return None
        try:
            items = _items(uplink.payload)
        except _UNREADABLE:
            return None
        if not isinstance(items, list):
            items = [items]
        if not items:
            return None
        refs, values, first = [], [], items[0].timestamp
        for item in items:
            if item.metadata is not UNSET:
                return None
            if item.timestamp != first:
                return _glance_at_history(items)
            refs.append(item.sensor_id)
            values.append(item.value)
        return tuple(refs), _millis(first), tuple(values)

    def decode(self, uplink: Uplink) -> Decoded:
        """See `Codec.decode`."""
        if len(uplink.payload) > _MOST_BYTES.get(uplink.source, 5_242_880):
            return _refused(uplink, RefusalReason.TOO_LARGE, f"a message may have {_MOST_BYTES['MQTT']} bytes")
        try:
            match uplink.channel:
                case topics.READINGS:
                    return _decode_readings(uplink)
                case topics.HEALTH:
                    return _decode_health(uplink)
                case topics.STATUS:
                    _status(uplink.payload)
                case _:
                    return _refused(uplink, RefusalReason.MALFORMED, f"there is no channel {uplink.channel}")
        except _UNREADABLE as error:
            return _refused(uplink, RefusalReason.MALFORMED, str(error))
        return Decoded()


def _glance_at_history(items: list[_Item]) -> Glance | None:
    """Items that were not all measured at once."""
    if any(item.metadata is not UNSET for item in items):
        return None
    times = [_millis(item.timestamp) for item in items]
    return tuple([item.sensor_id for item in items]), times, tuple([item.value for item in items])


def _decode_readings(uplink: Uplink) -> Decoded:
    try:
        items = _items(uplink.payload)
    except (msgspec.ValidationError, UnicodeDecodeError):
        return _decode_one_by_one(uplink.payload)
    if isinstance(items, _Item):
        items = [items]
    reported: list[Reported] = []
    refused: list[Refusal] = []
    last: datetime | None = None
    at = 0
    for index, item in enumerate(items):
        # The readings of a message mostly have one time.
        if item.timestamp != last:
            last = item.timestamp
            at = _millis(last)
        if item.metadata is UNSET:
            reported.append(Reported(item.sensor_id, at, item.value))
        else:
            _append(item, at, index, reported, refused)
    return Decoded(reported, [], refused)


def _append(item: _Item, at: int, index: int, reported: list[Reported], refused: list[Refusal]) -> None:
    """An item that has metadata."""
    meta = bytes(item.metadata).decode() if isinstance(item.metadata, Raw) else "null"
    if meta.startswith("{"):
        reported.append(Reported(item.sensor_id, at, item.value, meta))
    elif meta == "null":
        reported.append(Reported(item.sensor_id, at, item.value))
    else:
        payload = msgspec.json.encode(item)
        refused.append(Refusal(RefusalReason.MALFORMED, "metadata must be an object", payload, item.sensor_id, index))


def _decode_one_by_one(payload: bytes) -> Decoded:
    """Keep the items that are right, and say of the others what is wrong."""
    text = payload.lstrip()
    texts = [bytes(raw) for raw in _raw_items(text)] if text.startswith(b"[") else [text]
    decoded = Decoded()
    for index, text in enumerate(texts):
        try:
            item = _item(text)
        except (msgspec.ValidationError, UnicodeDecodeError) as error:
            decoded.refused.append(_explain(text, index, str(error)))
        else:
            _append(item, _millis(item.timestamp), index, decoded.reported, decoded.refused)
    return decoded


def _explain(payload: bytes, index: int, detail: str) -> Refusal:
    try:
        loose = _loose(payload)
    except _UNREADABLE:
        return Refusal(RefusalReason.MALFORMED, detail, payload, index=index)
    ref = loose.sensor_id if isinstance(loose.sensor_id, str) else ""
    reason = RefusalReason.MALFORMED
    if loose.sensor_id is None or loose.timestamp is None or loose.value is None:
        missing = [name for name in ("sensorId", "timestamp", "value") if getattr(loose, _ATTRIBUTES[name]) is None]
        reason, detail = RefusalReason.MISSING_FIELD, f"{', '.join(missing)} missing"
    elif len(ref) > _MOST_REF:
        reason, detail = RefusalReason.TOO_LARGE, f"sensorId may have {_MOST_REF} characters"
    elif "$.timestamp" in detail:
        reason = RefusalReason.BAD_TIMESTAMP
    return Refusal(reason, detail, payload, ref[:200], index)


_ATTRIBUTES = {"sensorId": "sensor_id", "timestamp": "timestamp", "value": "value"}


def _decode_health(uplink: Uplink) -> Decoded:
    try:
        health = _health(uplink.payload)
    except msgspec.ValidationError as error:
        detail = str(error)
        if "missing required field" in detail:
            return _refused(uplink, RefusalReason.MISSING_FIELD, detail)
        reason = RefusalReason.BAD_TIMESTAMP if "$.timestamp" in detail else RefusalReason.MALFORMED
        return _refused(uplink, reason, detail)
    at = _millis(health.timestamp)
    readings = [
        Reading(HEALTH_PREFIX + field.encode_name, at, value)
        for field in _HEALTH_FIELDS
        if (value := getattr(health, field.name)) is not None
    ]
    if health.metadata is not None:
        text = msgspec.json.encode(health.metadata).decode()
        if len(text) > _MOST_META_BYTES:
            return _refused(uplink, RefusalReason.TOO_LARGE, f"metadata may have {_MOST_META_BYTES} bytes")
        readings.append(Reading(HEALTH_PREFIX + "metadata", at, text))
    if not readings:
        return _refused(uplink, RefusalReason.MISSING_FIELD, "the snapshot says nothing but its time")
    return Decoded([], readings, [])


_HEALTH_FIELDS = [field for field in msgspec.structs.fields(_Health) if field.name not in ("timestamp", "metadata")]


def _refused(uplink: Uplink, reason: RefusalReason, detail: str) -> Decoded:
    return Decoded([], [], [Refusal(reason, detail, uplink.payload, whole=True)])


def _millis(instant: datetime) -> int:
    # A float may come out a hair (a quarter of a microsecond) below its millisecond.
    return int(instant.timestamp() * 1000 + 0.0005)
