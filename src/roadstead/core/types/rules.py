"""Which fields make a profile, and how far a new version may depart from the one before (contract section 7)."""

import re
from collections.abc import Iterable, Iterator, Sequence

import jsonschema_rs

from roadstead.core.types.model import (
    ComponentTemplate,
    DeviceProfileDraft,
    ProfileField,
    ProfileReference,
    SensorProfileDraft,
    Version,
    is_number,
    read_value,
)
from roadstead.kernel.errors import FieldProblem, Invalid

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,79}")
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_COMPONENT_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SLOT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_COMMAND_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
MAX_ARRAY = 100
"""Items of a list field: each is a sensor of its own."""


def check_sensor_profile(draft: SensorProfileDraft) -> None:
    """Raises `Invalid` with everything that is wrong with it by itself."""
    problems = [*_check_key(draft.key), *_check_fields(draft.fields, "/fields")]
    problems += _check_schema(draft.config_schema, "/configSchema")
    _refuse(problems, f"sensor profile {draft.key}")


def check_device_profile(draft: DeviceProfileDraft) -> None:
    """Raises `Invalid` with everything that is wrong with it by itself; its sensor profiles are looked up elsewhere."""
    problems = [*_check_key(draft.key), *_check_fields(draft.writable_fields, "/writableFields")]
    for index, field in enumerate(draft.writable_fields):
        if field.slot is not None:
            detail = "only what a sensor profile reports lies in a slot"
            problems.append(FieldProblem(f"/writableFields/{index}/slot", "invalid", detail))
    problems += _check_schema(draft.config_schema, "/configSchema")
    for index, component in enumerate(draft.components):
        pointer = f"/components/{index}"
        if not _COMPONENT_KEY.fullmatch(component.key):
            problems.append(FieldProblem(f"{pointer}/key", "invalid", "takes 1 to 64 letters, digits, '_', '.', '-'"))
        if not 1 <= len(component.name) <= 120:
            problems.append(FieldProblem(f"{pointer}/name", "invalid", "takes 1 to 120 characters"))
        if ProfileReference.parse(component.sensor_profile) is None:
            detail = "is neither 'key' nor 'key@major.minor'"
            problems.append(FieldProblem(f"{pointer}/sensorProfile", "invalid", detail))
    problems += _check_distinct([component.key for component in draft.components], "/components", "key")
    for index, command in enumerate(draft.commands):
        if not _COMMAND_TYPE.fullmatch(command.type):
            detail = "takes 1 to 64 letters, digits, '_', '.', '-'"
            problems.append(FieldProblem(f"/commands/{index}/type", "invalid", detail))
        problems += _check_schema(command.params_schema, f"/commands/{index}/paramsSchema")
    problems += _check_distinct([command.type for command in draft.commands], "/commands", "type")
    _refuse(problems, f"device profile {draft.key}")


def check_step(key: str, version: Version, newest: Version | None, breaking: Sequence[FieldProblem]) -> None:
    """Raises `Invalid` (`version-rule`) unless `version` may follow.

    `newest` is the newest version there is below the next major; `breaking` is what changed incompatibly since the
    version before. Additive changes raise the minor number, breaking ones the major.
    """
    if newest is not None and newest >= version:
        detail = f"must be higher than {newest}, which is there already"
        raise Invalid.field("/profileVersion", detail, code="version-rule")
    if newest is not None and newest.major == version.major and breaking:
        raise Invalid(
            f"{key}@{version} breaks with {newest}: raise the major number", code="version-rule", fields=breaking
        )


def breaking_fields(before: Sequence[ProfileField], after: Sequence[ProfileField], root: str) -> list[FieldProblem]:
    """What payloads that were right before would stumble over. Pointers are into the new version."""
    old = {field.name: field for field in before}
    new = {field.name: (index, field) for index, field in enumerate(after)}
    problems = [FieldProblem(root, "version-rule", f"field '{name}' was removed") for name in old if name not in new]
    for name, (index, field) in new.items():
        pointer = f"{root}/{index}"
        if name in old:
            problems += [
                FieldProblem(f"{pointer}/{member}", "version-rule", detail)
                for member, detail in _breaking_changes(old[name], field)
            ]
        elif field.required:
            problems.append(FieldProblem(f"{pointer}/required", "version-rule", "a new field must be optional"))
    return problems


def breaking_components(before: Sequence[ComponentTemplate], after: Sequence[ComponentTemplate]) -> list[FieldProblem]:
    """What devices that were right before would lack. Sensor profiles are given with their versions."""
    old = {component.key: component for component in before}
    new = {component.key: (index, component) for index, component in enumerate(after)}
    problems = [
        FieldProblem("/components", "version-rule", f"component '{key}' was removed") for key in old if key not in new
    ]
    for key, (index, component) in new.items():
        known = old.get(key)
        if component.required and (known is None or not known.required):
            pointer = f"/components/{index}/required"
            problems.append(FieldProblem(pointer, "version-rule", "was not required in the version before"))
        if known is not None and not _is_compatible(known.sensor_profile, component.sensor_profile):
            pointer = f"/components/{index}/sensorProfile"
            problems.append(FieldProblem(pointer, "version-rule", f"is not compatible with {known.sensor_profile}"))
    return problems


