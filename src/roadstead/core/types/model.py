"""What a profile is: typed fields of a channel, components of a device; and whether a payload fits."""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import msgspec

from roadstead.core.messages import Value, ValueType
from roadstead.core.ports import RefusalReason
from roadstead.kernel.errors import FieldProblem, Invalid
from roadstead.kernel.ids import ProfileId

MAX_TEXT = 1_000
"""Characters of a text value (contract section 5)."""
_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")


def read_value(value: object, value_type: ValueType) -> Value | None:
    """The value as a sensor of this type holds it, or None when it does not fit.

    An integer is widened for DOUBLE; a fraction is not cut for BIGINT (contract section 5).
    """
    match value_type:
        case ValueType.BOOLEAN:
            return value if isinstance(value, bool) else None
        case ValueType.TEXT:
            return value if isinstance(value, str) else None
        case ValueType.DOUBLE | ValueType.BIGINT if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        case ValueType.DOUBLE:
            return _to_double(value)
        case ValueType.BIGINT:
            return int(value) if value == value // 1 and -(2**63) <= value < 2**63 else None


def _to_double(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def is_number(value_type: ValueType) -> bool:
    """Whether its values have a range."""
    return value_type in (ValueType.DOUBLE, ValueType.BIGINT)


class Version(msgspec.Struct, frozen=True, order=True):
    """`major.minor` of a profile."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """From `1.2`; None when it is no version."""
        match = _VERSION.fullmatch(text)
        return cls(int(match.group(1)), int(match.group(2))) if match else None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


class ProfileReference(msgspec.Struct, frozen=True):
    """`key@major.minor`, or `key` alone for the newest version (contract section 7)."""

    key: str
    version: Version | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None when what follows the `@` is no version."""
        key, at, rest = text.rpartition("@")
        if not at:
            return cls(text)
        version = Version.parse(rest)
        return cls(key, version) if version and key else None

    def __str__(self) -> str:
        return self.key if self.version is None else f"{self.key}@{self.version}"


class ProfileField(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """One typed field of a profile (contract schema `ProfileField`)."""

    name: str
    value_type: ValueType
    unit: str | None = None
    min: float | None = None
    max: float | None = None
    required: bool = False
    writable: bool = False
    array_size: int | None = None
    """The value is a list of exactly so many items."""
    enum: list[Any] | None = None
    label: str | None = None
    description: str | None = None
    slot: str | None = None
    """What devices may call it on the wire instead of its name: the slot of a bus message, for instance `p0`."""

    def sensor_keys(self) -> list[str]:
        """The keys of the sensors that hold its values: its name, or `name[0]`, `name[1]`... for a list."""
        return [self.name] if self.array_size is None else [f"{self.name}[{index}]" for index in range(self.array_size)]

    def check_value(self, value: object, pointer: str) -> FieldProblem | None:
        """What is wrong with one value (one item, for a list), or None. The code is a reason of quarantine."""
        read = read_value(value, self.value_type)
        if read is None:
            too_much = is_number(self.value_type) and _is_whole(value)
            reason = RefusalReason.OUT_OF_RANGE if too_much else RefusalReason.TYPE_MISMATCH
            return FieldProblem(pointer, reason, f"{_spell(value)} is not a {self.value_type}")
        if isinstance(read, str) and len(read) > MAX_TEXT:
            return FieldProblem(pointer, RefusalReason.TOO_LARGE, f"is longer than {MAX_TEXT} characters")
        if isinstance(read, str) and "\0" in read:
            return FieldProblem(pointer, RefusalReason.MALFORMED, "must not contain NUL")
        if is_number(self.value_type) and not isinstance(read, str):
            if self.min is not None and read < self.min:
                return FieldProblem(pointer, RefusalReason.OUT_OF_RANGE, f"{_spell(value)} is less than {self.min:g}")
            if self.max is not None and read > self.max:
                return FieldProblem(pointer, RefusalReason.OUT_OF_RANGE, f"{_spell(value)} is more than {self.max:g}")
        if self.enum is not None and not any(read == read_value(item, self.value_type) for item in self.enum):
            detail = f"{_spell(value)} is not one of the field's values"
            return FieldProblem(pointer, RefusalReason.OUT_OF_RANGE, detail)
        return None


def _is_whole(value: object) -> bool:
    """A whole number: if it is refused, then because no column is wide enough."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value // 1


def _spell(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


class SensorTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """A sensor that a component has because of its profile."""

    key: str
    field: str
    name: str
    value_type: ValueType
    unit: str | None
    min: float | None
    max: float | None


class SensorProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable version of the typed schema of a channel."""

    id: ProfileId
    key: str
    major: int
    minor: int
    name: str
    description: str | None
    fields: list[ProfileField]
    config_schema: dict[str, Any] | None
    pack_id: str | None
    deprecated: bool
    created_at: datetime

    @property
    def version(self) -> Version:
        """Its version."""
        return Version(self.major, self.minor)

    @property
    def reference(self) -> str:
        """`key@major.minor`."""
        return f"{self.key}@{self.version}"

    def sensors(self) -> list[SensorTemplate]:
        """The sensors of a component bound to this version, in order of the fields."""
        return [
            SensorTemplate(
                key=key,
                field=field.name,
                name=(field.label or field.name) + key.removeprefix(field.name),
                value_type=field.value_type,
                unit=field.unit,
                min=field.min,
                max=field.max,
            )
            for field in self.fields
            for key in field.sensor_keys()
        ]

    def slots(self) -> dict[str, str]:
        """The name of the field that lies in each slot."""
        return {field.slot: field.name for field in self.fields if field.slot is not None}

    def check(self, payload: Mapping[str, object]) -> list[FieldProblem]:
        """Everything that is wrong with a structured payload `{field: value}`; nothing when it fits.

        Pointers are relative to the payload, codes are the reasons of quarantine. Null is as good as absent.
        """
        fields = {field.name: field for field in self.fields}
        problems = [
            FieldProblem(_pointer(name), RefusalReason.UNKNOWN_SENSOR, f"is not a field of {self.reference}")
            for name in payload
            if name not in fields
        ]
        for name, field in fields.items():
            if payload.get(name) is not None:
                problems += _check_field(field, payload[name])
            elif field.required:
                problems.append(FieldProblem(_pointer(name), RefusalReason.MISSING_FIELD, "is required"))
        return problems


def _check_field(field: ProfileField, value: object) -> list[FieldProblem]:
    pointer = _pointer(field.name)
    if field.array_size is None:
        problem = field.check_value(value, pointer)
        return [problem] if problem else []
    if not isinstance(value, list):
        return [FieldProblem(pointer, RefusalReason.TYPE_MISMATCH, f"is not a list of {field.array_size} values")]
    if len(value) != field.array_size:
        return [FieldProblem(pointer, RefusalReason.ARRAY_SIZE, f"has {len(value)} items, not {field.array_size}")]
    checked = (field.check_value(item, f"{pointer}/{index}") for index, item in enumerate(value))
    return [problem for problem in checked if problem]


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


class ComponentTemplate(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """A component that devices of a profile have."""

    key: str
    name: str
    sensor_profile: str
    """`key@major.minor`."""
    required: bool = False


class CommandTemplate(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """A command that devices of a profile understand."""

    type: str
    params_schema: dict[str, Any]


class DeviceProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable version of a device type."""

    id: ProfileId
    key: str
    major: int
    minor: int
    name: str
    description: str | None
    components: list[ComponentTemplate]
    writable_fields: list[ProfileField]
    config_schema: dict[str, Any] | None
    commands: list[CommandTemplate]
    pack_id: str | None
    deprecated: bool
    created_at: datetime

    @property
    def version(self) -> Version:
        """Its version."""
        return Version(self.major, self.minor)

    @property
    def reference(self) -> str:
        """`key@major.minor`."""
        return f"{self.key}@{self.version}"


class SensorProfileDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a sensor profile to be added."""

    key: str
    version: Version
    name: str
    fields: list[ProfileField]
    description: str | None = None
    config_schema: dict[str, Any] | None = None


class DeviceProfileDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a device profile to be added; sensor profiles may be named without a version."""

    key: str
    version: Version
    name: str
    components: list[ComponentTemplate]
    description: str | None = None
    writable_fields: list[ProfileField] = []
    config_schema: dict[str, Any] | None = None
    commands: list[CommandTemplate] = []


class ProfileQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which profiles are wanted: the newest version of each key, unless told otherwise."""

    key: str | None = None
    version: Version | None = None
    all_versions: bool = False
    pack_id: str | None = None
    text: str | None = None
    """Part of the key or the name, in any case."""
    slotted: bool = False
    """Only those with a field that lies in a slot."""


def parse_reference(text: str, pointer: str, *, place: str = "body") -> ProfileReference:
    """Raises `Invalid` that names the field when it is neither `key` nor `key@major.minor`."""
    reference = ProfileReference.parse(text)
    if reference is None:
        raise Invalid.field(pointer, "is neither 'key' nor 'key@major.minor'", place=place)
    return reference
