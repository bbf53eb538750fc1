"""The types of commands, and whether a command fits its type."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn

import jsonschema_rs
import msgspec

from roadstead.core.commands.model import CommandDraft, Target, refuse
from roadstead.core.types import ProfileField
from roadstead.kernel.errors import FieldProblem

_UPDATE_CONFIG = "UPDATE_CONFIG"
_TEXT = {"type": "string", "minLength": 1}

BUILT_IN: Mapping[str, dict[str, Any]] = {
    "REBOOT": {
        "type": "object",
        "properties": {"delaySeconds": {"type": "integer", "minimum": 0, "maximum": 86_400}},
        "additionalProperties": False,
    },
    _UPDATE_CONFIG: {"type": "object", "minProperties": 1},
    "UPDATE_FIRMWARE": {
        "type": "object",
        "properties": {"firmwareId": _TEXT, "version": _TEXT, "url": _TEXT},
        "minProperties": 1,
    },
    "BIND_CONFIG_ARTEFACT": {
        "type": "object",
        "properties": {"artefactId": _TEXT, "artefactName": _TEXT, "componentKey": _TEXT},
        "required": ["artefactName"],
    },
    "UNBIND_CONFIG_ARTEFACT": {
        "type": "object",
        "properties": {"artefactName": _TEXT, "componentKey": _TEXT},
        "required": ["artefactName"],
    },
}
"""What every device may be told, with the JSON Schema of the parameters."""

_MOST_PROBLEMS = 20
_MISSING = re.compile(r'^"(.+)" is a required property$')


class CommandType(msgspec.Struct, frozen=True):
    """Something devices can be told."""

    type: str
    schema: dict[str, Any]
    """JSON Schema of the parameters."""
    profile: str | None = None
    """The device profile (`key@major.minor`) that has it; None for what is built in."""


def check_fit(draft: CommandDraft, target: Target, root: str = "") -> None:
    """Raises `Invalid` when the device does not know the type, or the parameters do not fit.

    Pointers begin with `root`. A type of the device's profile goes before a built-in one of the same name.
    UPDATE_CONFIG of a device that has a profile takes its writable fields and nothing else.
    """
    schema = next((known.params_schema for known in target.commands if known.type == draft.type), None)
    if schema is None and draft.type in BUILT_IN:
        schema = BUILT_IN[draft.type]
        if draft.type == _UPDATE_CONFIG and target.profile is not None and isinstance(draft.payload, dict):
            fields = {field.name: field for field in target.writable_fields}
            _check_writable(draft.payload, fields, target.profile, f"{root}/params")
    if schema is None:
        of = f"the profile {target.profile}" if target.profile else "a device without profile"
        detail = f"is neither built in ({', '.join(BUILT_IN)}) nor a command of {of}"
        refuse([FieldProblem(f"{root}/type", "invalid", detail)])
    else:
        _check_schema(draft.payload, schema, f"{root}/params")


def _check_writable(values: Mapping[str, object], fields: Mapping[str, ProfileField], profile: str, root: str) -> None:
    problems = []
    for name, value in values.items():
        field = fields.get(name)
        if field is None:
            problems.append(FieldProblem(_pointer(root, name), "invalid", f"is not a writable field of {profile}"))
            continue
        items = value if field.array_size is not None and isinstance(value, list) else [value]
        if field.array_size is not None and (not isinstance(value, list) or len(value) != field.array_size):
            detail = f"is not a list of {field.array_size} values"
            problems.append(FieldProblem(_pointer(root, name), "invalid", detail))
            continue
        found = (field.check_value(item, _pointer(root, name)) for item in items)
        problems += [FieldProblem(problem.pointer, "invalid", problem.detail) for problem in found if problem]
    refuse(problems[:_MOST_PROBLEMS])


def _check_schema(payload: object, schema: dict[str, Any], root: str) -> None:
    try:
        validator = _compile(msgspec.json.encode(schema))
    except ValueError as error:
        detail = f"cannot be checked, because the schema in the device profile is of no use: {_first_line(error)}"
        refuse([FieldProblem(root, "invalid", detail)])
        return
    problems = []
    for found in validator.iter_errors(payload):
        missing = _MISSING.match(found.message)
        path = [*found.instance_path, *([missing.group(1)] if missing else [])]
        code, detail = ("required", "is required") if missing else ("invalid", found.message[:200])
        problems.append(FieldProblem(_pointer(root, *path), code, detail))
        if len(problems) == _MOST_PROBLEMS:
            break
    refuse(problems)


@lru_cache(maxsize=256)
def _compile(schema: bytes) -> Any:
    # Schemas come from users: nothing is fetched for them, and their patterns take linear time.
    return jsonschema_rs.validator_for(
        msgspec.json.decode(schema), retriever=_fetch_nothing, pattern_options=jsonschema_rs.RegexOptions()
    )


def _fetch_nothing(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not in the schema itself")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _pointer(root: str, *path: object) -> str:
    return root + "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
