"""Errors as `{"errorMessage", "errorCode"}`; the codes differ by service (contract section 5)."""

from enum import Enum
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from roadstead.dialects.lightelligence.places import REALM_PATHS
from roadstead.kernel import errors
from roadstead.kernel.errors import RoadsteadError
from roadstead.web.failures import failure_in
from roadstead.web.ledger import find_refused

log = structlog.get_logger()


class Codes(msgspec.Struct, frozen=True, kw_only=True):
    """What a service calls its errors."""

    invalid: str
    unauthenticated: str
    forbidden: str
    not_found: str
    conflict: str
    unknown: str
    """Whatever has no word of its own: `<SERVICE>_UNKNOWN`."""
    hides: bool = False
    """What is not there is answered like what is forbidden: 403 (contract, "404 versus 403")."""


def _codes(
    prefix: str,
    *,
    invalid: str = "",
    unauthenticated: str = "",
    forbidden: str = "",
    not_found: str = "",
    conflict: str = "",
    hides: bool = False,
) -> Codes:
    return Codes(
        invalid=invalid or f"{prefix}_VALIDATION",
        unauthenticated=unauthenticated or f"{prefix}_UNAUTHORIZED",
        forbidden=forbidden or f"{prefix}_FORBIDDEN",
        not_found=not_found or f"{prefix}_RESOURCE_NOT_FOUND",
        conflict=conflict or f"{prefix}_CONFLICT",
        unknown=f"{prefix}_UNKNOWN",
        hides=hides,
    )


class Service(Enum):
    """The services of the original, each with words of its own (contract section 5, table of services)."""

    IDENTITY = _codes("ID")
    APPLICATIONS = _codes("APP")
    DEVICES = _codes("DEVICE", unauthenticated="ID_UNAUTHORIZED")
    MONITORING = _codes(
        "DEVICE", unauthenticated="ID_UNAUTHORIZED", forbidden="DEVICE_FORBIDDEN_OR_NOT_FOUND", hides=True
    )
    INGEST = _codes("DEVICE", unauthenticated="ID_UNAUTHORIZED", hides=True)
    STATES = _codes("DEVICESTATE", unauthenticated="ID_UNAUTHORIZED")
    CERTIFICATES = _codes("DEVICECERT", unauthenticated="ID_UNAUTHORIZED", conflict="DEVICECERT_CERT_DUPLICATE")
    DIAGNOSTICS = _codes("DEVICEDIAGNOSTICS", unauthenticated="ID_UNAUTHORIZED")
    FIRMWARE = _codes("FIRMWARE", forbidden="FIRMWARE_NO_ACCESS_TO_RESOURCE", hides=True)
    AGGREGATES = _codes(
        "AGGREGATEDTIMESERIES",
        invalid="AGGREGATEDTIMESERIES_BAD_REQUEST",
        forbidden="AGGREGATEDTIMESERIES_NO_ACCESS_TO_RESOURCE",
        not_found="AGGREGATEDTIMESERIES_DEVICEID",
    )
    DEVICE_TIMESERIES = _codes(
        "TIMESERIES",
        invalid="TIMESERIES_BADREQUEST",
        forbidden="TIMESERIES_NO_ACCESS_TO_RESOURCE",
        not_found="TIMESERIES_DEVICE",
    )
    BULK_TIMESERIES = _codes(
        "SENSORLAKEQUERY",
        forbidden="SENSORLAKEQUERY_RESOURCE_NOT_FOUND",
        not_found="TIMESERIES_DUMP_NOT_FOUND",
    )
    TENANT_TIMESERIES = _codes("TIMESERIES", forbidden="TIMESERIES_RESOURCE_NOT_FOUND")
    STREAMING = _codes(
        "STREAMING",
        invalid="STREAMING_BADREQUEST",
        unauthenticated="OLT_UNAUTHORIZED",
        forbidden="STREAMING_INVALID_TOKEN",
    )
    NOTIFICATIONS = _codes("NOTIFICATION", invalid="NOTIFICATION_BAD_REQUEST")
    NOTIFICATION_LISTS = _codes("NOTIFICATION", invalid="NOTIFICATIONS_BADREQUEST")
    AUDIT = Codes(
        invalid="VALIDATION",
        unauthenticated="UNAUTHORIZED",
        forbidden="FORBIDDEN",
        not_found="RESOURCE_NOT_FOUND",
        conflict="CONFLICT",
        unknown="UNKNOWN",
    )

    @property
    def codes(self) -> Codes:
        """Its words."""
        codes: Codes = self.value
        return codes


