"""Errors as `{"type", "message"}` (contract section 5)."""

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from roadstead.core.bundles import Problem, Unfit
from roadstead.kernel import errors
from roadstead.kernel.errors import RoadsteadError
from roadstead.web.failures import failure_in
from roadstead.web.ledger import find_refused

log = structlog.get_logger()

_PACKAGE = "roadstead.dialects.losant"
_KINDS: dict[type[RoadsteadError], tuple[int, str]] = {
    errors.Malformed: (400, "Validation"),
    errors.Invalid: (400, "Validation"),
    errors.PreconditionFailed: (400, "Validation"),
    errors.Unauthenticated: (401, "Unauthorized"),
    errors.Forbidden: (403, "Forbidden"),
    errors.NotFound: (404, "NotFound"),
    errors.Conflict: (409, "Conflict"),
    errors.Gone: (410, "Gone"),
    errors.TooLarge: (413, "PayloadTooLarge"),
    errors.TooMany: (429, "RateLimited"),
    errors.Unavailable: (503, "ServiceUnavailable"),
}
_TYPES = dict(_KINDS.values()) | {405: "MethodNotAllowed", 501: "NotImplemented"}
ACCOUNT_LOCKED = "account-locked"
"""The code of an `Unauthenticated` that stops programs from trying again."""


class Failure(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a failed request is answered (contract schema `error`)."""

    type: str
    message: str
    validation_errors: list[Problem] = []
    """What of a bundle does not fit."""


def on_failure(request: Request[Any, Any, Any], error: RoadsteadError) -> Response[Failure]:
    """A kind of the core in the words of this dialect."""
    if isinstance(error, Unfit):
        failure = Failure("Validation", str(error), error.problems)
        return Response(failure, status_code=422, media_type="application/json")
    status, kind = next((_KINDS[each] for each in type(error).__mro__ if each in _KINDS), (500, "Internal"))
    headers = {}
    if isinstance(error, (errors.TooMany, errors.Unavailable)):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
        kind = "AccountLocked" if error.code == ACCOUNT_LOCKED else kind
    message = str(error)
    if isinstance(error, errors.NotFound):
        message = f"{error.what[:1].upper()}{error.what[1:]} was not found"
    return _answer(status, kind, message, headers)


def on_validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[Failure]:
    """Litestar found a parameter wrong."""
    parts: Any = error.extra if isinstance(error.extra, list) else []
    told = "; ".join(f"{part.get('key', '')}: {part.get('message', '')}".lstrip(": ") for part in parts)
    return _answer(400, "Validation", told or error.detail)


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Failure]:
    """No such route, no such method, a body that cannot be read; or what the ledger says is not offered."""
    refused = find_refused(_PACKAGE, request.method, request.scope["path"])
    if error.status_code in (404, 405) and refused is not None:
        return _answer(501, "NotImplemented", f"{refused.operation} is not offered here: {refused.note}")
    kind = _TYPES.get(error.status_code, "Validation" if error.status_code < 500 else "Internal")
    return _answer(error.status_code, kind, error.detail, dict(error.headers or {}))


def on_cleanup(request: Request[Any, Any, Any], group: ExceptionGroup[Exception]) -> Response[Failure]:
    """Litestar's wrapping of what a transaction says when a route fails in it."""
    failure = failure_in(group)
    return on_failure(request, failure) if failure else on_surprise(request, group)


def on_surprise(request: Request[Any, Any, Any], error: Exception) -> Response[Failure]:
    """A defect of ours: logged with its trace, told without."""
    log.error("request failed", path=request.url.path, exc_info=error)
    return _answer(500, "Internal", "something went wrong on our side")


def _answer(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> Response[Failure]:
    return Response(Failure(kind, message), status_code=status, headers=headers or {}, media_type="application/json")
