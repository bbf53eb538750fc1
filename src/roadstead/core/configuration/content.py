"""Contents of artefacts: one spelling for the same JSON, its hash, its schema, and how two of them differ."""

import hashlib
from collections.abc import Mapping
from typing import Any

import jsonpatch
import jsonschema_rs
import msgspec
import rfc8785

from roadstead.kernel.errors import FieldProblem, Invalid, TooLarge

MAX_CONTENT_BYTES = 262_144
MAX_DEPTH = 64
_MOST_PROBLEMS = 50
_MOST_BACKTRACKS = 100_000


class Content(msgspec.Struct, frozen=True):
    """JSON in its canonical form, RFC 8785: sorted keys, no spaces, numbers as JavaScript prints them."""

    body: bytes
    sha256: str
    """Of the body, hex: what a device can compute itself."""


def canonical(value: object, pointer: str = "/content") -> Content:
    """The one spelling of a JSON value. `1.0` and `1` are the same number.

    Raises `Invalid` at the pointer for what RFC 8785 cannot spell (whole numbers beyond 2^53, lone surrogates) or what
    lies deeper than 64 levels, `TooLarge` above 256 KB.
    """
    if _is_deeper(value, MAX_DEPTH):
        raise Invalid.field(pointer, f"takes at most {MAX_DEPTH} levels")
    try:
        body = rfc8785.dumps(value)  # type: ignore[arg-type]  # what came out of a JSON decoder
    except rfc8785.IntegerDomainError as error:
        detail = "takes whole numbers up to 2^53 - 1; write larger ones as text"
        raise Invalid.field(pointer, detail) from error
    except rfc8785.CanonicalizationError as error:
        raise Invalid.field(pointer, "has no canonical form (RFC 8785): its text is not valid Unicode") from error
    if len(body) > MAX_CONTENT_BYTES:
        raise TooLarge(f"content of {len(body)} bytes: at most {MAX_CONTENT_BYTES} can be sent inline")
    return Content(body, hashlib.sha256(body).hexdigest())


def _is_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    if levels == 0:
        return True
    parts = value.values() if isinstance(value, dict) else value
    return any(_is_deeper(part, levels - 1) for part in parts)


def check_schema(value: object, schema: Mapping[str, Any], reference: str) -> None:
    """Raises `Invalid` (`schema-violation`) with everything in which a value breaks a JSON Schema.

    The schema cannot refer to anything outside itself; formats are checked as far as the draft says so.
    """
    try:
        options = jsonschema_rs.FancyRegexOptions(backtrack_limit=_MOST_BACKTRACKS)
        validator = jsonschema_rs.validator_for(dict(schema), offline=True, pattern_options=options)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        reason = str(getattr(error, "message", error))
        raise Invalid.field("/profile", f"the configSchema of {reference} cannot be used: {reason}") from error
    problems = []
    for found in validator.iter_errors(value):
        problems.append(FieldProblem(_pointer(found.instance_path), "schema-violation", found.message[:500]))
        if len(problems) == _MOST_PROBLEMS:
            break
    if problems:
        first = problems[0]
        detail = f"{first.pointer.lstrip('/')}: {first.detail}"
        raise Invalid(f"the content does not fit {reference}: {detail}", code="schema-violation", fields=problems)


def _pointer(path: list[str | int]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in ("content", *path))


def difference(before: bytes, after: bytes) -> list[dict[str, Any]]:
    """The JSON Patch (RFC 6902) that makes one content out of another. Takes its time with large ones."""
    patch = jsonpatch.make_patch(msgspec.json.decode(before), msgspec.json.decode(after))
    operations: list[dict[str, Any]] = patch.patch
    return operations
