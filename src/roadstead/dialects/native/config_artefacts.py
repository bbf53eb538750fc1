"""/config-artefacts: immutable versions of what devices can be given."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, Raw, UnsetType

from roadstead.core import configuration
from roadstead.core.configuration import Artefact, ArtefactDraft, ArtefactId, ArtefactQuery, UploadDraft
from roadstead.core.types import ProfileReference
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.kernel.errors import Invalid
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest

_PATCH = "application/json-patch+json"


class ConfigArtefactShape(Shape, kw_only=True):
    """Contract schema `ConfigArtefact`; lists leave out what is in it."""

    id: str
    name: str
    artefact_version: int
    profile: str | None = None
    content_type: str
    content: Any = None
    size_bytes: int
    sha256: str
    download_url: str | None = None
    description: str | None = None
    created_by: str
    created_at: datetime
    in_use: bool

    @classmethod
    def of(cls, artefact: Artefact) -> "ConfigArtefactShape":
        return cls(
            id=str(artefact.id),
            name=artefact.name,
            artefact_version=artefact.number,
            profile=artefact.profile.reference if artefact.profile else None,
            content_type=artefact.content_type,
            size_bytes=artefact.size_bytes,
            sha256=artefact.sha256,
            description=artefact.description,
            created_by=str(artefact.created_by),
            created_at=artefact.created_at,
            in_use=artefact.in_use,
        )


class ConfigArtefactBody(Body, kw_only=True):
    """Contract schema `ConfigArtefactInput`: exactly one of `content` and `storageKey`."""

    name: Annotated[str, Meta(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9_.-]+$")]
    profile: str | None = None
    content: Any | UnsetType = UNSET
    storage_key: Annotated[str, Meta(max_length=1000)] | None = None
    content_type: Annotated[str, Meta(max_length=130)] | None = None
    description: Annotated[str, Meta(max_length=1000)] | None = None

    def draft(self) -> ArtefactDraft:
        """In words of the core."""
        return ArtefactDraft(
            name=self.name,
            profile=self.profile,
            content=None if self.content is UNSET else self.content,
            storage_key=self.storage_key,
            content_type=self.content_type,
            description=self.description,
        )


class UploadBody(Body, kw_only=True):
    """Body of `config-artefact.upload-url`."""

    file_name: Annotated[str, Meta(min_length=1, max_length=255)]
    content_type: Annotated[str, Meta(max_length=130)] = "application/octet-stream"
    size_bytes: Annotated[int, Meta(ge=1)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class UploadUrlShape(Shape, kw_only=True):
    """Contract schema `UploadUrl`."""

    upload_url: str
    method: str
    headers: dict[str, str]
    storage_key: str
    expires_at: datetime


class PatchOperation(msgspec.Struct, omit_defaults=True, rename={"from_": "from"}):
    """One operation of a JSON Patch (RFC 6902)."""

    op: str
    path: str
    from_: str | UnsetType = UNSET
    value: Any | UnsetType = UNSET


@get("/", operation_id="config-artefact.list")
async def list_artefacts(
    work: Work,
    page: PageQuery,
    sort: Annotated[
        str | None, QueryParameter(description="createdAt (default, descending), name, version; -field descends")
    ] = None,
    name: str | None = None,
    profile: Annotated[str | None, QueryParameter(description="profile key or key@version")] = None,
    latest_only: Annotated[bool, QueryParameter(name="latestOnly", description="the newest version per name")] = False,
    q: Annotated[str | None, QueryParameter(description="part of the name", max_length=200)] = None,
) -> PageShape[ConfigArtefactShape]:
    """Lists versions, without their contents."""
    reference = None if profile is None else ProfileReference.parse(profile)
    if profile is not None and reference is None:
        raise Invalid.field("profile", "is neither 'key' nor 'key@major.minor'", place="query")
    query = ArtefactQuery(name=name, profile=reference, latest_only=latest_only, text=q)
    found = await configuration.list_artefacts(work, query, sort=sort, page=page)
    return page_shape(found, page, ConfigArtefactShape.of)


@post(
    "/",
    operation_id="config-artefact.create",
    status_code=201,
    responses={200: ResponseSpec(ConfigArtefactShape, generate_examples=False, description="the same is there")},
)
@idempotent
async def create_artefact(
    request: AnyRequest, work: Work, data: ConfigArtefactBody
) -> Response[ConfigArtefactShape | None]:
    """Creates an immutable version: the next number of its name.

    Inline content is JSON of at most 256 KB and is kept in its canonical form (RFC 8785), which `sha256` is of. What
    has the same content, type and profile as an earlier version of the name gives that version back, with 200. The
    content fits the `configSchema` of the profile, when one is named: a device profile, or else a sensor profile.
    """
    made = await configuration.create_artefact(work, data.draft())
    location = f"/api/v1/config-artefacts/{made.artefact.id}" if made.is_new else None
    return versioned(request, await _spell(work, made.artefact), made.artefact.number, location=location)


@post("/upload-url", operation_id="config-artefact.upload-url", status_code=201)
async def prepare_upload(work: Work, data: UploadBody) -> UploadUrlShape:
    """A URL to which large content can be sent with PUT, within 15 minutes; `storageKey` then makes it a version."""
    draft = UploadDraft(
        file_name=data.file_name, content_type=data.content_type, size_bytes=data.size_bytes, sha256=data.sha256
    )
    upload = await configuration.prepare_upload(work, draft)
    return UploadUrlShape(
        upload_url=upload.url,
        method="PUT",
        headers=upload.headers,
        storage_key=configuration.storage_key(upload, draft),
        expires_at=upload.expires_at,
    )


@get("/{id:str}", operation_id="config-artefact.get")
async def get_artefact(request: AnyRequest, work: Work, id: str) -> Response[ConfigArtefactShape | None]:
    """One version with its content, or with a URL to fetch it when it was uploaded."""
    artefact = await configuration.get_artefact(work, read_artefact_id(id))
    return versioned(request, await _spell(work, artefact), artefact.number)


@get(
    "/{id:str}/content",
    operation_id="config-artefact.content",
    responses={302: ResponseSpec(None, description="where it can be fetched")},
)
async def get_content(work: Work, id: str) -> Response[bytes | None]:
    """The bytes; 302 to a URL that is good for an hour when they were uploaded."""
    artefact = await configuration.get_artefact(work, read_artefact_id(id))
    if artefact.content is not None:
        return Response(artefact.content, media_type=artefact.content_type)
    location = await configuration.link_artefact(work, artefact)
    return Response(None, status_code=302, headers={"Location": location or ""})


@get("/{id:str}/diff", operation_id="config-artefact.diff", media_type=_PATCH)
async def compare_artefacts(
    work: Work, id: str, against: Annotated[str, QueryParameter(description="the id of the version to start from")]
) -> Response[list[PatchOperation]]:
    """JSON Patch (RFC 6902) from another version to this one; 422 unless both are JSON of at most 256 KB."""
    patch = await configuration.compare_artefacts(work, read_artefact_id(id), read_artefact_id(against))
    return Response(msgspec.convert(patch, list[PatchOperation]), media_type=_PATCH)


@delete("/{id:str}", operation_id="config-artefact.delete")
async def delete_artefact(work: Work, id: str) -> None:
    """Deletes a version that no binding names and no device shall have any more."""
    await configuration.delete_artefact(work, read_artefact_id(id))


def read_artefact_id(text: str) -> ArtefactId:
    """The id of an artefact in a path."""
    return ArtefactId(read_id(text, "config artefact"))


async def _spell(work: Work, artefact: Artefact) -> ConfigArtefactShape:
    shape = ConfigArtefactShape.of(artefact)
    if artefact.content is not None:
        shape.content = Raw(artefact.content)
    else:
        shape.download_url = await configuration.link_artefact(work, artefact)
    return shape


router = Router(
    "/v1/config-artefacts",
    route_handlers=[
        list_artefacts,
        create_artefact,
        prepare_upload,
        get_artefact,
        get_content,
        compare_artefacts,
        delete_artefact,
    ],
    tags=["config"],
)
