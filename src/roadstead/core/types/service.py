"""What can be done with profiles."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from roadstead.core.operation import operation
from roadstead.core.types import store
from roadstead.core.types.model import (
    ComponentTemplate,
    DeviceProfile,
    DeviceProfileDraft,
    ProfileQuery,
    SensorProfile,
    SensorProfileDraft,
    Version,
    parse_reference,
)
from roadstead.core.types.rules import (
    breaking_components,
    breaking_fields,
    check_device_profile,
    check_sensor_profile,
    check_step,
)
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, FieldProblem, Invalid, NotFound
from roadstead.kernel.ids import ProfileId, new_id
from roadstead.kernel.page import Page, PageQuery

P = TypeVar("P", SensorProfile, DeviceProfile)

_WORDS: dict[type, str] = {SensorProfile: "sensor profile", DeviceProfile: "device profile"}

# --- sensor profiles -------------------------------------------------------------------------------------------------


@operation(Grant.PROFILES_READ)
async def list_sensor_profiles(
    work: Work, query: ProfileQuery, *, sort: str | None, page: PageQuery
) -> Page[SensorProfile]:
    """Sensor profiles, sorted by `key` or `createdAt`."""
    return await store.list_profiles(work.tx, SensorProfile, query, sort, page)


@operation(Grant.PROFILES_READ)
async def get_sensor_profile(work: Work, profile_id: ProfileId) -> SensorProfile:
    """One version."""
    return await _load(work, SensorProfile, profile_id)


@operation(Grant.PROFILES_READ)
async def list_sensor_profile_versions(work: Work, key: str) -> list[SensorProfile]:
    """All versions of a key, newest first; `NotFound` when there is none."""
    return await _load_versions(work, SensorProfile, key)


@operation(Grant.PROFILES_WRITE)
async def create_sensor_profile(work: Work, draft: SensorProfileDraft) -> SensorProfile:
    """Add a version. A breaking change needs a higher major number than the version before (contract section 7)."""
    check_sensor_profile(draft)
    await _check_free(work, SensorProfile, draft.key, draft.version)
    before = await store.select_newest_below(work.tx, SensorProfile, draft.key, draft.version.major)
    breaking = breaking_fields(before.fields, draft.fields, "/fields") if before else []
    check_step(draft.key, draft.version, before.version if before else None, breaking)

    profile = SensorProfile(
        id=ProfileId(new_id()),
        key=draft.key,
        major=draft.version.major,
        minor=draft.version.minor,
        name=draft.name,
        description=draft.description,
        fields=draft.fields,
        config_schema=draft.config_schema,
        pack_id=None,
        deprecated=False,
        created_at=work.now(),
    )
    return await _add(work, profile)


@operation(Grant.PROFILES_WRITE)
async def deprecate_sensor_profile(work: Work, profile_id: ProfileId) -> SensorProfile:
    """Hide a version from pickers; it stays usable."""
    return await _deprecate(work, SensorProfile, profile_id)


@operation(Grant.PROFILES_WRITE)
async def delete_sensor_profile(work: Work, profile_id: ProfileId) -> None:
    """Delete a version that no component, no device profile and no pack needs."""
    await _delete(work, SensorProfile, profile_id)


@operation(Grant.PROFILES_READ)
async def check_payload(work: Work, profile_id: ProfileId, payload: Mapping[str, object]) -> list[FieldProblem]:
    """What ingestion would find wrong with a payload; nothing is stored."""
    return (await _load(work, SensorProfile, profile_id)).check(payload)


# --- device profiles -------------------------------------------------------------------------------------------------


@operation(Grant.PROFILES_READ)
async def list_device_profiles(
    work: Work, query: ProfileQuery, *, sort: str | None, page: PageQuery
) -> Page[DeviceProfile]:
    """Device profiles, sorted by `key` or `createdAt`."""
    return await store.list_profiles(work.tx, DeviceProfile, query, sort, page)


@operation(Grant.PROFILES_READ)
async def get_device_profile(work: Work, profile_id: ProfileId) -> DeviceProfile:
    """One version."""
    return await _load(work, DeviceProfile, profile_id)


@operation(Grant.PROFILES_READ)
async def list_device_profile_versions(work: Work, key: str) -> list[DeviceProfile]:
    """All versions of a key, newest first; `NotFound` when there is none."""
    return await _load_versions(work, DeviceProfile, key)


@operation(Grant.PROFILES_WRITE)
async def create_device_profile(work: Work, draft: DeviceProfileDraft) -> DeviceProfile:
    """Add a version. Components that name no version of their sensor profile are bound to the newest."""
    check_device_profile(draft)
    await _check_free(work, DeviceProfile, draft.key, draft.version)
    components = await _bind(work, draft.components)
    before = await store.select_newest_below(work.tx, DeviceProfile, draft.key, draft.version.major)
    breaking: list[FieldProblem] = []
    if before is not None:
        breaking += breaking_components(before.components, components)
        breaking += breaking_fields(before.writable_fields, draft.writable_fields, "/writableFields")
        commands = {command.type for command in draft.commands}
        breaking += [
            FieldProblem("/commands", "version-rule", f"command '{command.type}' was removed")
            for command in before.commands
            if command.type not in commands
        ]
    check_step(draft.key, draft.version, before.version if before else None, breaking)

    profile = DeviceProfile(
        id=ProfileId(new_id()),
        key=draft.key,
        major=draft.version.major,
        minor=draft.version.minor,
        name=draft.name,
        description=draft.description,
        components=components,
        writable_fields=draft.writable_fields,
        config_schema=draft.config_schema,
        commands=draft.commands,
        pack_id=None,
        deprecated=False,
        created_at=work.now(),
    )
    return await _add(work, profile)


@operation(Grant.PROFILES_WRITE)
async def deprecate_device_profile(work: Work, profile_id: ProfileId) -> DeviceProfile:
    """Hide a version from pickers; it stays usable."""
    return await _deprecate(work, DeviceProfile, profile_id)


@operation(Grant.PROFILES_WRITE)
async def delete_device_profile(work: Work, profile_id: ProfileId) -> None:
    """Delete a version that no device and no pack needs."""
    await _delete(work, DeviceProfile, profile_id)


async def _bind(work: Work, components: Sequence[ComponentTemplate]) -> list[ComponentTemplate]:
    bound = []
    for index, component in enumerate(components):
        profile = await find_sensor_profile(work, component.sensor_profile, f"/components/{index}/sensorProfile")
        bound.append(msgspec.structs.replace(component, sensor_profile=profile.reference))
    return bound


# --- what both have in common ----------------------------------------------------------------------------------------


async def _load(work: Work, kind: type[P], profile_id: ProfileId) -> P:
    profile = await store.select_profile(work.tx, kind, profile_id)
    if profile is None:
        raise NotFound(_WORDS[kind], profile_id)
    return profile


async def _load_versions(work: Work, kind: type[P], key: str) -> list[P]:
    versions = await store.select_versions(work.tx, kind, key)
    if not versions:
        raise NotFound(_WORDS[kind], key)
    return versions


async def _find(work: Work, kind: type[P], reference: str, pointer: str) -> P:
    profile = await store.select_referenced(work.tx, kind, parse_reference(reference, pointer))
    if profile is None:
        raise Invalid.field(pointer, f"there is no {_WORDS[kind]} {reference}")
    return profile


async def _check_free(work: Work, kind: type[P], key: str, version: Version) -> None:
    if await store.has_version(work.tx, kind, key, version):
        raise _taken(kind, key, version)


async def _add(work: Work, profile: P) -> P:
    if not await store.insert_profile(work.tx, profile):
        raise _taken(type(profile), profile.key, profile.version)
    work.record(f"{_resource(type(profile))}.create", profile.id, after=profile)
    return profile


async def _deprecate(work: Work, kind: type[P], profile_id: ProfileId) -> P:
    before = await _load(work, kind, profile_id)
    after = msgspec.structs.replace(before, deprecated=True)
    await store.deprecate_profile(work.tx, kind, profile_id)
    work.record(f"{_resource(kind)}.deprecate", profile_id, before=before, after=after)
    return after


async def _delete(work: Work, kind: type[P], profile_id: ProfileId) -> None:
    profile = await _load(work, kind, profile_id)
    await store.lock_profile(work.tx, kind, profile_id)
    in_use = profile.pack_id is not None or await store.is_profile_used(work.tx, profile)
    if in_use or not await store.delete_profile(work.tx, kind, profile_id):
        raise Conflict(f"{_WORDS[kind]} {profile.reference} is in use", code="in-use")
    work.record(f"{_resource(kind)}.delete", profile_id, before=profile)


def _taken(kind: type[P], key: str, version: Version) -> Conflict:
    return Conflict.taken(_WORDS[kind], "profileVersion", f"{key}@{version}")


def _resource(kind: type[P]) -> str:
    return _WORDS[kind].replace(" ", "-")


# --- for the rooms above ---------------------------------------------------------------------------------------------


async def find_sensor_profile(work: Work, reference: str, pointer: str) -> SensorProfile:
    """The version that `key@major.minor` or `key` names; `Invalid` at the pointer when there is none."""
    return await _find(work, SensorProfile, reference, pointer)


async def find_device_profile(work: Work, reference: str, pointer: str) -> DeviceProfile:
    """The version that `key@major.minor` or `key` names; `Invalid` at the pointer when there is none."""
    return await _find(work, DeviceProfile, reference, pointer)


async def load_sensor_profiles(work: Work, profile_ids: Sequence[ProfileId]) -> dict[ProfileId, SensorProfile]:
    """Those of the versions that are there, without asking for rights."""
    profiles = await store.select_profiles(work.tx, SensorProfile, list(profile_ids))
    return {profile.id: profile for profile in profiles}


async def load_device_profile(work: Work, profile_id: ProfileId) -> DeviceProfile:
    """One version, without asking for rights."""
    return await _load(work, DeviceProfile, profile_id)


async def device_profile_ids(work: Work, reference: str) -> list[ProfileId]:
    """The version that is named, or all versions of a key; none when it is not there. For filters."""
    return await store.select_ids(work.tx, DeviceProfile, parse_reference(reference, "deviceProfile", place="query"))


async def sensor_profile_ids(work: Work, reference: str) -> list[ProfileId]:
    """The version that is named, or all versions of a key; none when it is not there. For filters."""
    return await store.select_ids(work.tx, SensorProfile, parse_reference(reference, "sensorProfile", place="query"))
