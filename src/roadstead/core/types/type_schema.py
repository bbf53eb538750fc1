"""What values of a device type must be like, and which sensors hold them: JSON Schema by section and name. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any, Protocol, TypeAlias

import jsonschema_rs
import msgspec

from roadstead.core.messages import Value, ValueType
from roadstead.core.types.type_paths import MOST_ITEMS, REPORTED, Section, Step, join_path, split_path
from roadstead.kernel.errors import FieldProblem

ADDITIONAL, REQUIRED = "additionalProperties", "required"
RESERVED = frozenset({ADDITIONAL, REQUIRED})
"""Keys of a section that are no names: whether it takes others than it names, and which must be there."""
MAX_DEPTH = 20
"""Members within members that are filed one by one; what is deeper is one value."""
MOST_TEMPLATES = 100
"""Items of a list that have their sensors before they report."""

_MOST_BACKTRACKS = 10_000
_MOST_LEAVES = 1_000
_MOST_PROBLEMS = 100
_MOST_DETAIL = 300

Schema: TypeAlias = Mapping[str, Any] | bool


class Leaf(StrEnum):
    """What the sensor of a value holds."""

    DOUBLE = "DOUBLE"
    BIGINT = "BIGINT"
    BOOLEAN = "BOOLEAN"
    TEXT = "TEXT"
    JSON = "JSON"
    """Text in which a value stands as JSON: one of several types, of any, null, or a list of objects."""

    @property
    def value_type(self) -> ValueType:
        """Of the sensor."""
        return ValueType.TEXT if self is Leaf.JSON else ValueType(self.value)


class _Validator(Protocol):
    def is_valid(self, instance: Any) -> bool: ...
    def iter_errors(self, instance: Any) -> Iterator[jsonschema_rs.ValidationError]: ...


class TypeSchema:
    """The sections of a device type, compiled. Worth keeping: making one takes a while."""

    def __init__(self, sections: Mapping[str, Mapping[str, Any]]) -> None:
        """Sections that `check_sections` has found right."""
        self._sections = {Section(name): section for name, section in sections.items()}
        self._validators: dict[tuple[Section, str], _Validator] = {}

    def problems(self, section: Section, value: Mapping[str, Any], *, partial: bool = False) -> list[str]:
        """Everything that is wrong with an object of values by name; nothing when it fits.

        A partial one need not have what the section requires.
        """
        told = self._sections.get(section, {})
        found: list[str] = []
        for name, one in value.items():
            if name not in told or name in RESERVED:
                if told.get(ADDITIONAL) is not True:
                    found.append(f"{section}.{name} is not declared in the device type"[:_MOST_DETAIL])
            else:
                found += self._problems_of(section, name, one)
        if not partial:
            found += [f"{section}.{name} is required" for name in told.get(REQUIRED, ()) if name not in value]
        return found[:_MOST_PROBLEMS]

    def declares(self, section: Section, name: str) -> bool:
        """Whether a section takes a value of this name."""
        told = self._sections.get(section, {})
        return (name in told and name not in RESERVED) or told.get(ADDITIONAL) is True

    def leaf(self, path: str) -> Leaf | None:
        """What the sensor at a path holds; None where nothing is declared: it holds what comes."""
        section, steps = split_path(path)
        shape = _shape(self._schema_at(section, steps))
        return Leaf.JSON if isinstance(shape, _Composite) else shape

    def leaves(self) -> list[tuple[str, Leaf]]:
        """The sensors that are known beforehand, by path: the first 1,000."""
        found = (
            (join_path(section, steps), leaf)
            for section in REPORTED
            for name, schema in self._sections.get(section, {}).items()
            if name not in RESERVED
            for steps, leaf in _leaves((name,), schema)
        )
        return list(islice(found, _MOST_LEAVES))

    def flatten(self, section: Section, value: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """The values of a section, each with its path. What `nest` makes of them is what they were taken from.

        Objects are taken apart, and lists of one scalar type; everything else is a value as a whole.
        """
        told = self._sections.get(section, {})
        return [
            (join_path(section, steps), part)
            for name, one in value.items()
            for steps, part in _flatten((name,), None if name in RESERVED else told.get(name), one)
        ]

    def _problems_of(self, section: Section, name: str, value: Any) -> list[str]:
        validator = self._validators.get((section, name))
        if validator is None:
            validator = self._validators[section, name] = compile_schema(self._sections[section][name])
        if validator.is_valid(value):
            return []
        errors = islice(validator.iter_errors(value), _MOST_PROBLEMS)
        return [
            f"{'.'.join(map(str, (section, name, *error.instance_path)))}: {error.message}"[:_MOST_DETAIL]
            for error in errors
        ]

    def _schema_at(self, section: Section, steps: Sequence[Step]) -> Schema | None:
        told = self._sections.get(section, {})
        schema = None if steps[0] in RESERVED else told.get(str(steps[0]))
        for step in steps[1:]:
            schema = _item_of(schema) if isinstance(step, int) else _member_of(schema, step)
        return schema


def check_sections(sections: Mapping[str, Any], pointer: str) -> list[FieldProblem]:
    """What is wrong with the sections of a device type by themselves."""
    problems = []
    for name, section in sections.items():
        if name not in list(Section):
            known = ", ".join(Section)
            problems.append(FieldProblem(f"{pointer}/{name}", "invalid", f"is no section: there are {known}"))
        elif not isinstance(section, Mapping):
            problems.append(FieldProblem(f"{pointer}/{name}", "invalid", "is an object of JSON Schemas by name"))
        else:
            problems += _check_section(section, f"{pointer}/{name}")
    if b"\\u0000" in msgspec.json.encode(sections):
        problems.append(FieldProblem(pointer, "invalid", "must not contain NUL"))
    return problems


def _check_section(section: Mapping[str, Any], pointer: str) -> Iterator[FieldProblem]:
    if not isinstance(section.get(ADDITIONAL, False), bool):
        yield FieldProblem(f"{pointer}/{ADDITIONAL}", "invalid", "is true or false")
    names = section.get(REQUIRED, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        yield FieldProblem(f"{pointer}/{REQUIRED}", "invalid", "is a list of names")
    for name, schema in section.items():
        if name in RESERVED:
            continue
        try:
            compile_schema(schema)
        except (ValueError, TypeError) as error:
            detail = str(getattr(error, "message", None) or error)[:_MOST_DETAIL]
            yield FieldProblem(f"{pointer}/{name}", "invalid", f"is not a JSON Schema: {detail}")


def compile_schema(schema: Schema) -> _Validator:
    """A check of values. Raises `ValueError` for what is no schema of draft 7; nothing is fetched for it.

    Keywords and formats that the draft does not know are passed over.
    """
    if not isinstance(schema, Mapping | bool):
        raise ValueError("it is neither an object nor true or false")
    options = jsonschema_rs.FancyRegexOptions(backtrack_limit=_MOST_BACKTRACKS)
    plain: Any = dict(schema) if isinstance(schema, Mapping) else schema
    return jsonschema_rs.Draft7Validator(plain, offline=True, pattern_options=options)


# --- values and what is stored of them -------------------------------------------------------------------------------


def to_stored(leaf: Leaf | None, value: Any) -> Value:
    """A value as its sensor holds it."""
    if leaf is Leaf.JSON or not isinstance(value, bool | int | float | str):
        return msgspec.json.encode(value).decode()
    return value


def from_stored(leaf: Leaf | None, stored: Value) -> Any:
    """The value again. Where nothing is declared, text that reads as an object, a list or null is such."""
    if not isinstance(stored, str) or leaf not in (Leaf.JSON, None):
        return stored
    if leaf is None and not stored.startswith(("{", "[", "null")):
        return stored
    try:
        return msgspec.json.decode(stored)
    except msgspec.DecodeError:
        return stored


# --- shapes of schemas -----------------------------------------------------------------------------------------------


class _Composite(StrEnum):
    """What has values in it that are filed by themselves."""

    OBJECT = "object"
    LIST = "list"


_SCALARS = {
    "number": Leaf.DOUBLE,
    "integer": Leaf.BIGINT,
    "boolean": Leaf.BOOLEAN,
    "string": Leaf.TEXT,
}


def _shape(schema: Schema | None) -> Leaf | _Composite | None:
    """None: nothing is said about it."""
    if schema is None:
        return None
    if not isinstance(schema, Mapping):
        return Leaf.JSON
    kinds = schema.get("type")
    names = set(kinds) if isinstance(kinds, list) else {kinds}
    if names == {"number", "integer"}:
        return Leaf.DOUBLE
    if len(names) > 1:
        return Leaf.JSON
    kind = names.pop() if names else None
    if kind == "object" or (kind is None and isinstance(schema.get("properties"), Mapping)):
        return _Composite.OBJECT
    if kind == "array":
        item = _shape(_item_of(schema))
        return _Composite.LIST if isinstance(item, Leaf) and item is not Leaf.JSON else Leaf.JSON
    if kind is None:
        return _shape_of_choices(schema)
    return _SCALARS.get(str(kind), Leaf.JSON)


def _shape_of_choices(schema: Mapping[str, Any]) -> Leaf:
    choices = schema.get("enum", [schema["const"]] if "const" in schema else [])
    kinds = {type(choice) for choice in choices}
    if kinds == {int, float}:
        return Leaf.DOUBLE
    leaf = {str: Leaf.TEXT, bool: Leaf.BOOLEAN, int: Leaf.BIGINT, float: Leaf.DOUBLE}
    return leaf.get(kinds.pop(), Leaf.JSON) if len(kinds) == 1 else Leaf.JSON


def _member_of(schema: Schema | None, name: str) -> Schema | None:
    if not isinstance(schema, Mapping):
        return None
    member: Schema | None = schema.get("properties", {}).get(name)
    others = schema.get(ADDITIONAL)
    return others if member is None and isinstance(others, Mapping) else member


def _item_of(schema: Schema | None) -> Schema | None:
    items = schema.get("items") if isinstance(schema, Mapping) else None
    return items if isinstance(items, Mapping | bool) else None


def _leaves(steps: tuple[Step, ...], schema: Schema) -> Iterator[tuple[tuple[Step, ...], Leaf]]:
    shape = _shape(schema)
    if isinstance(shape, Leaf):
        yield steps, shape
    elif isinstance(schema, Mapping) and shape is _Composite.OBJECT and len(steps) < MAX_DEPTH:
        for name, member in schema.get("properties", {}).items():
            yield from _leaves((*steps, name), member)
    elif isinstance(schema, Mapping) and shape is _Composite.LIST:
        most, item = schema.get("maxItems"), _shape(_item_of(schema))
        if isinstance(most, int) and most <= MOST_TEMPLATES and isinstance(item, Leaf):
            yield from (((*steps, index), item) for index in range(most))


def _flatten(steps: tuple[Step, ...], schema: Schema | None, value: Any) -> Iterator[tuple[tuple[Step, ...], Any]]:
    shape = _shape(schema)
    if isinstance(value, dict) and value and shape in (None, _Composite.OBJECT) and len(steps) < MAX_DEPTH:
        for name, member in value.items():
            yield from _flatten((*steps, name), _member_of(schema, name), member)
    elif isinstance(value, list) and _is_split(shape, value):
        yield from (((*steps, index), item) for index, item in enumerate(value))
    else:
        yield steps, value


def _is_split(shape: Leaf | _Composite | None, items: Sequence[Any]) -> bool:
    if not 0 < len(items) <= MOST_ITEMS or shape not in (None, _Composite.LIST):
        return False
    return all(isinstance(item, bool | int | float | str) for item in items)
