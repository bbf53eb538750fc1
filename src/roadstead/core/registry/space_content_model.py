"""What values that programs share are, and readmes."""

import re
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.kernel.actor import ActorKind
from roadstead.kernel.errors import FieldProblem, Invalid

MOST_GLOBALS = 100
_KEY = re.compile(r"[0-9a-zA-Z_-]{1,255}")


class Global(msgspec.Struct, frozen=True, kw_only=True):
    """A value that the programs of a space share."""

    key: str
    value: str
    """JSON, as it was written."""
    cloud_only: bool = False
    """Nothing for programs that run outside of the platform."""
    description: str | None = None


class GlobalChange(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be different about one; what is UNSET stays."""

    key: str
    value: str | UnsetType | None = UNSET
    """None: it shall go."""
    cloud_only: bool | UnsetType = UNSET
    description: str | UnsetType = UNSET


class Readme(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wrote about a space, and who."""

    content: str
    updated_at: datetime
    updated_by: UUID
    updated_by_kind: ActorKind


def check_globals(wanted: Sequence[Global]) -> None:
    """Raises `Invalid` with everything that is wrong with them."""
    if len(wanted) > MOST_GLOBALS:
        raise Invalid.field("/globals", f"may not be more than {MOST_GLOBALS}")
    problems = []
    seen = set[str]()
    for index, each in enumerate(wanted):
        if not _KEY.fullmatch(each.key):
            detail = "takes 1 to 255 letters, digits, '-' and '_'"
            problems.append(FieldProblem(f"/globals/{index}/key", "invalid", detail))
        if each.key in seen:
            problems.append(FieldProblem(f"/globals/{index}/key", "invalid", f"'{each.key}' is there twice"))
        seen.add(each.key)
        if not _is_json(each.value):
            problems.append(FieldProblem(f"/globals/{index}/json", "invalid", f"of '{each.key}' is not JSON"))
    if problems:
        told = "; ".join(f"{each.pointer.strip('/').replace('/', '.')}: {each.detail}" for each in problems)
        raise Invalid(told, fields=problems)


def applied(before: Sequence[Global], changes: Sequence[GlobalChange]) -> list[Global]:
    """What they are after the changes, new ones last. Raises `Invalid` for a new one without a value."""
    after = {each.key: each for each in before}
    for index, change in enumerate(changes):
        if change.value is None:
            after.pop(change.key, None)
            continue
        known = after.get(change.key)
        if known is None and change.value is UNSET:
            raise Invalid.field(f"/globals/{index}/json", f"is required: there is no '{change.key}' yet")
        known = known or Global(key=change.key, value="")
        sent = {
            name: value
            for name in ("value", "cloud_only", "description")
            if (value := getattr(change, name)) is not UNSET
        }
        after[change.key] = msgspec.structs.replace(known, **sent)
    return list(after.values())


def _is_json(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
