"""Fits what a device said into the sensors it has, for dialects in which a value takes the type of its sensor. Pure."""

import base64
import binascii
import hashlib
import math

import msgspec

from roadstead.core.files import blob_key, values_area
from roadstead.core.messages import Reading, Uplink, Value, ValueType
from roadstead.core.ports import Decoded, Refusal, RefusalReason, Reported
from roadstead.core.telemetry.positions import read_place
from roadstead.core.telemetry.refused import spell_item
from roadstead.core.telemetry.rules import Described, Refused, Rule, TextForm
from roadstead.kernel.ids import DeviceId, from_bytes

MOST_TEXT_BYTES = 65_536
_BLOB = "sha256:"
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_WHOLE = 1e21
"""From here on numbers are spelled with an exponent."""


class BlobValue(msgspec.Struct, frozen=True):
    """A file that came as a value."""

    content: bytes

    @property
    def text(self) -> str:
        """What the value is stored as."""
        return _BLOB + hashlib.sha256(self.content).hexdigest()


class Fitted(msgspec.Struct, frozen=True):
    """What is left of a message."""

    readings: list[Reading]
    refused: list[Refusal]
    files: dict[str, bytes]
    """To be stored before the readings, by their keys; these are made from their content, so twice does no harm."""


def fit_message(uplink: Uplink, described: Described, decoded: Decoded, *, keeps_files: bool) -> Fitted:
    """Each value as its attribute holds it. Those that cannot be are refused one by one; the others are taken.

    Of values of one attribute and time the last one counts. Without `keeps_files` none may come as a value.
    """
    readings: dict[tuple[str, int], Reading] = {}
    fitted = Fitted([], list(decoded.refused), {})
    for index, item in enumerate(decoded.reported):
        try:
            rule = described.find_attribute(item.ref)
            value = fit(rule, item.value)
            if isinstance(value, BlobValue):
                key = _key_of(uplink, described, value) if keeps_files else None
                if key is None:
                    raise Refused(RefusalReason.TYPE_MISMATCH, "files are not taken here as values")
                fitted.files[key] = value.content
                value = value.text
            readings[rule.path, item.at] = Reading(rule.path, item.at, value, item.meta)
        except Refused as error:
            fitted.refused.append(_refuse(index, item, error))
    fitted.readings.extend(readings.values())
    return fitted


def fit(rule: Rule, value: object) -> Value | BlobValue:
    """The value as the sensor holds it: numbers from texts, texts from numbers, and so on. Raises `Refused`."""
    if rule.form is TextForm.BLOB:
        return _to_blob(value)
    value_type = rule.field.value_type
    fitted: Value | None
    match value_type:
        case ValueType.BOOLEAN:
            fitted = _to_boolean(value)
        case ValueType.TEXT:
            fitted = _to_text(value)
        case ValueType.DOUBLE | ValueType.BIGINT:
            fitted = _to_number(value)
    if rule.form is TextForm.GPS and isinstance(fitted, str):
        fitted = read_place(fitted)
    if fitted is None:
        spelled = repr(value)
        told = spelled if len(spelled) <= 100 else spelled[:97] + "..."
        raise Refused(RefusalReason.TYPE_MISMATCH, f"{told} does not fit into a {rule.form or value_type}")
    if isinstance(fitted, str) and rule.field.enum is None:
        return _check_text(fitted)
    return rule.take(fitted)


def blob_name(device_id: DeviceId, text: str) -> str | None:
    """The name, among the files of the organization, of the one that a stored value stands for; None: for none."""
    digest = text.removeprefix(_BLOB)
    if not text.startswith(_BLOB) or len(digest) != 64 or not digest.isalnum():
        return None
    return values_area(device_id) + digest


def _key_of(uplink: Uplink, described: Described, value: BlobValue) -> str | None:
    name = blob_name(DeviceId(from_bytes(uplink.device)), value.text)
    return blob_key(described.organization, name) if described.organization and name else None


def _refuse(index: int, item: Reported, error: Refused) -> Refusal:
    return Refusal(error.reason, error.detail, spell_item(item), item.ref, index)


def _to_boolean(value: object) -> bool | None:
    if isinstance(value, str):
        return _TRUTHS.get(value.strip().lower())
    return bool(value) if isinstance(value, (bool, int, float)) and value in (0, 1) else None


def _to_number(value: object) -> float | int | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        value = _read_number(value)
    if isinstance(value, int):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else None


def _read_number(text: str) -> float | int | None:
    for kind in (int, float):
        try:
            return kind(text) if "_" not in text else None  # what Python alone takes for a number
        except ValueError:
            continue
    return None


def _to_text(value: object) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < _WHOLE:
            return str(int(value))
        case int() | float():
            return repr(value)
    return None


def _check_text(text: str) -> str:
    if len(text.encode()) > MOST_TEXT_BYTES:
        raise Refused(RefusalReason.TOO_LARGE, f"a text may have {MOST_TEXT_BYTES} bytes")
    if "\0" in text:
        raise Refused(RefusalReason.MALFORMED, "must not contain NUL")
    return text


def _to_blob(value: object) -> BlobValue:
    if not isinstance(value, str):
        raise Refused(RefusalReason.TYPE_MISMATCH, "the content of a file comes as text, in Base64")
    try:
        return BlobValue(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        raise Refused(RefusalReason.TYPE_MISMATCH, "the content of a file comes in Base64") from None