def _is_compatible(before: str, after: str) -> bool:
    old, new = ProfileReference.parse(before), ProfileReference.parse(after)
    if old is None or new is None or old.key != new.key or old.version is None or new.version is None:
        return before == after
    return old.version.major == new.version.major and old.version <= new.version


def _breaking_changes(old: ProfileField, new: ProfileField) -> Iterator[tuple[str, str]]:
    if new.value_type is not old.value_type:
        yield "valueType", f"was {old.value_type}"
    if new.unit != old.unit:
        yield "unit", f"was {old.unit or 'absent'}"
    if new.array_size != old.array_size:
        yield "arraySize", f"was {old.array_size or 'absent'}"
    if new.min is not None and (old.min is None or new.min > old.min):
        yield "min", "narrows the range"
    if new.max is not None and (old.max is None or new.max < old.max):
        yield "max", "narrows the range"
    if new.enum is not None and (old.enum is None or any(item not in new.enum for item in old.enum)):
        yield "enum", "takes fewer values"
    if new.required and not old.required:
        yield "required", "was optional"
    if old.writable and not new.writable:
        yield "writable", "was writable"
    if old.slot is not None and new.slot != old.slot:
        yield "slot", f"was {old.slot}"


def _check_key(key: str) -> Iterator[FieldProblem]:
    if not _KEY.fullmatch(key):
        yield FieldProblem("/key", "invalid", "takes 1 to 80 letters, digits, '_', '.', ':', '-'")


def _check_fields(fields: Sequence[ProfileField], root: str) -> Iterator[FieldProblem]:
    yield from _check_distinct([field.name for field in fields], root, "name")
    yield from _check_slots(fields, root)
    for index, field in enumerate(fields):
        for member, detail in _check_field(field):
            yield FieldProblem(f"{root}/{index}/{member}", "invalid", detail)


def _check_slots(fields: Sequence[ProfileField], root: str) -> Iterator[FieldProblem]:
    taken = {field.name for field in fields}
    for index, field in enumerate(fields):
        if field.slot is None:
            continue
        if not _SLOT.fullmatch(field.slot):
            yield FieldProblem(f"{root}/{index}/slot", "invalid", "takes 1 to 64 letters, digits, '_', '-'")
        if field.array_size is not None:
            yield FieldProblem(f"{root}/{index}/slot", "invalid", "a list does not fit into one slot")
        if field.slot in taken and field.slot != field.name:
            yield FieldProblem(f"{root}/{index}/slot", "invalid", f"'{field.slot}' is taken by another field")
        taken.add(field.slot)


def _check_field(field: ProfileField) -> Iterator[tuple[str, str]]:
    if not _FIELD_NAME.fullmatch(field.name):
        yield "name", "begins with a letter and takes 1 to 64 letters, digits, '_'"
    if not is_number(field.value_type) and (field.min is not None or field.max is not None):
        yield "min" if field.min is not None else "max", f"a {field.value_type} has no range"
    elif field.min is not None and field.max is not None and field.min > field.max:
        yield "max", "is less than min"
    if field.array_size is not None and not 1 <= field.array_size <= MAX_ARRAY:
        yield "arraySize", f"must be between 1 and {MAX_ARRAY}"
    if field.enum is not None and not field.enum:
        yield "enum", "must not be empty"
    for item in field.enum or ():
        if read_value(item, field.value_type) is None:
            yield "enum", f"{item!r} is not a {field.value_type}"
    for member, text, most in (("unit", field.unit, 32), ("label", field.label, 120)):
        if text is not None and len(text) > most:
            yield member, f"is longer than {most} characters"


def _check_distinct(names: Iterable[str], root: str, member: str) -> Iterator[FieldProblem]:
    seen = set()
    for index, name in enumerate(names):
        if name in seen:
            yield FieldProblem(f"{root}/{index}/{member}", "invalid", f"'{name}' is there twice")
        seen.add(name)


def _check_schema(schema: dict[str, object] | None, pointer: str) -> Iterator[FieldProblem]:
    if schema is None:
        return
    try:
        jsonschema_rs.meta.validate(schema)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        detail = getattr(error, "message", None) or str(error)
        yield FieldProblem(pointer, "invalid", f"is not a JSON Schema: {detail}")


def _refuse(problems: Sequence[FieldProblem], what: str) -> None:
    if problems:
        first = problems[0]
        raise Invalid(f"{what}: {first.pointer.lstrip('/')} {first.detail}", fields=problems)
