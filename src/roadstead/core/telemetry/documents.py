"""Checks what devices say about a whole section of their type, for themselves or for another device. Pure."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from roadstead.core import types
from roadstead.core.messages import Reading, Uplink, Value
from roadstead.core.ports import Document, Refusal, RefusalReason
from roadstead.core.telemetry.replacing import find_removed
from roadstead.core.telemetry.rules import MOST_SENSORS, Described, KnownType, NewSensor, Refused, Rule
from roadstead.core.types import ProfileField, Section, TypeSchema, ValueType
from roadstead.kernel import ids
from roadstead.kernel.errors import FieldProblem

MOST_AHEAD_MS = 300_000

_MOST_DETAIL = 1_000
_MOST_PATH = 500
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_OPEN = TypeSchema({})
"""Takes values apart of which nothing is declared."""


class Sent(msgspec.Struct, frozen=True):
    """A document on its way in."""

    index: int
    """Of its uplink."""
    uplink: Uplink
    document: Document


class Checked(msgspec.Struct):
    """What became of it: readings, an event, or why it is refused."""

    device: bytes
    """The 12 free bytes of the id of the device it is about; of the sender, when there is no such device."""
    readings: list[Reading] = []
    removed: list[str] = []
    """Paths of values that the device has no longer."""
    new: list[tuple[NewSensor, Rule]] = []
    """Sensors that must come into being first."""
    is_event: bool = False
    refused: list[Refusal] = []


def check_document(
    sent: Sent, target: tuple[bytes, Described] | None, *, strict: bool = False, creates: bool = True
) -> Checked:
    """Check a document by what is known of the device it is about; None: there is none.

    `strict`: only the device that connects another one speaks for it. Without `creates` no sensor comes into being.
    """
    uplink, document = sent.uplink, sent.document
    if target is None:
        detail = f"there is no device {document.about}" if document.about else "the device does not exist any more"
        return _refuse(sent, uplink.device, RefusalReason.UNKNOWN_SENSOR, detail)
    device, described = target
    if strict and uplink.device not in (device, described.gateway):
        detail = "a device speaks here only for itself and for those it connects"
        sender = ids.from_bytes(uplink.device)
        theirs = _refuse(sent, device, RefusalReason.FORBIDDEN_TOPIC, f"{detail}: not {sender} for this one")
        checked = _refuse(sent, uplink.device, RefusalReason.FORBIDDEN_TOPIC, f"{detail}, not for {document.about}")
        checked.refused += theirs.refused
        return checked
    if not 0 <= document.at <= uplink.received + MOST_AHEAD_MS:
        ahead = "is more than five minutes ahead" if document.at > 0 else "lies before 1970"
        return _refuse(sent, device, RefusalReason.BAD_TIMESTAMP, f"the time {ahead}")
    if _NUL.search(uplink.payload):
        return _refuse(sent, device, RefusalReason.MALFORMED, "must not contain NUL")
    if document.section == Section.EVENTS:
        return _check_event(sent, device, described.type)
    return _check_values(sent, device, described, creates=creates)


def _check_event(sent: Sent, device: bytes, known: KnownType | None) -> Checked:
    event, value = sent.document.event, sent.document.value
    if known is not None:
        if not known.schema.declares(Section.EVENTS, event):
            detail = f"events.{event} is not declared in the device type"
            return _refuse(sent, device, RefusalReason.UNKNOWN_SENSOR, detail, [detail])
        # An event that carries nothing need not fit.
        problems = known.schema.problems(Section.EVENTS, {event: value}, partial=True) if value is not None else []
        if problems:
            return _refuse(sent, device, RefusalReason.TYPE_MISMATCH, problems[0], problems)
    return Checked(device, is_event=True)


def _check_values(sent: Sent, device: bytes, described: Described, *, creates: bool) -> Checked:
    section, value, known = Section(sent.document.section), sent.document.value, described.type
    if known is not None:
        problems = known.schema.problems(section, value, partial=True)
        if problems:
            is_known = any(known.schema.declares(section, name) for name in value)
            reason = RefusalReason.TYPE_MISMATCH if is_known else RefusalReason.UNKNOWN_SENSOR
            return _refuse(sent, device, reason, problems[0], problems)
    checked, faults = Checked(device), list[tuple[Refused, str]]()
    schema = known.schema if known is not None else _OPEN
    for path, part in schema.flatten(section, value):
        try:
            taken, sensor = _take(described, path, part)
            if isinstance(sensor, NewSensor):
                checked.new.append((sensor, _rule_for(sensor, taken)))
        except Refused as error:
            faults.append((error, f"{types.spell_json_path(path)[2:][:_MOST_PATH]}: {error.detail}"))
            continue
        checked.readings.append(Reading(sensor.path, sent.document.at, taken, sent.document.meta))
    if len(checked.new) > MOST_SENSORS - len(described.rules):
        fault = Refused(RefusalReason.TOO_LARGE, f"a device can have {MOST_SENSORS} values")
        faults.append((fault, fault.detail))
    elif checked.new and not creates:
        fault = Refused(RefusalReason.UNKNOWN_SENSOR, "the device has no such value, and it could not be made")
        faults.append((fault, fault.detail))
    if faults:
        return _refuse(sent, device, faults[0][0].reason, faults[0][1], [text for _, text in faults])
    if sent.document.replaces:
        said = [reading.path for reading in checked.readings if reading.value != "{}"]
        kept = {reading.path for reading in checked.readings}
        lost = find_removed(sent.document.removed, said, [rule.path for rule in described.rules])
        checked.removed = [path for path in lost if path not in kept]
    return checked


def _take(described: Described, path: str, value: object) -> tuple[Value, Rule | NewSensor]:
    """A value as it is stored, and the sensor that holds it. Raises `Refused`."""
    rule = described.rule_at(path)
    leaf = described.type.leaf(path) if described.type is not None else None
    stored = types.to_stored(leaf, value)
    if leaf is not None:
        value_type = leaf.value_type
    elif described.type is None and rule is not None:
        value_type = rule.field.value_type  # it was described natively: what that says holds here, too
    else:
        value_type = _type_of(stored)
    taken = types.read_value(stored, value_type)
    if taken is None:
        raise Refused(RefusalReason.TYPE_MISMATCH, f"{stored!r} does not fit into a {value_type}"[:_MOST_DETAIL])
    if rule is None:
        return taken, _suggest(described, path)
    if not rule.active:
        raise Refused(RefusalReason.UNKNOWN_SENSOR, "its sensor is not active any more")
    if rule.field.value_type is value_type and value_type is not ValueType.TEXT:
        rule.take(taken)  # its sensor may have bounds of its own
    return taken, rule


def _suggest(described: Described, path: str) -> NewSensor:
    """The sensor that would hold a value for which there is none yet. Raises `Refused` when none may come."""
    if len(path) > _MOST_PATH:
        raise Refused(RefusalReason.TOO_LARGE, f"a name may have {_MOST_PATH} characters, with those above it")
    if described.type is None:
        key = path.partition(".")[0]
        if any(component.key == key for component in described.components):
            # Its profile says what is in it.
            found = described.find(path)
            if isinstance(found, NewSensor):
                return found
            raise Refused(RefusalReason.TYPE_MISMATCH, "is a component, or a list of one: its profile has other values")
        if not described.creates:
            raise Refused(RefusalReason.UNKNOWN_SENSOR, "the device has no such sensor")
    return NewSensor(path=path, key=path.rpartition("/")[2])


def _rule_for(sensor: NewSensor, taken: Value) -> Rule:
    """As its profile says, else what this value is."""
    if sensor.component is not None:
        rule = sensor.rule_for(taken)
        rule.take(taken)
        return rule
    return Rule.of(sensor.path, ProfileField(name=sensor.key, value_type=_type_of_taken(taken)))


def _type_of(value: Value) -> ValueType:
    """Of a value of which nothing is declared."""
    match value:
        case bool():
            return ValueType.BOOLEAN
        case str():
            return ValueType.TEXT
    return ValueType.DOUBLE


def _type_of_taken(value: Value) -> ValueType:
    return ValueType.BIGINT if type(value) is int else _type_of(value)


def _refuse(sent: Sent, device: bytes, reason: RefusalReason, detail: str, problems: Sequence[str] = ()) -> Checked:
    refusal = Refusal(
        reason,
        detail[:_MOST_DETAIL],
        sent.uplink.payload,
        problems=tuple(_problems(reason, problems)),
        whole=True,
        device=device if device != sent.uplink.device else b"",
    )
    return Checked(device, refused=[refusal])


def _problems(reason: RefusalReason, texts: Sequence[str]) -> Iterator[FieldProblem]:
    for text in texts:
        yield FieldProblem("/value", reason, text)
