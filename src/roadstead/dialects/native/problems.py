"""Errors as problem+json (RFC 9457), with the codes of contract section 9 and the name of the field."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from roadstead.dialects.native.refusals import find_refusal
from roadstead.kernel import errors
from roadstead.kernel.errors import FieldProblem, RoadsteadError
from roadstead.web.failures import failure_in

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[RoadsteadError], int] = {
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.Invalid: 422,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}
_STATUS_OF_CODE = {
    "upgrade-required": 426,
    "precondition-required": 428,
    "unsupported-media-type": 415,
    "not-acceptable": 406,
}
_CODE_OF_STATUS = {
    400: "invalid-request",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    413: "too-large",
    415: "unsupported-media-type",
    416: "range-not-satisfiable",
}

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_ABSENT = re.compile(r"Missing required (query|header|cookie) parameter '(.+?)'")
_PATH = re.compile(r" - at `\$(.*)`")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


class FieldErrorShape(msgspec.Struct, rename="camel", omit_defaults=True):
    """One field that is wrong."""

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None


class Problem(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """RFC 9457, extended by code, requestId and errors."""

    type: str
    title: str
    status: int
    code: str
    request_id: str
    detail: str | None = None
    instance: str | None = None
    errors: list[FieldErrorShape] = []


def problem_response(
    request: Request[Any, Any, Any],
    status: int,
    code: str,
    detail: str,
    *,
    fields: tuple[FieldProblem, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response[Problem]:
    """The answer to a failed request."""
    problem = _make_problem(request, status, code, detail, fields)
    return Response(problem, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def problem_of(request: Request[Any, Any, Any], error: RoadsteadError) -> Problem:
    """A failure as it stands in an answer: for one item of many."""
    return _make_problem(request, status_of(error), error.code, str(error), error.fields)


def on_failure(request: Request[Any, Any, Any], error: RoadsteadError) -> Response[Problem]:
    """A kind of the core in our words."""
    status = status_of(error)
    headers = {}
    if isinstance(error, (errors.TooMany, errors.Unavailable)):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="roadstead"'
    return problem_response(request, status, error.code, str(error), fields=error.fields, headers=headers)


def status_of(error: RoadsteadError) -> int:
    """The status of a failure in HTTP."""
    return _STATUS_OF_CODE.get(error.code) or next(
        (STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500
    )


def _make_problem(
    request: Request[Any, Any, Any], status: int, code: str, detail: str, fields: tuple[FieldProblem, ...]
) -> Problem:
    return Problem(
        type=f"urn:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        instance=request.url.path,
        request_id=request.scope.get("state", {}).get("request_id", ""),
        errors=[spell_field(field) for field in fields],
    )


def on_validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[Problem]:
    """Litestar and msgspec found the body or a parameter wrong: name it."""
    if absent := _ABSENT.match(error.detail):
        field = FieldProblem(absent.group(2), "required", "is required", absent.group(1))
    elif error.__cause__ is None and not isinstance(error.__context__, msgspec.ValidationError):
        return problem_response(request, 400, "invalid-request", error.detail)
    else:
        spellings = request.route_handler.opt.get("spellings", {})
        field = _field_of(_words_of(error), error, spellings)
    name = field.pointer.lstrip("/").replace("/", ".") or "body"
    return problem_response(request, 422, _code_of(field), f"{name}: {field.detail}", fields=(field,))


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """No such route, no such method, malformed JSON, wrong media type."""
    refused = find_refusal(request.method, request.url.path) if error.status_code in {404, 405} else None
    if refused is not None:
        detail = f"{refused.operation} is not offered here: {refused.note}"
        return problem_response(request, 501, "not-enabled", detail)
    code = _CODE_OF_STATUS.get(error.status_code, "invalid-request")
    return problem_response(request, error.status_code, code, error.detail, headers=dict(error.headers or {}))


def on_cleanup(request: Request[Any, Any, Any], group: ExceptionGroup[Exception]) -> Response[Problem]:
    """Litestar's wrapping of what a transaction says when a route fails in it: the database went away, for instance."""
    failure = failure_in(group)
    return on_failure(request, failure) if failure else on_surprise(request, group)


def on_surprise(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """A defect of ours: logged with its trace, told without."""
    log.error("request failed", path=request.url.path, exc_info=error)
    return problem_response(request, 500, "internal", "something went wrong on our side")


def _code_of(field: FieldProblem) -> str:
    return "unknown-field" if field.code == "unknown-field" else "validation-failed"


def _words_of(error: ValidationException) -> str:
    """What msgspec said; of a parameter of a dependency, read by Litestar in a group of tasks, only `extra` has it."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ExceptionGroup) and isinstance(error.extra, list) and error.extra:
        return str(error.extra[0].get("message", ""))
    return str(cause)


def _field_of(message: str, error: ValidationException, spellings: Mapping[str, str]) -> FieldProblem:
    """msgspec says `Expected int, got str - at $.data.location.latitude`; we say /location/latitude.

    `spellings` are the names of parameters as the caller knows them, by the names our functions have for them.
    """
    path = _PATH.search(message)
    text = _PATH.sub("", message)
    steps = [name or index for name, index in _STEP.findall(path.group(1) if path else "")]
    extra = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    place = {"body": "body", "query": "query", "path": "path", "header": "header"}.get(
        str(getattr(extra.get("source"), "value", extra.get("source"))), "body"
    )
    if steps[:1] == ["data"]:
        steps, place = steps[1:], "body"
    code = "invalid"
    if unknown := _UNKNOWN.search(text):
        steps, text, code = [*steps, unknown.group(1)], "is not a field we know", "unknown-field"
    elif missing := _MISSING.search(text):
        steps, text, code = [*steps, missing.group(1)], "is required", "required"
        if steps == ["data"]:
            steps, text = [], "a JSON body is required"
    if place != "body":
        name = extra.get("key") or ".".join(steps)
        return FieldProblem(spellings.get(name, name), code, text, place)
    return FieldProblem("".join(f"/{step}" for step in steps), code, text, place)


def spell_field(field: FieldProblem) -> FieldErrorShape:
    """What is wrong with one field, in our words."""
    if field.place == "body":
        return FieldErrorShape(field.code, field.detail, pointer=field.pointer)
    return FieldErrorShape(field.code, field.detail, parameter=field.pointer.lstrip("/"))
