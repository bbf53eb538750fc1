"""POST /readings: readings from programs, and from devices that speak HTTP."""

import zlib
from typing import Any

import msgspec
from litestar import Response, Router, post
from litestar.openapi import ResponseSpec

from roadstead.core import telemetry
from roadstead.core.telemetry import MOST_ITEMS, Ingested
from roadstead.core.work import Work
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.problems import MEDIA_TYPE, Problem, problem_of
from roadstead.dialects.native.quarantine import code_of_reason
from roadstead.dialects.native.shapes import Shape
from roadstead.kernel.errors import FieldProblem, Invalid, Malformed, TooLarge
from roadstead.web.edge import AnyRequest, Edge

MOST_BYTES = 5_242_880
"""Of a body, packed or not."""

_GZIP = 31
_NDJSON = {"application/x-ndjson", "application/ndjson", "application/jsonl"}
_JSON = {"application/json", ""}

_raws = msgspec.json.Decoder(list[msgspec.Raw])
_raw = msgspec.json.Decoder(msgspec.Raw)


class IngestErrorShape(Shape):
    """One line of contract schema `IngestResult`."""

    index: int
    reason: str
    detail: str
    quarantine_id: str


class IngestResultShape(Shape):
    """Contract schema `IngestResult`."""

    accepted: int
    duplicates: int
    quarantined: int
    errors: list[IngestErrorShape]

    @classmethod
    def of(cls, done: Ingested) -> "IngestResultShape":
        errors = [
            IngestErrorShape(
                index=item.index,
                reason=item.refusal.reason,
                detail=item.refusal.detail,
                quarantine_id=str(item.quarantine_id),
            )
            for item in done.refused
        ]
        return cls(accepted=done.accepted, duplicates=done.duplicates, quarantined=len(done.refused), errors=errors)


class IngestProblem(Problem):
    """Nothing was usable: the problem, and where in quarantine everything is."""

    result: IngestResultShape


@post(
    "/",
    operation_id="reading.ingest",
    status_code=202,
    opt={"devices": True},
    request_max_body_size=MOST_BYTES,
    responses={
        207: ResponseSpec(IngestResultShape, generate_examples=False),
        422: ResponseSpec(IngestProblem, generate_examples=False, media_type=MEDIA_TYPE),
    },
)
@idempotent
async def ingest(request: AnyRequest, work: Work) -> Response[IngestResultShape]:
    """Stores readings: one object or an array (at most 5,000, 5 MB), also a line for each (NDJSON), also gzipped.

    The same checks and key (timestamp, organization, sensor) as MQTT. Accepted means durable: the reading is in the log
    and visible to queries within a second. Bad items go to quarantine and are listed.
    """
    edge: Edge = request.app.state.edge
    items = read_items(
        await request.body(),
        encoding=request.headers.get("content-encoding", ""),
        media_type=request.headers.get("content-type", "").partition(";")[0].strip().lower(),
    )
    done = await telemetry.take_readings(work, edge.intake, items)
    if done.uplinks:
        await edge.uplinks.put(*done.uplinks)
    edge.metrics.count_ingest(done)
    if done.accepted:
        return Response(IngestResultShape.of(done), status_code=207 if done.refused else 202)
    return _refuse(request, done)


def read_items(body: bytes, *, encoding: str, media_type: str) -> list[bytes]:
    """The items of a body, each as its own JSON text. Raises `Malformed`, `TooLarge` and `Invalid`."""
    if media_type not in _JSON | _NDJSON:
        raise Malformed(f"{media_type} is not read here: send JSON or NDJSON", code="unsupported-media-type")
    text = unpack(body, encoding).strip()
    if media_type in _NDJSON:
        items = [line for line in text.splitlines() if line.strip()]
    else:
        try:
            items = [bytes(raw) for raw in _raws.decode(text)] if text.startswith(b"[") else [bytes(_raw.decode(text))]
        except msgspec.DecodeError as error:
            raise Malformed(f"the body is not JSON: {error}") from error
    if not items:
        raise Invalid.field("", "there is no reading in it", code="required")
    if len(items) > MOST_ITEMS:
        raise TooLarge(f"a request may have {MOST_ITEMS} readings, this one has {len(items)}")
    return items


def unpack(body: bytes, encoding: str) -> bytes:
    """The body without its content encoding, never more than `MOST_BYTES` of it."""
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            inflater = zlib.decompressobj(_GZIP)
            try:
                text = inflater.decompress(body, MOST_BYTES + 1)
            except zlib.error as error:
                raise Malformed(f"the body is not gzip: {error}") from error
            if len(text) > MOST_BYTES:
                raise TooLarge(f"the body has more than {MOST_BYTES} bytes when unpacked")
            if not inflater.eof or inflater.unused_data:
                raise Malformed("the body is not gzip: it does not end where it should")
            return text
        case other:
            raise Malformed(f"Content-Encoding {other} is not read here: send gzip", code="unsupported-media-type")


def _refuse(request: AnyRequest, done: Ingested) -> Response[Any]:
    """Not raised but answered: what is in quarantine by now shall stay there."""
    fields = [
        FieldProblem(f"/{item.index}", code_of_reason(item.refusal.reason), item.refusal.detail)
        for item in done.refused
    ]
    problem = problem_of(request, Invalid("none of the readings can be used", fields=fields))
    content = IngestProblem(**msgspec.structs.asdict(problem), result=IngestResultShape.of(done))
    return Response(content, status_code=422, media_type=MEDIA_TYPE)


router = Router("/v1/readings", route_handlers=[ingest], tags=["readings"])
