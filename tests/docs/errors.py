"""Finds every error code that the native API can answer, in the code itself, and spells the page about them."""

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import roadstead
from roadstead.core.ports import RefusalReason
from roadstead.dialects.native import problems
from roadstead.dialects.native.quarantine import code_of_reason
from roadstead.kernel import errors
from roadstead.kernel.errors import RoadsteadError

_SOURCE = Path(roadstead.__file__).parent
_ROOMS = ("core", "kernel", "dialects/native")
_KINDS: dict[str, type[RoadsteadError]] = {
    name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RoadsteadError)
}

MEANINGS = {
    "already-member": "the person is a member of the organization",
    "certificate-taken": "a certificate can be registered once; this one is",
    "confirmation-mismatch": "`confirm` is not the slug of the organization that is to be deleted",
    "checksum-mismatch": "the SHA-256 of what was uploaded is not the announced one; nothing of it was kept",
    "conflict": "it contradicts what is there",
    "csr-invalid": "the signing request cannot be read, is not signed by its key, or its key is not accepted",
    "forbidden": "known, and not allowed to do this",
    "gone": "it was there once: a used or expired token, a finished invitation",
    "idempotency-in-progress": "the first request with this `Idempotency-Key` is still at work; try again",
    "idempotency-key-reused": "this `Idempotency-Key` was used for another request",
    "in-use": "something else needs it; the detail says what",
    "internal": "a fault of ours; our log has it under the `requestId`",
    "invalid-request": "the request cannot be parsed",
    "invalid-state": "not in the state in which it is now",
    "job-running": "one job of this kind at a time; wait for the end of the other",
    "last-owner": "an organization keeps at least one owner",
    "method-not-allowed": "the path is there, with other methods",
    "name-taken": "a value that must be unique is in use; `errors` says which",
    "not-acceptable": "none of the media types in `Accept` is offered here",
    "not-enabled": "an operation of the API that is not offered here; the detail says why",
    "not-found": "it does not exist, or belongs to another organization",
    "otp-required": "the password was right; send the code of the second factor as `otp`",
    "precondition-failed": "it was changed since the version in `If-Match`",
    "precondition-required": "the organization asks for `If-Match` with every change",
    "profile-mismatch": "it is for another profile than what is there; the detail says which",
    "quota-exceeded": "the organization has as many of these as it may have",
    "range-not-satisfiable": "the part of a file that Range asks for is not within it",
    "rate-limited": "more than a limit allows; come back after `Retry-After` seconds",
    "schema-violation": "the content breaks the JSON Schema of its profile; `errors` says where",
    "scope-missing": "the key or the role has no right to this; the detail names it",
    "signature-invalid": "none of the signing keys of the organization has made the signature of the firmware",
    "slug-taken": "another organization has this slug",
    "too-early": "a certificate is renewed in its last 30 days",
    "too-large": "more than a limit allows in one piece",
    "too-slow": "a listener of a live stream did not keep up and was cut off",
    "unauthenticated": "no credential, or one that is not good any more",
    "unavailable": "a part of the platform is away; nothing was changed; come back after `Retry-After` seconds",
    "unknown-field": "the body has a field that is not known",
    "unsupported-media-type": "the body comes in a format or an encoding that is not read here",
    "upload-missing": "the content of the firmware is not complete; the detail says how much has arrived",
    "upload-offset": "the upload does not stand where you would go on; ask for its state",
    "upgrade-required": "this path is a WebSocket",
    "validation-failed": "understood, and it breaks a rule; `errors` names the fields",
    "version-rule": "a version of a profile that may not follow the one before",
}

FIELD_MEANINGS = {
    "confirmation-mismatch": "does not repeat what is to be confirmed",
    "csr-invalid": "is not a signing request that we sign",
    "filter-required": "one filter at least is needed",
    "function-does-not-fit": "this function means nothing for values of this type",
    "idempotency-key-reused": "was used for another request",
    "immutable": "cannot be changed any more",
    "invalid": "is not what it must be; the detail says what that is",
    "not-found": "names something that does not exist",
    "not-served": "is a word of the API that is not offered here",
    "profile-mismatch": "is for another profile",
    "range": "is too small, too large, too long or too much",
    "required": "is missing",
    "schema-violation": "breaks the JSON Schema",
    "too-large": "is more than a request may have",
    "unknown-field": "is not a field of the body",
    "unknown-parameter": "is not a parameter of the operation",
    "version-rule": "is a change that needs a higher version",
}

