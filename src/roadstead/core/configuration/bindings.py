"""What can be done with bindings."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from roadstead.core import registry, types
from roadstead.core.configuration import binding_store as store
from roadstead.core.configuration.artefacts import load_artefact
from roadstead.core.configuration.documents import Outcome, work_out
from roadstead.core.configuration.model import (
    SINGLE,
    Artefact,
    Binding,
    BindingDraft,
    BindingId,
    BindingQuery,
    Entry,
    EntryStatus,
    ForProfile,
    ProfileKind,
    ProfileName,
    TargetType,
)
from roadstead.core.configuration.sweeps import sweep_holders, sweep_targets
from roadstead.core.messages import BindingChanged
from roadstead.core.operation import operation, unguarded
from roadstead.core.types import DeviceProfile, ProfileReference, SensorProfile
from roadstead.core.work import Work, check_version
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound, PreconditionFailed
from roadstead.kernel.ids import ComponentId, DeviceId, GroupId, ProfileId, new_id, parse_uuid
from roadstead.kernel.page import Page, PageQuery

MAX_NAMES = 100
"""Artefacts bound to one target: documents stay readable."""


class PutBinding(msgspec.Struct, frozen=True):
    """What came of a draft."""

    binding: Binding
    is_new: bool


class Bound(msgspec.Struct, frozen=True):
    """A binding as it is now, or was before it went."""

    binding: Binding
    is_new: bool
    outcomes: list[Outcome]
    """Of the one device it may be about; of many nothing is known yet."""


class Target(msgspec.Struct, frozen=True):
    """Whom a draft means."""

    id: UUID
    device_id: DeviceId | None = None
    """The one device it can touch; None: it may be many."""
    profile: ProfileName | None = None


# --- looking up ------------------------------------------------------------------------------------------------------


@operation(Grant.CONFIG_READ)
async def list_bindings(work: Work, query: BindingQuery, *, sort: str | None, page: PageQuery) -> Page[Binding]:
    """Bindings, sorted by `createdAt` or `updatedAt`; newest first unless told otherwise."""
    return await store.list_bindings(work.tx, query, sort, page)


@operation(Grant.CONFIG_READ)
async def get_binding(work: Work, binding_id: BindingId) -> Binding:
    """One binding."""
    return await _load(work, binding_id)


@operation(Grant.CONFIG_READ)
async def list_entries(
    work: Work,
    binding_id: BindingId,
    *,
    statuses: Sequence[EntryStatus] = (),
    drifting: bool | None = None,
    page: PageQuery,
) -> Page[Entry]:
    """What devices shall have because of a binding, and how far each is; none that has something more specific."""
    await _load(work, binding_id)
    return await store.list_entries(work.tx, binding_id, statuses, drifting, page)


@unguarded("for filters of list_bindings, which asks")
async def find_targets(work: Work, target_type: TargetType | None, text: str) -> list[UUID]:
    """The ids that a filter on targets means: an id, or a profile's `key@major.minor` (`key`: all its versions)."""
    target_id = parse_uuid(text)
    if target_id is not None:
        return [target_id]
    found: list[UUID] = []
    if ProfileReference.parse(text) is None:
        return found
    if target_type in (None, TargetType.DEVICE_PROFILE):
        found += await types.device_profile_ids(work, text)
    if target_type in (None, TargetType.SENSOR_PROFILE):
        found += await types.sensor_profile_ids(work, text)
    return found


# --- changing --------------------------------------------------------------------------------------------------------


@operation(Grant.CONFIG_WRITE)
async def put_binding(work: Work, draft: BindingDraft, *, expected: int | None) -> PutBinding:
    """Bind an artefact to a target, in place of the version of this name that was bound there.

    One device is worked out at once, many by a worker, soon. `NotFound` without target or artefact, `Invalid`
    (`profile-mismatch`) when the artefact is for another profile than the target has, `PreconditionFailed` when
    `expected` is not the version of the binding that is there.
    """
    done = await bind(work, draft, expected=expected)
    return PutBinding(await _load(work, done.binding.id), done.is_new)


