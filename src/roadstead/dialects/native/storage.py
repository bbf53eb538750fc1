"""/storage: files behind signed URLs. Who has the URL needs nothing else."""

from email.utils import format_datetime
from urllib.parse import parse_qsl

from litestar import Response, Router, get, head, put
from litestar.exceptions import HTTPException
from litestar.openapi import ResponseSpec
from litestar.response import Stream

from roadstead.core import files
from roadstead.core.files import DOWNLOAD, UPLOAD, Download, SignedUrl, Upload
from roadstead.core.work import Entry
from roadstead.kernel.errors import Malformed
from roadstead.web.edge import AnyRequest, Edge, address_of, request_id_of
from roadstead.web.ranges import Unsatisfiable, read_range

_AS_A_FILE = {
    # What somebody has uploaded must never run as a page of ours.
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-transform",
    "Accept-Ranges": "bytes",
}
_ANY = "application/octet-stream"
# Every parameter is covered by the signature: one too many makes it wrong.
_SIGNED = {"signed": True}


@get(
    "/{bucket:str}/{key:path}",
    operation_id="blob.get",
    opt=_SIGNED,
    responses={
        206: ResponseSpec(bytes, generate_examples=False, description="the part that Range asks for", media_type=_ANY)
    },
)
async def get_blob(request: AnyRequest, bucket: str, key: str) -> Response[bytes]:
    """A file, or with Range a part of it. The URL is made by the operation that offers the file."""
    edge: Edge = request.app.state.edge
    download = await _open(request, bucket, key)
    headers = _headers(download)
    etag = headers["ETag"]
    if etag in {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}:
        return Response(b"", status_code=304, headers={"ETag": etag})
    try:
        part = read_range(
            request.headers.get("range"),
            download.size_bytes,
            if_range=request.headers.get("if-range"),
            etag=etag,
        )
    except Unsatisfiable:
        raise HTTPException(
            detail=f"the file has {download.size_bytes} bytes",
            status_code=416,
            headers={"Content-Range": f"bytes */{download.size_bytes}"},
        ) from None
    if part is None:
        content = edge.ports.blobs.read(download.key)
        headers["Content-Length"] = str(download.size_bytes)
        return Stream(content, headers=headers, media_type=download.content_type)  # type: ignore[return-value]
    content = edge.ports.blobs.read(download.key, start=part.start, end=part.end)
    headers |= {"Content-Length": str(part.end - part.start), "Content-Range": part.spell(download.size_bytes)}
    return Stream(content, status_code=206, headers=headers, media_type=download.content_type)  # type: ignore[return-value]


@head("/{bucket:str}/{key:path}", opt=_SIGNED, include_in_schema=False)
async def head_blob(request: AnyRequest, bucket: str, key: str) -> Response[None]:
    """What `blob.get` would answer, without the file."""
    download = await _open(request, bucket, key)
    headers = {**_headers(download), "Content-Length": str(download.size_bytes)}
    # None cannot be spelled in any media type but JSON.
    return Response(b"", headers=headers, media_type=download.content_type)  # type: ignore[arg-type]


@put(
    "/{bucket:str}/{key:path}",
    operation_id="blob.put",
    status_code=200,
    opt=_SIGNED,
    request_max_body_size=None,
)
async def put_blob(request: AnyRequest, bucket: str, key: str) -> Response[None]:
    """Upload to a URL that was handed out for it; type, size and checksum are enforced. Sent again, it replaces."""
    edge: Edge = request.app.state.edge
    size_text = request.headers.get("content-length", "")
    if size_text and not size_text.isdigit():
        raise Malformed("Content-Length is not a number")
    async with edge.system_database.tx() as tx:
        entry = Entry(tx, edge.ports, address=address_of(request), request_id=request_id_of(request))
        upload = await files.open_upload(
            entry,
            _signed(request, UPLOAD, bucket, key),
            content_type=request.headers.get("content-type", ""),
            size_bytes=int(size_text) if size_text else None,
        )

    async def finish(upload: Upload, size_bytes: int, sha256: bytes) -> bool:
        async with edge.system_database.tx() as tx:
            return await files.finish_upload(tx, upload, size_bytes, sha256)

    etag = await files.receive(edge.ports.blobs, bucket, upload, request.stream(), finish)
    return Response(None, headers={"ETag": f'"{etag}"'})


async def _open(request: AnyRequest, bucket: str, key: str) -> Download:
    edge: Edge = request.app.state.edge
    async with edge.system_database.tx() as tx:
        entry = Entry(tx, edge.ports, address=address_of(request), request_id=request_id_of(request))
        return await files.open_download(entry, _signed(request, DOWNLOAD, bucket, key))


def _signed(request: AnyRequest, method: str, bucket: str, key: str) -> SignedUrl:
    query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return SignedUrl(method=method, bucket=bucket, name=key.removeprefix("/"), query=dict(query))


def _headers(download: Download) -> dict[str, str]:
    return {
        **_AS_A_FILE,
        "Content-Disposition": download.disposition,
        "ETag": f'"{download.etag}"',
        "Last-Modified": format_datetime(download.modified_at, usegmt=True),
    }


router = Router("/storage", route_handlers=[get_blob, head_blob, put_blob], tags=["data"])