REASON_MEANINGS = {
    RefusalReason.UNKNOWN_SENSOR: "there is no such sensor, component, field or device, and none may come into being",
    RefusalReason.MISSING_PROFILE: "an object for something that is not a component: no profile says what is in it",
    RefusalReason.OUT_OF_RANGE: "below `min`, above `max`, not in `enum`, or wider than the type",
    RefusalReason.TYPE_MISMATCH: "not of the type that the sensor has",
    RefusalReason.MISSING_FIELD: "a required field is not there",
    RefusalReason.ARRAY_SIZE: "a list with more or fewer items than the profile says",
    RefusalReason.MALFORMED: "not JSON, or not of the shape of a reading",
    RefusalReason.TOO_LARGE: "a text, a name, metadata or a message over its limit",
    RefusalReason.BAD_TIMESTAMP: "no time, no offset, before 1970, or more than five minutes ahead",
    RefusalReason.FORBIDDEN_TOPIC: "published on a topic that is not of the device",
    RefusalReason.UNKNOWN_COMMAND: "an answer to a command that the device does not have, or has not been sent",
    RefusalReason.LATE_ANSWER: "an answer to a command that had ended otherwise before, for instance by its timeout",
}


def spell_page() -> str:
    """The whole page. Raises `KeyError` that names a code nobody has written a meaning for."""
    codes, fields = find_codes(), find_field_codes()
    lines = [
        "# Error codes",
        "",
        "Made from the code by `tests/docs`; `UPDATE_GOLDEN=1 .venv/bin/pytest tests/docs` makes it anew.",
        "",
        "Errors are `application/problem+json` (RFC 9457). `code` is for programs and stays what it is; `type` is",
        "`urn:problem:<code>`; `detail` is for people and may change. See [access](guide/access.md#errors).",
        "",
        "| code | status | meaning |",
        "|---|---|---|",
        *(f"| `{code}` | {', '.join(map(str, sorted(codes[code])))} | {MEANINGS[code]} |" for code in sorted(codes)),
        "",
        "## Codes in `errors`",
        "",
        "Each item names a field by `pointer` (into the body) or `parameter` (query or header).",
        "",
        "| code | the field |",
        "|---|---|",
        *(f"| `{code}` | {FIELD_MEANINGS[code]} |" for code in sorted(fields)),
        "",
        "## Reasons of quarantine",
        "",
        "As `reason` of an entry, and as `code` where a request with readings is answered or an entry is replayed.",
        "",
        "| reason | code | meaning |",
        "|---|---|---|",
        *(f"| `{reason}` | `{code_of_reason(reason)}` | {REASON_MEANINGS[reason]} |" for reason in RefusalReason),
        "",
    ]
    return "\n".join(lines)


def find_codes() -> dict[str, set[int]]:
    """Every `code` of a problem, with its statuses."""
    found: dict[str, set[int]] = {}

    def add(code: str, status: int) -> None:
        found.setdefault(code, set()).add(status)

    for status, code in problems._CODE_OF_STATUS.items():
        add(code, status)
    for code, status in problems._STATUS_OF_CODE.items():
        add(code, status)
    add("unknown-field", 422)
    for kind in _KINDS.values():
        if kind is not RoadsteadError:
            add(kind.code, _status(kind, kind.code))
    for call, above in _calls():
        name = ast.unparse(call.func)
        said = _keyword(call, "code")
        if name == "problem_response":
            match call.args[1:3]:
                case [ast.Constant(value=int(number)), ast.Constant(value=str(text))]:
                    add(text, number)
        elif name == "Conflict.taken":
            add(said or "name-taken", _status(errors.Conflict, said or "name-taken"))
        elif said and name in _KINDS:
            add(said, _status(_KINDS[name], said))
        elif said and name == "super().__init__" and above in _KINDS:
            add(said, _status(_KINDS[above], said))
    return found


def find_field_codes() -> set[str]:
    """Every `code` of an item in `errors` that is not a reason of quarantine."""
    found = {"invalid", "required", "unknown-field"}
    for call, _ in _calls():
        name, code = ast.unparse(call.func), _keyword(call, "code")
        if name == "Invalid.field" and code:
            found.add(code)
        if name == "FieldProblem" and len(call.args) > 1 and isinstance(call.args[1], ast.Constant):
            found.add(str(call.args[1].value))
    return found


def _status(kind: type[RoadsteadError], code: str) -> int:
    error = kind.__new__(kind)
    error.code = code
    return problems.status_of(error)


@cache
def _calls() -> list[tuple[ast.Call, str]]:
    """Every call in the code that can fail before an API's caller, with the first base of the class it stands in."""
    return [
        found
        for room in _ROOMS
        for file in sorted((_SOURCE / room).glob("**/*.py"))
        for found in _calls_in(ast.parse(file.read_text()), "")
    ]


def _calls_in(node: ast.AST, base: str) -> Iterator[tuple[ast.Call, str]]:
    if isinstance(node, ast.ClassDef):
        base = ast.unparse(node.bases[0]) if node.bases else ""
    if isinstance(node, ast.Call):
        yield node, base
    for child in ast.iter_child_nodes(node):
        yield from _calls_in(child, base)


def _keyword(call: ast.Call, name: str) -> str | None:
    for keyword in call.keywords:
        if keyword.arg == name and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return None