async def bind(work: Work, draft: BindingDraft, *, expected: int | None) -> Bound:
    """What `put_binding` does, with what became of the one device it may be about."""
    draft.check()
    artefact = await load_artefact(work, draft.artefact_id)
    target = await _find_target(work, draft)
    _check_profile(artefact, draft.target_type, target)
    before = await store.lock_binding_of(work.tx, draft.target_type, target.id, artefact.name)
    if before is None:
        return await _create(work, draft, artefact, target, expected)
    check_version(before.version, expected)
    return await _change(work, draft, artefact, target, before)


async def _create(work: Work, draft: BindingDraft, artefact: Artefact, target: Target, expected: int | None) -> Bound:
    if expected is not None:
        raise PreconditionFailed(f"nothing of the name '{artefact.name}' is bound to this target")
    if await store.count_names(work.tx, draft.target_type, target.id) >= MAX_NAMES:
        raise Invalid.field("/configArtefactId", f"a target takes at most {MAX_NAMES} artefacts")
    now = work.now()
    binding = Binding(
        id=BindingId(new_id()),
        target_type=draft.target_type,
        target_id=target.id,
        artefact_id=artefact.id,
        artefact_name=artefact.name,
        desired_version=1,
        priority=draft.priority,
        created_at=now,
        updated_at=now,
        version=1,
    )
    if not await store.insert_binding(work.tx, binding):
        raise Conflict("somebody else has just bound something of this name to the target; try again")
    work.record("binding.create", binding.id, after=_Audit.of(binding))
    return Bound(binding, True, await _spread(work, binding, target.device_id, holders=False, targets=True))


async def _change(work: Work, draft: BindingDraft, artefact: Artefact, target: Target, before: Binding) -> Bound:
    other = artefact.id != before.artefact_id
    if not other and draft.priority == before.priority:
        return Bound(before, False, [])
    was = await load_artefact(work, before.artefact_id)
    after = msgspec.structs.replace(
        before,
        artefact_id=artefact.id,
        desired_version=before.desired_version + other,
        priority=draft.priority,
        updated_at=work.now(),
        version=before.version + 1,
    )
    await store.update_binding(work.tx, after)
    work.record("binding.update", after.id, before=_Audit.of(before), after=_Audit.of(after))
    # Only who holds it gets the new content; who comes before whom changes with the priority, and with whom it is for.
    wider = draft.priority != before.priority or _audience(was.profile) != _audience(artefact.profile)
    return Bound(after, False, await _spread(work, after, target.device_id, holders=True, targets=wider))


@operation(Grant.CONFIG_WRITE)
async def delete_binding(work: Work, binding_id: BindingId, *, expected: int | None) -> None:
    """Unbind: what is next by precedence takes its place, or the devices shall not have it any more."""
    await unbind(work, binding_id, expected=expected)


async def unbind(work: Work, binding_id: BindingId, *, expected: int | None) -> Bound:
    """What `delete_binding` does, with what became of the one device it may be about."""
    binding = await store.lock_binding(work.tx, binding_id)
    if binding is None:
        raise NotFound("binding", binding_id)
    check_version(binding.version, expected)
    device_id = await _device_of(work, binding)
    await store.delete_binding(work.tx, binding_id)
    work.record("binding.delete", binding_id, before=_Audit.of(binding))
    return Bound(binding, False, await _spread(work, binding, device_id, holders=True, targets=False))


@operation(Grant.CONFIG_WRITE)
async def resend_binding(work: Work, binding_id: BindingId) -> None:
    """Send their documents again to all devices that have not accepted what this binding gives them."""
    binding = await _load(work, binding_id)
    work.record("binding.resend", binding_id)
    await sweep_holders(work, binding, resend=True)
    work.emit(BindingChanged(binding_id))


async def _spread(
    work: Work, binding: Binding, device_id: DeviceId | None, *, holders: bool, targets: bool
) -> list[Outcome]:
    """See to it that all devices it may touch are worked out: a single one at once."""
    work.emit(BindingChanged(binding.id))
    if device_id is not None:
        return await work_out(work, [device_id])
    if holders:
        await sweep_holders(work, binding)
    if targets:
        await sweep_targets(work, binding.target_type, binding.target_id)
    return []


