"""/sensor-profiles: versioned typed schemas of channels."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Response, Router, delete, get, post
from litestar.di import Provide
from litestar.params import QueryParameter
from msgspec import Meta

from roadstead.core import types
from roadstead.core.types import ProfileField, ProfileQuery, SensorProfile, SensorProfileDraft, Version
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.problems import FieldErrorShape, spell_field
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import ProfileId
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest

ProfileKey = Annotated[str, Meta(min_length=1, max_length=80)]
ProfileVersion = Annotated[str, Meta(pattern=r"^\d+\.\d+$")]
Name = Annotated[str, Meta(min_length=1, max_length=120)]
Description = Annotated[str, Meta(max_length=1000)]


class SensorProfileShape(Shape, kw_only=True):
    """Contract schema `SensorProfile`."""

    id: str
    key: str
    profile_version: str
    name: str
    description: str | None = None
    fields: list[ProfileField]
    config_schema: dict[str, Any] | None = None
    pack_id: str | None = None
    deprecated: bool
    created_at: datetime

    @classmethod
    def of(cls, profile: SensorProfile) -> "SensorProfileShape":
        return cls(
            id=str(profile.id),
            key=profile.key,
            profile_version=str(profile.version),
            name=profile.name,
            description=profile.description,
            fields=profile.fields,
            config_schema=profile.config_schema,
            pack_id=profile.pack_id,
            deprecated=profile.deprecated,
            created_at=profile.created_at,
        )


class SensorProfileBody(Body, kw_only=True):
    """Contract schema `SensorProfileInput`."""

    key: ProfileKey
    profile_version: ProfileVersion
    name: Name
    description: Description | None = None
    fields: Annotated[list[ProfileField], Meta(min_length=1, max_length=200)]
    config_schema: dict[str, Any] | None = None


class PayloadBody(Body, kw_only=True):
    """Body of `sensor-profile.validate`."""

    payload: dict[str, Any]


class VerdictShape(Shape, kw_only=True):
    """Answer of `sensor-profile.validate`."""

    valid: bool
    errors: list[FieldErrorShape]


SortParameter = Annotated[str | None, QueryParameter(description="key (default), createdAt; -field descends")]


def provide_query(
    key: str | None = None,
    version: Annotated[str | None, QueryParameter(description="major.minor")] = None,
    all_versions: Annotated[
        bool, QueryParameter(name="allVersions", description="not only the newest version of each key")
    ] = False,
    pack_id: Annotated[str | None, QueryParameter(name="packId")] = None,
    q: Annotated[str | None, QueryParameter(description="part of the key or the name", max_length=200)] = None,
) -> ProfileQuery:
    """The filters of both lists of profiles."""
    parsed = None if version is None else read_version(version, "version", place="query")
    return ProfileQuery(key=key, version=parsed, all_versions=all_versions, pack_id=pack_id, text=q)


def read_version(text: str, name: str, *, place: str = "body") -> Version:
    """`major.minor`; `Invalid` names the field."""
    version = Version.parse(text)
    if version is None:
        raise Invalid.field(name, "is 'major.minor' without leading zeros", place=place)
    return version


@get("/", operation_id="sensor-profile.list")
async def list_profiles(
    work: Work, page: PageQuery, wanted: ProfileQuery, sort: SortParameter = None
) -> PageShape[SensorProfileShape]:
    """Lists profiles, or looks up one version with key and version. Newest version per key unless allVersions."""
    found = await types.list_sensor_profiles(work, wanted, sort=sort, page=page)
    return page_shape(found, page, SensorProfileShape.of)


@post("/", operation_id="sensor-profile.create", status_code=201)
@idempotent
async def create_profile(
    request: AnyRequest, work: Work, data: SensorProfileBody
) -> Response[SensorProfileShape | None]:
    """Adds a version. Versions are immutable: an additive change must raise minor, a breaking one major."""
    draft = SensorProfileDraft(
        key=data.key,
        version=read_version(data.profile_version, "/profileVersion"),
        name=data.name,
        description=data.description,
        fields=data.fields,
        config_schema=data.config_schema,
    )
    profile = await types.create_sensor_profile(work, draft)
    location = f"/api/v1/sensor-profiles/{profile.id}"
    return versioned(request, SensorProfileShape.of(profile), revision_of(profile), location=location)


@get("/{id:str}", operation_id="sensor-profile.get")
async def get_profile(request: AnyRequest, work: Work, id: str) -> Response[SensorProfileShape | None]:
    """One version."""
    profile = await types.get_sensor_profile(work, _read(id))
    return versioned(request, SensorProfileShape.of(profile), revision_of(profile))


@get("/{key:str}/versions", operation_id="sensor-profile.versions")
async def list_versions(work: Work, key: str) -> PageShape[SensorProfileShape]:
    """All versions of a key, newest first."""
    versions = await types.list_sensor_profile_versions(work, key)
    return PageShape(items=[SensorProfileShape.of(profile) for profile in versions])


@post("/{id:str}/deprecate", operation_id="sensor-profile.deprecate", status_code=200)
async def deprecate_profile(request: AnyRequest, work: Work, id: str) -> Response[SensorProfileShape | None]:
    """Hides a version from pickers; it stays usable."""
    profile = await types.deprecate_sensor_profile(work, _read(id))
    return versioned(request, SensorProfileShape.of(profile), revision_of(profile))


@post("/{id:str}/validate", operation_id="sensor-profile.validate", status_code=200)
async def validate_payload(work: Work, id: str, data: PayloadBody) -> VerdictShape:
    """Checks a payload as ingestion would; nothing is stored."""
    problems = await types.check_payload(work, _read(id), data.payload)
    return VerdictShape(valid=not problems, errors=[spell_field(problem) for problem in problems])


@delete("/{id:str}", operation_id="sensor-profile.delete")
async def delete_profile(work: Work, id: str) -> None:
    """Deletes an unused version that no pack owns."""
    await types.delete_sensor_profile(work, _read(id))


def revision_of(profile: types.SensorProfile | types.DeviceProfile) -> int:
    """For the ETag: all that can change about a version is that it becomes deprecated."""
    return 2 if profile.deprecated else 1


def _read(text: str) -> ProfileId:
    return ProfileId(read_id(text, "sensor profile"))


router = Router(
    "/v1/sensor-profiles",
    route_handlers=[
        list_profiles,
        create_profile,
        get_profile,
        list_versions,
        deprecate_profile,
        validate_payload,
        delete_profile,
    ],
    dependencies={"wanted": Provide(provide_query, sync_to_thread=False)},
    tags=["profiles"],
)
