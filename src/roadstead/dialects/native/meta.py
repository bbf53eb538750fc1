"""About this installation: the OpenAPI document and its reference page, whether all is well, version and limits."""

from functools import cache
from importlib import util
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from litestar import Response, Router, get
from litestar.openapi import ResponseSpec
from litestar.params import PathParameter

from roadstead import __version__
from roadstead.core.telemetry import MOST_ITEMS
from roadstead.dialects.native import ingest
from roadstead.dialects.native.openapi import Documents
from roadstead.dialects.native.refusals import read_ledger
from roadstead.dialects.native.shapes import Shape
from roadstead.kernel.checks import run_checks
from roadstead.kernel.errors import NotFound
from roadstead.web.edge import AnyRequest, Edge

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Roadstead API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """\
window.onload = () => SwaggerUIBundle({
  url: "docs/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  docExpansion: "none",
  filter: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"""
# The page runs scripts of ours only, talks to us only, and nobody can put it into a frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
_DAY = {"Cache-Control": "public, max-age=86400"}


class LiveShape(Shape):
    """Answer of contract operation `meta.live`."""

    status: str


class ReadyShape(Shape):
    """Answer of contract operation `meta.ready`."""

    status: str
    checks: dict[str, str]


class BrokerShape(Shape):
    """Where devices speak MQTT, over TLS."""

    host: str
    port: int


class LimitsShape(Shape):
    """How much one request may carry."""

    readings_per_request: int
    body_bytes: int
    page_items: int
    page_readings: int
    buckets: int


class InfoShape(Shape):
    """Answer of contract operation `meta.info`."""

    version: str
    api_version: str
    features: list[str]
    mqtt: BrokerShape
    limits: LimitsShape


@get("/v3/api-docs", operation_id="meta.openapi", media_type="application/json")
async def get_document(request: AnyRequest) -> Response[bytes]:
    """OpenAPI document, when the installation exposes it."""
    return Response(_documents(request).as_json, media_type="application/json")


@get("/v3/api-docs.yaml", operation_id="meta.openapi-yaml", media_type="application/yaml")
async def get_document_as_yaml(request: AnyRequest) -> Response[bytes]:
    """The same as YAML."""
    return Response(_documents(request).as_yaml, media_type="application/yaml")


@get("/docs", operation_id="meta.docs", media_type="text/html")
async def get_reference_page(request: AnyRequest) -> Response[str]:
    """Reference page to look through and try out; works without the internet."""
    _documents(request)
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return Response(_PAGE, media_type="text/html", headers=headers)


@get("/docs/{file:str}", include_in_schema=False)
async def get_part_of_page(request: AnyRequest, name: Annotated[str, PathParameter(name="file")]) -> Response[bytes]:
    """What the page is made of."""
    documents = _documents(request)
    if name == "openapi.json":
        return Response(documents.for_page, media_type="application/json")
    if name == "start.js":
        return Response(_START.encode(), media_type="text/javascript")
    if name not in _FILES:
        raise NotFound("file", name)
    return Response(_read(name), media_type=_FILES[name], headers=_DAY)


@get("/health/live", operation_id="meta.live")
async def is_live() -> LiveShape:
    """Process is up."""
    return LiveShape(status="UP")


@get(
    "/health/ready",
    operation_id="meta.ready",
    responses={503: ResponseSpec(ReadyShape, generate_examples=False)},
)
async def is_ready(request: AnyRequest) -> Response[ReadyShape]:
    """Database, broker and store are reachable."""
    edge: Edge = request.app.state.edge
    found = await run_checks(edge.checks)
    shape = ReadyShape(status=_spell(all(found.values())), checks={name: _spell(found[name]) for name in found})
    return Response(shape, status_code=200 if all(found.values()) else 503)


@get("/v1/info", operation_id="meta.info")
async def get_info(request: AnyRequest) -> InfoShape:
    """Version, features, broker address, limits."""
    edge: Edge = request.app.state.edge
    served = [line.operation.partition(".")[0] for line in read_ledger() if line.status != "refused"]
    return InfoShape(
        version=__version__,
        api_version="v1",
        features=list(dict.fromkeys(served)),
        mqtt=BrokerShape(host=edge.mqtt_host or urlsplit(edge.ports.public_url).hostname or "", port=edge.mqtt_port),
        limits=LimitsShape(
            readings_per_request=MOST_ITEMS,
            body_bytes=ingest.MOST_BYTES,
            page_items=200,
            page_readings=10_000,
            buckets=5_000,
        ),
    )


def _documents(request: AnyRequest) -> Documents:
    """The documents, unless they are switched off."""
    edge: Edge = request.app.state.edge
    if not edge.expose_docs:
        raise NotFound("API documentation")
    documents: Documents = request.app.state.documents
    return documents


@cache
def _read(name: str) -> bytes:
    """A file of swagger-ui, out of its package. Found without loading the package, which wants a template engine."""
    package = util.find_spec("swagger_ui_bundle")
    assert package is not None
    assert package.submodule_search_locations
    [folder] = (Path(package.submodule_search_locations[0]) / "vendor").glob("swagger-ui-*")
    return (folder / name).read_bytes()


def _spell(is_there: bool) -> str:
    return "UP" if is_there else "DOWN"


router = Router(
    "/",
    route_handlers=[
        get_document,
        get_document_as_yaml,
        get_reference_page,
        get_part_of_page,
        is_live,
        is_ready,
        get_info,
    ],
    tags=["meta"],
)
