"""How values of a device type are filed: paths of sensors, state and telemetry, and the JSON paths that name them.

Attributes lie at `people`, `air.co2`, `zones[0]`; the configuration beside them at `configuration/interval`. The marks
that paths are made of are `~0` to `~5` in a name. A slash is as good as a dot: `motor/temperature`, a sensor of a
component, is `motor.temperature` here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

Step: TypeAlias = str | int
"""The name of a member, or the index of an item."""


class Section(StrEnum):
    """The parts of a device type's schema."""

    ATTRIBUTES = "attributes"
    CONFIGURATION = "configuration"
    EVENTS = "events"
    ACTIONS = "actions"


REPORTED = (Section.ATTRIBUTES, Section.CONFIGURATION)
"""Those that have paths."""

_CONFIGURATION = "configuration/"
_ESCAPES = {"~": "~0", "/": "~1", ".": "~2", "[": "~3", "]": "~4", "$": "~5"}
_EMPTY = "~6"
_ESCAPED = re.compile(r"[~/.\[\]$]")
_ESCAPE = re.compile(r"~[0-5]")
_PLAIN = {spelled: letter for letter, spelled in _ESCAPES.items()}
_PART = re.compile(r"(.+?)((?:\[\d{1,6}\])*)", re.DOTALL)
_INDEX = re.compile(r"\[(\d+)\]")
_JSON_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,6})\]|\['([^']*)'\]|\["([^"]*)"\]""")
_SIMPLE = re.compile(r"[^.\[\]'\"]+")
MOST_ITEMS = 1_000
"""Items of a list that are filed one by one; a longer list is one value."""


def join_path(section: Section, steps: Sequence[Step]) -> str:
    """Where a value lies."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{_escape(step)}" for step in steps)[1:]
    return _CONFIGURATION + path if section is Section.CONFIGURATION else path


def split_path(path: str) -> tuple[Section, tuple[Step, ...]]:
    """What lies at a path; every path of a sensor is one."""
    section = Section.CONFIGURATION if path.startswith(_CONFIGURATION) else Section.ATTRIBUTES
    steps: list[Step] = []
    for part in re.split(r"[./]", path.removeprefix(_CONFIGURATION) if section is Section.CONFIGURATION else path):
        found = _PART.fullmatch(part)
        steps.append(_unescape(found.group(1) if found else part))
        steps += [int(index) for index in _INDEX.findall(found.group(2))] if found else []
    return section, tuple(steps)


def parse_json_path(text: str) -> str | None:
    """The path that `$.attributes.air.co2` names; None when it names none, or more than one."""
    steps: list[Step] = []
    position = 1
    while position < len(text):
        found = _JSON_STEP.match(text, position)
        if found is None:
            return None
        name, index, quoted, double = found.groups()
        steps.append(int(index) if index is not None else name or quoted or double or "")
        position = found.end()
    if not text.startswith("$.") or len(steps) < 2 or steps[0] not in REPORTED or isinstance(steps[1], int):
        return None
    return join_path(Section(str(steps[0])), steps[1:])


def spell_json_path(path: str) -> str:
    """The JSON path of what lies there."""
    section, steps = split_path(path)
    return f"$.{section}" + "".join(_spell_step(step) for step in steps)


def spellings(path: str) -> list[str]:
    """All paths under which sensors may lie that this one names: with a slash for one of its dots, or for none."""
    if path.startswith(_CONFIGURATION):
        return [path]
    dots = [index for index, letter in enumerate(path) if letter == "."]
    found = [path, *(f"{path[:dot]}/{path[dot + 1 :]}" for dot in dots)]
    return [one for one in found if not one.startswith(_CONFIGURATION)]


def nest(pairs: Iterable[tuple[str, Any]]) -> dict[Section, dict[str, Any]]:
    """Values by path as the objects they are parts of. Where a value lies in the way of others, these are shown."""
    trees: dict[Section, dict[Step, Any]] = {section: {} for section in REPORTED}
    for path, value in pairs:
        section, steps = split_path(path)
        _put(trees[section], steps, _Value(value))
    return {section: {str(step): _grow(part) for step, part in tree.items()} for section, tree in trees.items()}


class _Value:
    """Set apart from the tree it hangs in: it may be an object itself."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _put(tree: dict[Step, Any], steps: Sequence[Step], value: _Value) -> None:
    *way, last = steps
    for step in way:
        below = tree.get(step)
        if not isinstance(below, dict):
            below = tree[step] = {}
        tree = below
    if not isinstance(tree.get(last), dict):
        tree[last] = value


def _grow(part: "_Value | Mapping[Step, Any]") -> Any:
    if isinstance(part, _Value):
        return part.value
    if all(isinstance(step, int) and step < MOST_ITEMS for step in part):
        items = [None] * (max(int(step) for step in part) + 1)
        for step, below in part.items():
            items[int(step)] = _grow(below)
        return items
    return {str(step): _grow(below) for step, below in part.items()}


def _escape(name: str) -> str:
    return _ESCAPED.sub(lambda found: _ESCAPES[found.group()], name) or _EMPTY


def _unescape(name: str) -> str:
    return "" if name == _EMPTY else _ESCAPE.sub(lambda found: _PLAIN[found.group()], name)


def _spell_step(step: Step) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if _SIMPLE.fullmatch(step):
        return f".{step}"
    return f"['{step}']" if "'" not in step else f'["{step}"]'
