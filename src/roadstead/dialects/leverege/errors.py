"""Errors as `{"status", "message", "code"}` (contract section 8)."""

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from roadstead.kernel import errors
from roadstead.kernel.errors import RoadsteadError
from roadstead.web.failures import failure_in
from roadstead.web.ledger import find_refused

log = structlog.get_logger()

_PACKAGE = "roadstead.dialects.leverege"
_STATUS: dict[type[RoadsteadError], int] = {
    errors.Malformed: 400,
    errors.Invalid: 400,
    errors.PreconditionFailed: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Gone: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}


class Failure(msgspec.Struct, frozen=True):
    """What a failed request is answered (contract schema `ApiError`)."""

    status: int
    message: str
    code: str


def on_failure(request: Request[Any, Any, Any], error: RoadsteadError) -> Response[Failure]:
    """A kind of the core in the words of this dialect."""
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    headers = {}
    if isinstance(error, (errors.TooMany, errors.Unavailable)):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return _answer(status, str(error), error.code, headers)


def on_validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[Failure]:
    """Litestar found a parameter wrong."""
    parts: Any = error.extra if isinstance(error.extra, list) else []
    told = "; ".join(f"{part.get('key', '')}: {part.get('message', '')}".lstrip(": ") for part in parts)
    return _answer(400, told or error.detail, "invalid-request")


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Failure]:
    """No such route, no such method, a body that cannot be read; or what the ledger says is not offered."""
    refused = find_refused(_PACKAGE, request.method, request.scope["path"])
    if error.status_code in (404, 405) and refused is not None:
        return _answer(501, f"{refused.operation} is not offered here: {refused.note}", "not-offered")
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return _answer(error.status_code, error.detail, code, dict(error.headers or {}))


def on_cleanup(request: Request[Any, Any, Any], group: ExceptionGroup[Exception]) -> Response[Failure]:
    """Litestar's wrapping of what a transaction says when a route fails in it."""
    failure = failure_in(group)
    return on_failure(request, failure) if failure else on_surprise(request, group)


def on_surprise(request: Request[Any, Any, Any], error: Exception) -> Response[Failure]:
    """A defect of ours: logged with its trace, told without."""
    log.error("request failed", path=request.url.path, exc_info=error)
    return _answer(500, "something went wrong on our side", "internal")


def _answer(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> Response[Failure]:
    return Response(
        Failure(status, message, code), status_code=status, headers=headers or {}, media_type="application/json"
    )
