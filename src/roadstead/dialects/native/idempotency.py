"""Idempotency-Key: a request that is sent again is answered again and not done again.

How a route takes part:

    @post("/", operation_id="device.create", status_code=201)
    @idempotent
    async def create_device(request: AnyRequest, work: Work, data: DeviceBody) -> Response[DeviceShape | None]: ...

The decorator stands below Litestar's. The route needs `work` (or `account`) among its parameters; the header comes by
itself, in OpenAPI too. An answer is kept with the commit of the work it tells of, for 24 hours per organization and
operation, and shown only to the caller who got it first. A request that failed has left nothing behind, so it may be
sent again under the same key.
"""

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from litestar import Response
from litestar.params import HeaderParameter
from litestar.serialization import encode_json

from roadstead.core import answers
from roadstead.core.answers import Answer
from roadstead.core.work import Account, Work
from roadstead.web.edge import AnyRequest

T = TypeVar("T")

_HEADER = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=255,
        required=False,
        description="sent again with the same body within 24 hours, the first answer is repeated",
    ),
]


def idempotent(function: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T | Response[bytes]]]:
    """Lets a route be called twice with one Idempotency-Key and work once; see the head of this module."""
    signature = inspect.signature(function)
    own_request = "request" in signature.parameters

    @wraps(function)
    async def once(request: AnyRequest, idempotency_key: str | None = None, **arguments: Any) -> T | Response[bytes]:
        if own_request:
            arguments["request"] = request
        if idempotency_key is None:
            return await function(**arguments)
        work = _work_of(arguments)
        operation = str(request.route_handler.operation_id)
        sent = f"{request.url.path}?{request.url.query}\n".encode() + await request.body()
        earlier = await answers.claim_answer(work, operation, idempotency_key, sent)
        if earlier is not None:
            return _respond(earlier, replayed=True)
        answer = _answer(await function(**arguments), request)
        await answers.keep_answer(work, operation, idempotency_key, sent, answer)
        return _respond(answer, replayed=False)

    parameters = [parameter for name, parameter in signature.parameters.items() if name != "request"]
    first = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=AnyRequest)
    last = inspect.Parameter("idempotency_key", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_HEADER)
    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    once.__signature__ = signature.replace(parameters=[first, *keywords, last])  # type: ignore[attr-defined]
    once.__annotations__ = {**function.__annotations__, "request": AnyRequest, "idempotency_key": _HEADER}
    return once


def _work_of(arguments: dict[str, Any]) -> Work:
    for value in arguments.values():
        if isinstance(value, Work):
            return value
        if isinstance(value, Account):
            return value.as_work()
    raise TypeError("an idempotent route takes work or account")


def _answer(result: Any, request: AnyRequest) -> Answer:
    if not isinstance(result, Response):
        result = Response(result, status_code=request.route_handler.status_code)
    headers = {name: value for name, value in result.headers.items() if value is not None}
    if result.media_type is not None:
        headers["content-type"] = str(getattr(result.media_type, "value", result.media_type))
    if isinstance(result.content, str):  # a table; everything else is JSON
        return Answer(result.status_code or HTTPStatus.OK, headers, result.content.encode())
    body = b"" if result.content is None else encode_json(result.content, request.route_handler.default_serializer)
    return Answer(result.status_code or HTTPStatus.OK, headers, body)


def _respond(answer: Answer, *, replayed: bool) -> Response[bytes]:
    headers = {**answer.headers, **({"Idempotency-Replayed": "true"} if replayed else {})}
    media_type = headers.pop("content-type", "application/json")
    return Response(answer.body, status_code=answer.status, media_type=media_type, headers=headers)
