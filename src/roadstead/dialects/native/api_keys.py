"""/api-keys: credentials of machines."""

from datetime import datetime, timedelta
from typing import Annotated

from litestar import Response, Router, delete, get, patch, post
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import identity
from roadstead.core.identity import Environment, KeyChange, KeyDraft, KeyStatus
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.kernel import time
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest

Instant = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(min_length=1, max_length=120)]


class ApiKeyShape(Shape, kw_only=True):
    """Contract schema `ApiKey`, and `ApiKeyWithSecret` where there is a secret to be shown."""

    id: str
    name: str
    prefix: str
    environment: str
    scopes: list[str]
    status: str
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    created_by: str
    allowed_cidrs: list[str] | None = None
    created_at: datetime
    updated_at: datetime
    version: int
    secret: str | None = None

    @classmethod
    def of(cls, key: identity.ApiKey, secret: str | None = None) -> "ApiKeyShape":
        return cls(
            id=str(key.id),
            name=key.name,
            prefix=key.prefix,
            environment=key.environment,
            scopes=key.scopes,
            status=key.status(time.now()),
            expires_at=key.expires_at,
            last_used_at=key.last_used_at,
            created_by=str(key.created_by),
            allowed_cidrs=key.allowed_cidrs or None,
            created_at=key.created_at,
            updated_at=key.updated_at,
            version=key.version,
            secret=secret,
        )


class ApiKeyBody(Body):
    """Body of `api-key.create`."""

    name: Name
    environment: Environment = Environment.LIVE
    scopes: list[str] | None = None
    expires_at: Instant | None = None
    allowed_cidrs: list[str] | UnsetType = UNSET


class ApiKeyPatch(Body):
    """Body of `api-key.update`."""

    name: Name | UnsetType = UNSET
    scopes: list[str] | UnsetType = UNSET
    expires_at: Instant | UnsetType | None = UNSET
    allowed_cidrs: list[str] | UnsetType = UNSET


class RotationBody(Body):
    """Body of `api-key.rotate`."""

    grace_seconds: Annotated[int, Meta(ge=0, le=604_800)] = 0


@get("/", operation_id="api-key.list")
async def list_keys(
    work: Work,
    page: PageQuery,
    status: Annotated[list[KeyStatus] | None, QueryParameter(description="repeat it to or")] = None,
) -> PageShape[ApiKeyShape]:
    """Keys with prefix and last use, newest first, never the secret."""
    return page_shape(await identity.list_keys(work, status or [], page), page, ApiKeyShape.of)


@post("/", operation_id="api-key.create", status_code=201)
@idempotent
async def create_key(request: AnyRequest, work: Work, data: ApiKeyBody) -> Response[ApiKeyShape | None]:
    """Creates a key with at most the rights of its creator; the secret (sk_...) is in this answer only."""
    draft = KeyDraft(
        name=data.name,
        environment=data.environment,
        scopes=data.scopes,
        expires_at=data.expires_at,
        allowed_cidrs=[] if data.allowed_cidrs is UNSET else data.allowed_cidrs,
    )
    new = await identity.create_key(work, draft)
    shape = ApiKeyShape.of(new.key, new.secret)
    return versioned(request, shape, new.key.version, location=f"/api/v1/api-keys/{new.key.id}")


@get("/{id:str}", operation_id="api-key.get")
async def get_key(request: AnyRequest, work: Work, id: str) -> Response[ApiKeyShape | None]:
    """One key."""
    key = await identity.get_key(work, read_id(id, "API key"))
    return versioned(request, ApiKeyShape.of(key), key.version)


@patch("/{id:str}", operation_id="api-key.update")
async def change_key(
    request: AnyRequest, work: Work, id: str, expected: int | None, data: ApiKeyPatch
) -> Response[ApiKeyShape | None]:
    """Renames, narrows scopes, sets expiry and networks."""
    change = KeyChange(name=data.name, scopes=data.scopes, expires_at=data.expires_at, allowed_cidrs=data.allowed_cidrs)
    key = await identity.change_key(work, read_id(id, "API key"), change, expected=expected)
    return versioned(request, ApiKeyShape.of(key), key.version)


@post("/{id:str}/rotate", operation_id="api-key.rotate", status_code=200)
async def rotate_key(
    request: AnyRequest, work: Work, id: str, data: RotationBody | None = None
) -> Response[ApiKeyShape | None]:
    """New secret; the old one stays valid for graceSeconds."""
    grace = timedelta(seconds=data.grace_seconds if data else 0)
    new = await identity.rotate_key(work, read_id(id, "API key"), grace=grace)
    return versioned(request, ApiKeyShape.of(new.key, new.secret), new.key.version)


@delete("/{id:str}", operation_id="api-key.revoke")
async def revoke_key(work: Work, id: str) -> None:
    """Revokes at once; the record stays for the audit log."""
    await identity.revoke_key(work, read_id(id, "API key"))


router = Router(
    "/v1/api-keys",
    route_handlers=[list_keys, create_key, get_key, change_key, rotate_key, revoke_key],
    tags=["access"],
)