# --- targets and profiles --------------------------------------------------------------------------------------------


async def _find_target(work: Work, draft: BindingDraft) -> Target:
    if draft.target_type in (TargetType.DEVICE_PROFILE, TargetType.SENSOR_PROFILE):
        profile = await _find_profile(work, draft)
        return Target(profile.id, profile=ProfileName(profile.key, profile.major))
    target_id = parse_uuid(draft.target)
    if target_id is None:
        raise NotFound(draft.target_type.lower().replace("_", " "), draft.target)
    match draft.target_type:
        case TargetType.DEVICE:
            device = await registry.load_device(work, DeviceId(target_id))
            return Target(target_id, device.id, _name_of(device.profile))
        case TargetType.COMPONENT:
            component = await registry.load_component(work, ComponentId(target_id))
            return Target(target_id, component.device_id, _name_of(component.sensor_profile))
    await registry.load_group(work, GroupId(target_id))
    return Target(target_id)


async def _find_profile(work: Work, draft: BindingDraft) -> DeviceProfile | SensorProfile:
    of_devices = draft.target_type is TargetType.DEVICE_PROFILE
    missing = NotFound(draft.target_type.lower().replace("_", " "), draft.target)
    profile_id = parse_uuid(draft.target)
    if profile_id is not None:
        if of_devices:
            return await types.load_device_profile(work, ProfileId(profile_id))
        profile = (await types.load_sensor_profiles(work, [ProfileId(profile_id)])).get(ProfileId(profile_id))
        if profile is None:
            raise missing
        return profile
    if not await find_targets(work, draft.target_type, draft.target):
        raise missing
    find = types.find_device_profile if of_devices else types.find_sensor_profile
    found: DeviceProfile | SensorProfile = await find(work, draft.target, "/targetId")
    return found


def _name_of(reference: str | None) -> ProfileName | None:
    known = None if reference is None else ProfileReference.parse(reference)
    return None if known is None or known.version is None else ProfileName(known.key, known.version.major)


def _check_profile(artefact: Artefact, target_type: TargetType, target: Target) -> None:
    """An artefact that was checked for a profile is for that profile only. Groups may be mixed: others get nothing."""
    profile = artefact.profile
    if profile is None:
        return
    of_parts = target_type in (TargetType.COMPONENT, TargetType.SENSOR_PROFILE)
    kind = ProfileKind.SENSOR if of_parts else ProfileKind.DEVICE
    fits = profile.kind is kind if target_type is TargetType.DEVICE_GROUP else profile.fits(kind, target.profile)
    if not fits:
        detail = f"is for the {profile.kind.lower()} profile {profile.reference}, which the target does not have"
        problem = Invalid.field("/configArtefactId", detail, code="profile-mismatch")
        raise Invalid(str(problem), code="profile-mismatch", fields=problem.fields)


def _audience(profile: ForProfile | None) -> tuple[object, ...]:
    return () if profile is None else (profile.kind, profile.key, profile.major)


async def _device_of(work: Work, binding: Binding) -> DeviceId | None:
    if binding.target_type not in SINGLE:
        return None
    if binding.target_type is TargetType.DEVICE:
        return DeviceId(binding.target_id)
    return (await registry.load_component(work, ComponentId(binding.target_id))).device_id


async def _load(work: Work, binding_id: BindingId) -> Binding:
    binding = await store.select_binding(work.tx, binding_id)
    if binding is None:
        raise NotFound("binding", binding_id)
    return binding


class _Audit(msgspec.Struct, frozen=True):
    """A binding in the audit log: what was bound, not how far it is."""

    target_type: TargetType
    target_id: UUID
    artefact_id: UUID
    artefact_name: str
    desired_version: int
    priority: int

    @classmethod
    def of(cls, binding: Binding) -> "_Audit":
        return cls(**{name: getattr(binding, name) for name in cls.__struct_fields__})