class Failure(msgspec.Struct, frozen=True, rename="camel"):
    """What a failed request is answered."""

    error_message: str
    error_code: str


class Coded(RoadsteadError):
    """An error for which an operation has a status and a code of its own (423, or another family's code)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message, code=code)
        self.status = status


class WrongMediaType(HTTPException):
    """The body is of a kind that is not read here."""

    status_code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def service_of(request: Request[Any, Any, Any]) -> Service:
    """Whose words the answer is in: the route says so by `opt={"service": ...}`."""
    handler = request.scope.get("route_handler")
    found = handler.opt.get("service") if handler is not None else None
    return found if isinstance(found, Service) else Service.IDENTITY


def spell_error(service: Service, error: RoadsteadError) -> tuple[int, str]:
    """Status and code for a kind of the core."""
    codes = service.codes
    match error:
        case Coded():
            return error.status, error.code
        case errors.Unauthenticated():
            return 401, codes.unauthenticated
        case errors.Forbidden():
            return 403, codes.forbidden
        case errors.NotFound() | errors.Gone():
            return (403, codes.forbidden) if codes.hides else (404, codes.not_found)
        case errors.Malformed() | errors.Invalid() | errors.PreconditionFailed():
            return 400, codes.invalid
        case errors.Conflict():
            return 409, codes.conflict
        case errors.TooLarge():
            return 413, codes.unknown
        case errors.TooMany():
            return 429, codes.unknown
        case errors.Unavailable():
            return 503, codes.unknown
    return 500, codes.unknown


def on_failure(request: Request[Any, Any, Any], error: RoadsteadError) -> Response[Any]:
    """A kind of the core in the words of this dialect.

    Where a service has several codes for conflicts, its routes say which: `opt={"conflicts": {<ours>: <theirs>}}`.
    """
    status, code = spell_error(service_of(request), error)
    if status == HTTPStatus.CONFLICT:
        handler = request.scope.get("route_handler")
        code = (handler.opt if handler is not None else {}).get("conflicts", {}).get(error.code, code)
    headers = {}
    if isinstance(error, (errors.TooMany, errors.Unavailable)):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return answer_failure(request, status, code, str(error), headers)


def on_validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[Any]:
    """Litestar found a parameter wrong."""
    parts: Any = error.extra if isinstance(error.extra, list) else []
    told = "; ".join(f"{part.get('key', '')}: {part.get('message', '')}".lstrip(": ") for part in parts)
    return answer_failure(request, 400, service_of(request).codes.invalid, told or error.detail)


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """No such route, no such method, a body that cannot be read; or what the ledger says is not offered."""
    refused = find_refused(__package__, request.method, request.scope["path"]) if error.status_code == 404 else None
    if refused is not None:
        return answer_failure(request, 501, "NOT_OFFERED", f"{refused.operation} is not offered here: {refused.note}")
    if request.scope["path"].startswith(REALM_PATHS):
        said = {"error": "invalid_request", "error_description": error.detail}
        return Response(said, status_code=error.status_code, headers=dict(error.headers or {}))
    codes = service_of(request).codes
    code = {400: codes.invalid, 404: codes.not_found}.get(error.status_code, codes.unknown)
    return answer_failure(request, error.status_code, code, error.detail, dict(error.headers or {}))


def on_cleanup(request: Request[Any, Any, Any], group: ExceptionGroup[Exception]) -> Response[Any]:
    """Litestar's wrapping of what a transaction says when a route fails in it."""
    failure = failure_in(group)
    return on_failure(request, failure) if failure else on_surprise(request, group)


def on_surprise(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A defect of ours: logged with its trace, told without."""
    log.error("request failed", path=request.url.path, exc_info=error)
    return answer_failure(request, 500, service_of(request).codes.unknown, "something went wrong on our side")


def answer_failure(
    request: Request[Any, Any, Any], status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> Response[Any]:
    """In the envelope of the route: data-ingest has its own (contract, quirk 4)."""
    handler = request.scope.get("route_handler")
    body: Any = Failure(message, code)
    if handler is not None and handler.opt.get("envelope") == "ingest":
        body = {"error": {"statusCode": status, "message": message, "error": code}}
    return Response(body, status_code=status, headers=headers or {}, media_type="application/json")
