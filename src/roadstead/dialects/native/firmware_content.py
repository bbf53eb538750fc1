"""/firmware/upload and /firmware/download: the content of firmware, for whoever has a token for it."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any

import structlog
from litestar import Response, Router, get, head, put
from litestar.exceptions import HTTPException
from litestar.openapi import ResponseSpec
from litestar.params import PathParameter
from litestar.response import Stream

from roadstead.core.firmware import Download, Downloads, Interrupted, Uploads, UploadState
from roadstead.dialects.native.shapes import Shape
from roadstead.kernel.errors import Malformed, RoadsteadError, TooLarge
from roadstead.web.edge import AnyRequest, Edge
from roadstead.web.ranges import Unsatisfiable, read_range

log = structlog.get_logger()

_BYTES = "application/octet-stream"
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)", re.ASCII)
_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)

TokenPath = Annotated[str, PathParameter(name="token")]


class UploadStateShape(Shape, kw_only=True):
    """Contract schema `FirmwareUpload`."""

    received_bytes: int
    size_bytes: int
    complete: bool

    @classmethod
    def of(cls, state: UploadState) -> "UploadStateShape":
        return cls(received_bytes=state.received_bytes, size_bytes=state.size_bytes, complete=state.is_complete)


# --- bringing it -----------------------------------------------------------------------------------------------------


@get("/upload/{token:str}", operation_id="firmware.upload-state")
async def get_upload(request: AnyRequest, token: TokenPath) -> UploadStateShape:
    """How much of the content has arrived: where an upload that was cut off goes on."""
    uploads = _uploads(request)
    return UploadStateShape.of(await uploads.get_state(await uploads.find(token)))


@put("/upload/{token:str}", operation_id="firmware.upload", status_code=200, request_max_body_size=None)
async def put_content(request: AnyRequest, token: TokenPath) -> UploadStateShape:
    """The content, or with `Content-Range: bytes first-last/size` the rest of it from where it was cut off.

    What has arrived of a broken upload is kept. Without Content-Range it begins anew. Size and SHA-256 are checked.
    """
    uploads = _uploads(request)
    grant = await uploads.find(token)
    start, length, total = _read_extent(request)
    state = await uploads.get_state(grant)
    if length is not None and start + length > state.size_bytes:
        raise TooLarge(f"the content has {state.size_bytes} bytes")
    try:
        return UploadStateShape.of(await uploads.receive(grant, _body(request), start=start, total=total))
    except Interrupted:
        # Nobody is there to read it.
        return UploadStateShape.of(await uploads.get_state(grant))


async def _body(request: AnyRequest) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            if piece:
                yield piece
    except HTTPException as error:
        raise Interrupted from error


def _read_extent(request: AnyRequest) -> tuple[int, int | None, int | None]:
    """Where what is sent begins, how long it is and how long the whole is, as far as the sender says."""
    length = request.content_length
    header = request.headers.get("content-range")
    if header is None:
        return 0, length, length
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None or int(match[1]) > int(match[2]):
        raise Malformed("Content-Range is 'bytes first-last/size', for instance bytes 500-999/1000")
    start, announced = int(match[1]), int(match[2]) - int(match[1]) + 1
    if length is not None and length != announced:
        raise Malformed(f"Content-Range announces {announced} bytes, Content-Length {length}")
    return start, announced, None if match[3] == "*" else int(match[3])


def _uploads(request: AnyRequest) -> Uploads:
    edge: Edge = request.app.state.edge
    return Uploads(edge.system_database, edge.ports.blobs)


# --- fetching it -----------------------------------------------------------------------------------------------------


@get(
    "/download/{token:str}",
    operation_id="firmware.download",
    media_type=_BYTES,
    responses={
        206: ResponseSpec(bytes, generate_examples=False, description="the part that Range asks for", media_type=_BYTES)
    },
)
async def download_content(request: AnyRequest, token: TokenPath) -> Response[bytes]:
    """The binary, or with Range a part of it; If-Range and the ETag, which is the SHA-256, guard a resumed download."""
    downloads = _downloads(request)
    download = await downloads.find(token)
    headers, size = _headers(download), download.firmware.size_bytes
    if headers["ETag"] in {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}:
        return Response(b"", status_code=304, headers={"ETag": headers["ETag"]})
    try:
        part = read_range(
            request.headers.get("range"), size, if_range=request.headers.get("if-range"), etag=headers["ETag"]
        )
    except Unsatisfiable:
        raise HTTPException(
            detail=f"the content has {size} bytes", status_code=416, headers={"Content-Range": f"bytes */{size}"}
        ) from None
    start, end = (0, size) if part is None else (part.start, part.end)
    await downloads.begin(download, start, end)
    headers["Content-Length"] = str(end - start)
    if part is not None:
        headers["Content-Range"] = part.spell(size)
    status = 200 if part is None else 206
    content = _send(downloads, download, start, end)
    return Stream(content, status_code=status, headers=headers, media_type=_BYTES)  # type: ignore[return-value]


@head("/download/{token:str}", include_in_schema=False)
async def head_content(request: AnyRequest, token: TokenPath) -> Response[None]:
    """What `firmware.download` would answer, without the content."""
    download = await _downloads(request).find(token)
    headers = {**_headers(download), "Content-Length": str(download.firmware.size_bytes)}
    return Response(b"", headers=headers, media_type=_BYTES)  # type: ignore[arg-type]


async def _send(downloads: Downloads, download: Download, start: int, end: int) -> AsyncIterator[bytes]:
    at = start
    try:
        async for piece in downloads.read(download, start, end):
            yield piece
            at += len(piece)
    except BaseException:
        # The device is gone, and we are about to be: what has not left is given back by somebody else.
        _leave_behind(downloads.finish(download, sent_to=at, end=end))
        raise
    await downloads.finish(download, sent_to=at, end=end)


_left_behind: set[asyncio.Task[None]] = set()


def _leave_behind(job: Coroutine[Any, Any, None]) -> None:
    async def finish() -> None:
        try:
            await job
        except RoadsteadError as error:
            log.warning("a download cost more than was sent", reason=str(error))

    task = asyncio.create_task(finish())
    _left_behind.add(task)
    task.add_done_callback(_left_behind.discard)


def _downloads(request: AnyRequest) -> Downloads:
    edge: Edge = request.app.state.edge
    return Downloads(edge.system_database, edge.ports.blobs)


def _headers(download: Download) -> dict[str, str]:
    one = download.firmware
    name = _UNSAFE.sub("_", f"{one.name}-{one.release}")
    return {
        "ETag": f'"{one.sha256.hex()}"',
        "Repr-Digest": f"sha-256=:{b64encode(one.sha256).decode()}:",
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-transform",
        "Content-Disposition": f'attachment; filename="{name}.bin"',
        "X-Content-Type-Options": "nosniff",
    }


router = Router(
    "/v1/firmware", route_handlers=[get_upload, put_content, download_content, head_content], tags=["firmware"]
)
