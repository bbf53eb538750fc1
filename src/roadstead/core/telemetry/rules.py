"""What a device's values must be, and what it may call its sensors. Pure."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core import types
from roadstead.core.messages import Value
from roadstead.core.ports import RefusalReason
from roadstead.core.types import Leaf, ProfileField, SensorProfile, SensorTemplate, TypeSchema, ValueType
from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.ids import ComponentId, TenantId, parse_uuid

MOST_SENSORS = 1000
"""How many sensors a device can have by reporting them."""

_MOST_DETAIL = 1000
_MOST_LEAVES = 10_000
_LONGEST_NAME = 255
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_KINDS: dict[type, ValueType] = {
    float: ValueType.DOUBLE,
    int: ValueType.BIGINT,
    bool: ValueType.BOOLEAN,
    str: ValueType.TEXT,
}
_PYTHON: dict[ValueType, type] = {value_type: kind for kind, value_type in _KINDS.items()}


class Refused(Exception):
    """A value that is not taken, with the reason."""

    def __init__(self, reason: RefusalReason, detail: str, problems: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.problems = problems


class TextForm(StrEnum):
    """Texts that stand for something."""

    GPS = "gps"
    """A place, as `latitude,longitude` in degrees."""
    BLOB = "blob"
    """A file, by the checksum of its content."""


class Rule(msgspec.Struct, frozen=True):
    """What a value of one path must be. Devices that are alike share their rules."""

    path: str
    field: ProfileField
    """Type, range and choices; of a profile, or just what the sensor says for itself."""
    active: bool
    python: type[Any]
    """The type that needs no conversion."""
    low: float
    high: float
    open: bool
    """A value of that type from `low` to `high` is right without another look."""
    form: TextForm | None = None
    """What its text must look like, if that is not for the device to say."""
    name: str = ""
    """What it is called as an attribute."""
    computed: bool = False
    """Its values are worked out from those of other devices: nobody reports them."""

    @classmethod
    def of(
        cls,
        path: str,
        field: ProfileField,
        *,
        active: bool = True,
        form: TextForm | None = None,
        name: str = "",
        computed: bool = False,
    ) -> "Rule":
        """The rule with everything that follows from these."""
        least, most = (-(2**63), 2**63 - 1) if field.value_type is ValueType.BIGINT else (-math.inf, math.inf)
        return cls(
            path,
            field,
            active,
            _PYTHON[field.value_type],
            least if field.min is None or field.min < least else field.min,
            most if field.max is None or field.max > most else field.max,
            active and field.enum is None and field.value_type is not ValueType.TEXT,
            form,
            name,
            computed,
        )

    def take(self, value: object) -> Value:
        """The value as it is stored; raises `Refused`."""
        if not self.active:
            raise Refused(RefusalReason.UNKNOWN_SENSOR, "the sensor is not active any more")
        problem = self.field.check_value(value, "")
        taken = types.read_value(value, self.field.value_type)
        if problem is not None or taken is None:
            raise Refused(*_told(problem, value))
        return taken


class Component(msgspec.Struct, frozen=True):
    """A component of a device."""

    id: ComponentId
    key: str
    profile: SensorProfile
    sensors: Mapping[str, SensorTemplate]
    """By key: those that the profile gives it."""
    slots: Mapping[str, str] = {}
    """What its device may call fields on the wire: the name of the field for each slot."""

    def field(self, name: str) -> ProfileField | None:
        """The field of its profile."""
        return next((field for field in self.profile.fields if field.name == name), None)

    def has(self, name: str) -> bool:
        """Whether this is one of its sensors, or the field that several of them make up."""
        return name in self.sensors or self.field(name) is not None

    def spread(self, payload: Mapping[str, Any]) -> list[tuple[str, Value]]:
        """A structured payload as (path, value) of each sensor. Raises `Refused` when any of it does not fit."""
        if self.slots:
            named = {self.slots.get(name, name): value for name, value in payload.items()}
            if len(named) < len(payload):
                raise Refused(RefusalReason.MALFORMED, "a field is there twice, by its name and by its slot")
            payload = named
        return _spread(self.key, self.profile, payload)

    def spread_field(self, field: ProfileField, value: object) -> list[tuple[str, Value]]:
        """The same for one field alone."""
        return _spread(self.key, msgspec.structs.replace(self.profile, fields=[field]), {field.name: value})


class NewSensor(msgspec.Struct, frozen=True, kw_only=True):
    """A sensor that is not there yet and may come into being."""

    path: str
    key: str
    component: Component | None = None
    template: SensorTemplate | None = None

    def rule_for(self, value: object) -> Rule:
        """As its profile says, else by the type of the value. Raises `Refused` for what no sensor can carry."""
        if self.component is not None and self.template is not None:
            return template_rule(self.component, self.template)
        kind = _KINDS.get(type(value))
        if kind is None:
            raise Refused(RefusalReason.TYPE_MISMATCH, "neither a number, a boolean nor a text")
        return Rule.of(self.path, ProfileField(name=self.key, value_type=kind))


class ListField(msgspec.Struct, frozen=True):
    """A field of a component that takes a list; each item is a sensor."""

    component: Component
    field: ProfileField


class KnownType(msgspec.Struct, frozen=True):
    """The device type of a device that has one. Devices of one type share it."""

    id: UUID
    schema: TypeSchema
    leaves: dict[str, Leaf | None] = {}
    """What the sensors at paths hold, as far as devices have used these: filled by `leaf`."""

    def leaf(self, path: str) -> Leaf | None:
        """What the sensor at a path holds; None where nothing is declared."""
        try:
            return self.leaves[path]
        except KeyError:
            if len(self.leaves) >= _MOST_LEAVES:
                self.leaves.clear()
            leaf = self.leaves[path] = self.schema.leaf(path)
            return leaf


Form = tuple[str | tuple[str, ...], ...]
"""How a message looks: what it calls each of its values; for an object also the names in it, in their order."""


class Described(msgspec.Struct):
    """All that is known of one device for checking what it reports."""

    tenant: TenantId
    creates: bool
    """Whether sensors that no profile describes come into being; else they are refused."""
    rules: tuple[Rule, ...] = ()
    sensor_ids: bytes = b""
    """The ids of the sensors, 16 bytes each, in the order of `rules`."""
    components: tuple[Component, ...] = ()
    refs: dict[str, Rule] = {}
    """What the device calls its sensors, as far as it has used it: filled by `find`."""
    shapes: dict[Form, Any] = {}
    """What messages must be that look so, as far as the device has sent some: filled by `Shapes`."""
    type: KnownType | None = None
    aliases: tuple[str, ...] = ()
    gateway: bytes = b""
    """The 12 free bytes of the id of the device that connects it."""
    parents: tuple[bytes, ...] = ()
    """The 12 free bytes of the ids of devices that shall have what this one reports, too."""
    places: dict[str, Rule] = {}
    """The rules by path: filled when a document asks for one."""
    organization: UUID | None = None
    """Whose it is, as files are told apart."""
    named: dict[str, Rule] = {}
    """The rules by the names of attributes: filled by `find_attribute`."""
    named_shapes: dict[Form, Any] = {}
    """The same as `shapes`, of messages that name attributes."""

    def rule_at(self, path: str) -> Rule | None:
        """The rule of the sensor that lies there, see `types.spellings`."""
        if not self.places:
            self.places.update((rule.path, rule) for rule in self.rules)
        rule = self.places.get(path)
        if rule is None and "." in path:
            others = (self.places.get(spelling) for spelling in types.spellings(path))
            rule = next((other for other in others if other is not None), None)
        return rule

    def find_attribute(self, name: str) -> Rule:
        """The rule of the sensor that has this name as an attribute. Raises `Refused`."""
        if not self.named and self.rules:
            self.named.update(_name_apart([rule for rule in self.rules if rule.active]))
        rule = self.named.get(name)
        if rule is None:
            raise Refused(RefusalReason.UNKNOWN_SENSOR, "the device has no such attribute")
        if rule.computed:
            raise Refused(RefusalReason.UNKNOWN_SENSOR, "the attribute is worked out here, from those of other devices")
        return rule

    def find(self, ref: str) -> Rule | Component | ListField | NewSensor:
        """What `ref` names: a sensor by id, path, `component.key` or its key alone; a component by id or key.

        A field may be called by its slot wherever its name may stand.

        Raises `Refused` when it names nothing and nothing of that name may come into being.
        """
        rule = self.refs.get(ref)
        if rule is not None:
            return rule
        id_ = parse_uuid(ref)
        rule = self._find_sensor(ref) if id_ is None else self._find_sensor_id(id_)
        if rule is not None:
            self.refs[ref] = rule
            return rule
        component = self._find_component(ref, id_)
        if component is not None:
            return component
        if id_ is not None:
            raise Refused(RefusalReason.UNKNOWN_SENSOR, "the device has no sensor of this id")
        named = self._name(ref)
        if named is not None:
            rule = self._find_sensor(named)
            if rule is not None:
                self.refs[ref] = rule
                return rule
            ref = named
        return self._find_field(ref) or self._suggest(ref)

    def _find_sensor_id(self, id_: UUID) -> Rule | None:
        wanted = id_.bytes
        for index, rule in enumerate(self.rules):
            if self.sensor_ids[16 * index : 16 * index + 16] == wanted:
                return rule
        return None

    def _find_sensor(self, ref: str) -> Rule | None:
        alike = []
        for rule in self.rules:
            head, slash, tail = rule.path.partition("/")
            if ref == rule.path or (slash and ref == f"{head}.{tail}"):
                return rule
            if slash and ref == tail:
                alike.append(rule)
        return alike[0] if len(alike) == 1 else None

    def _name(self, ref: str) -> str | None:
        """`component.field` for what names a slot."""
        homes = []
        for component in self.components:
            if ref in component.slots:
                homes.append(f"{component.key}.{component.slots[ref]}")
            elif ref[: len(component.key) + 1] in (f"{component.key}/", f"{component.key}."):
                field = component.slots.get(ref[len(component.key) + 1 :])
                if field is not None:
                    return f"{component.key}.{field}"
        if len(homes) > 1:
            detail = f"several components have such a slot: say {', '.join(sorted(homes))}"
            raise Refused(RefusalReason.UNKNOWN_SENSOR, detail[:_MOST_DETAIL])
        return homes[0] if homes else None

    def _find_component(self, key: str, id_: UUID | None) -> Component | None:
        return next((component for component in self.components if key == component.key or id_ == component.id), None)

    def _find_field(self, ref: str) -> ListField | NewSensor | None:
        for component in sorted(self.components, key=lambda component: -len(component.key)):
            for mark in "/.":
                if ref.startswith(component.key + mark):
                    return _part_of(component, ref[len(component.key) + 1 :])
        homes = [component for component in self.components if component.has(ref)]
        if len(homes) == 1:
            return _part_of(homes[0], ref)
        if homes:
            names = ", ".join(f"{component.key}.{ref}" for component in homes)
            raise Refused(RefusalReason.UNKNOWN_SENSOR, f"several components have it: say {names}"[:_MOST_DETAIL])
        return None

    def _suggest(self, ref: str) -> NewSensor:
        if not self.creates:
            raise Refused(RefusalReason.UNKNOWN_SENSOR, "the device has no such sensor")
        if not _KEY.fullmatch(ref):
            raise Refused(RefusalReason.UNKNOWN_SENSOR, "no component of the device, and no possible name of a sensor")
        return NewSensor(path=ref, key=ref)


def _name_apart(rules: Sequence[Rule]) -> Iterator[tuple[str, Rule]]:
    """Each with the name of its attribute: of two that would be called the same, the second has a number."""
    taken: set[str] = set()
    for rule in sorted(rules, key=lambda rule: (rule.name, rule.path)):
        name, number = rule.name, 2
        while name in taken:
            mark = f"_{number}"
            name, number = rule.name[: _LONGEST_NAME - len(mark)] + mark, number + 1
        taken.add(name)
        yield name, rule


def template_rule(component: Component, template: SensorTemplate) -> Rule:
    """The rule of a sensor that a component has because of its profile."""
    field = component.field(template.field)
    if field is None:
        field = ProfileField(name=template.key, value_type=template.value_type, min=template.min, max=template.max)
    return Rule.of(f"{component.key}/{template.key}", field)


def _part_of(component: Component, name: str) -> NewSensor | ListField:
    template = component.sensors.get(name)
    if template is not None:
        return NewSensor(path=f"{component.key}/{name}", key=name, component=component, template=template)
    field = component.field(name)
    if field is not None:
        return ListField(component, field)
    detail = f"the profile {component.profile.reference} of component {component.key} has no such field"
    raise Refused(RefusalReason.UNKNOWN_SENSOR, detail)


def _spread(key: str, profile: SensorProfile, payload: Mapping[str, Any]) -> list[tuple[str, Value]]:
    problems = profile.check(payload)
    if problems:
        detail = "; ".join(f"{problem.pointer[1:]}: {problem.detail}" for problem in problems)
        raise Refused(RefusalReason(problems[0].code), detail[:_MOST_DETAIL], tuple(problems))
    values = []
    for field in profile.fields:
        sent = payload.get(field.name)
        items = sent if field.array_size is not None and isinstance(sent, list) else [sent]
        for name, item in zip(field.sensor_keys(), items, strict=False):
            value = types.read_value(item, field.value_type)
            if value is not None:
                values.append((f"{key}/{name}", value))
    return values


def _told(problem: FieldProblem | None, value: object) -> tuple[RefusalReason, str]:
    if problem is None:
        return RefusalReason.TYPE_MISMATCH, f"{value!r} does not fit"
    return RefusalReason(problem.code), problem.detail
