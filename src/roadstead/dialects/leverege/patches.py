"""Changes: a list of `{op, path, value}` with paths without a slash in front, or a partial object that is merged."""

import copy
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from roadstead.kernel.errors import Invalid
from roadstead.web.bodies import read_as

T = TypeVar("T", bound=msgspec.Struct)


class PatchWord(StrEnum):
    """What a step does."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"


class PatchOp(msgspec.Struct, frozen=True):
    """One of `PatchOps`."""

    op: PatchWord
    path: str
    value: Any = None


def patched(before: T, body: Any) -> T:
    """What something is like afterwards, as a whole. Raises `Invalid` with the name of the field.

    Of a partial object, members that nothing can be done about are passed over: programs send back what they read.
    """
    names = [field.encode_name for field in msgspec.structs.fields(before)]
    for step in read_as(body, list[PatchOp]) if isinstance(body, list) else ():
        name = step.path.removeprefix("/").partition("/")[0]
        if name not in names:
            raise Invalid.field(name, f"cannot be changed: there are {', '.join(names)}")
    return read_as(apply_patch(msgspec.to_builtins(before), body), type(before))


def apply_patch(before: dict[str, Any], body: Any) -> dict[str, Any]:
    """An object after a change. null in a partial object takes a member away."""
    if isinstance(body, dict):
        return merge_into(before, body)
    after = copy.deepcopy(before)
    for index, step in enumerate(read_as(body, list[PatchOp])):
        _apply(after, step, index)
    return after


def merge_into(before: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Objects are merged, everything else is replaced."""
    after = dict(before)
    for name, value in body.items():
        there = after.get(name)
        if value is None:
            after.pop(name, None)
        elif isinstance(value, dict):
            after[name] = merge_into(there if isinstance(there, dict) else {}, value)
        else:
            after[name] = value
    return after


def _apply(tree: dict[str, Any], step: PatchOp, index: int) -> None:
    *way, last = step.path.removeprefix("/").split("/")
    place = tree
    for name in way:
        below = place.get(name)
        if below is None and step.op is not PatchWord.REMOVE:
            below = place[name] = {}
        if below is None:
            return
        if not isinstance(below, dict):
            raise Invalid.field(f"{index}/path", f"'{name}' of '{step.path}' is no object")
        place = below
    if step.op is PatchWord.REMOVE or step.value is None:
        place.pop(last, None)
    else:
        place[last] = step.value
