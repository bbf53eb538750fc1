"""Errors as `{"error": code, "message": text}` (contract section 5)."""

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from roadstead.kernel import errors
from roadstead.kernel.errors import RoadsteadError
from roadstead.web.failures import failure_in

log = structlog.get_logger()

_SPELLING: dict[type[RoadsteadError], tuple[int, str]] = {
    errors.Malformed: (400, "validation_error"),
    errors.Invalid: (400, "validation_error"),
    errors.Unauthenticated: (401, "unauthorized"),
    errors.Forbidden: (403, "forbidden"),
    errors.NotFound: (404, "not_found"),
    errors.TooLarge: (413, "too_large"),
    errors.TooMany: (429, "rate_limited"),
    errors.Unavailable: (503, "unavailable"),
}
_CODE_OF_STATUS = {
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


class Failure(msgspec.Struct, frozen=True):
    """What a failed request is answered."""

    error: str
    message: str


class WrongMediaType(HTTPException):
    """The body is of a kind that is not read here."""

    status_code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def on_failure(request: Request[Any, Any, Any], error: RoadsteadError) -> Response[Failure]:
    """A kind of the core in the words of this dialect."""
    status, code = next((_SPELLING[kind] for kind in type(error).__mro__ if kind in _SPELLING), (500, "internal_error"))
    headers = {}
    if isinstance(error, (errors.TooMany, errors.Unavailable)):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(Failure(code, str(error)), status_code=status, headers=headers)


def on_validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[Failure]:
    """Litestar found a parameter wrong."""
    return Response(Failure("validation_error", error.detail), status_code=400)


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Failure]:
    """No such route, no such method, a body that cannot be read."""
    code = _CODE_OF_STATUS.get(error.status_code, "validation_error")
    return Response(Failure(code, error.detail), status_code=error.status_code, headers=dict(error.headers or {}))


def on_cleanup(request: Request[Any, Any, Any], group: ExceptionGroup[Exception]) -> Response[Failure]:
    """Litestar's wrapping of what a transaction says when a route fails in it."""
    failure = failure_in(group)
    return on_failure(request, failure) if failure else on_surprise(request, group)


def on_surprise(request: Request[Any, Any, Any], error: Exception) -> Response[Failure]:
    """A defect of ours: logged with its trace, told without."""
    log.error("request failed", path=request.url.path, exc_info=error)
    return Response(Failure("internal_error", "something went wrong on our side"), status_code=500)
