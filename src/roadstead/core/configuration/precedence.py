"""Which artefacts a device shall have: of all bindings that mean it, the most specific of each name. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.core.configuration.model import ArtefactId, BindingId, ForProfile, ProfileKind, ProfileName, TargetType
from roadstead.kernel.ids import ComponentId, DeviceId, GroupId, ProfileId

_ORDER = (
    TargetType.SENSOR_PROFILE,
    TargetType.DEVICE_PROFILE,
    TargetType.DEVICE_GROUP,
    TargetType.DEVICE,
    TargetType.COMPONENT,
)
_RANKS = {target: rank for rank, target in enumerate(_ORDER)}


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """A binding with its artefact, as far as precedence asks."""

    binding_id: BindingId
    target_type: TargetType
    target_id: UUID
    priority: int
    created_at: datetime
    desired_version: int
    artefact_id: ArtefactId
    artefact_name: str
    hash: str
    profile: ForProfile | None = None

    @property
    def rank(self) -> tuple[int, int, datetime, UUID]:
        """The highest wins: the most specific, of groups the one of higher priority, then the newest."""
        priority = self.priority if self.target_type is TargetType.DEVICE_GROUP else 0
        return _RANKS[self.target_type], priority, self.created_at, self.binding_id


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A component of a device."""

    id: ComponentId
    key: str
    profile_id: ProfileId
    profile: ProfileName


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A device, as far as precedence asks."""

    id: DeviceId
    profile_id: ProfileId | None = None
    profile: ProfileName | None = None
    parts: list[Part] = []
    groups: frozenset[GroupId] = frozenset()
    """Those of the bound groups that it is a member of."""


class Wanted(msgspec.Struct, frozen=True):
    """One entry of a document."""

    part: Part | None
    """None: for the device as a whole."""
    bound: Bound

    @property
    def key(self) -> tuple[str, str]:
        """Its place in the document."""
        return self.part.key if self.part else "", self.bound.artefact_name


def assemble(unit: Unit, bindings: Iterable[Bound]) -> list[Wanted]:
    """What the device shall have, in order of component and name.

    A component has what is bound to it. What is bound to its sensor profile it has only where nothing of that name is
    bound to its device, a group or the device's profile, for these are more specific (contract section 3). An artefact
    for a profile goes only to devices and components that have that profile.
    """
    whole: dict[str, Bound] = {}
    parts: dict[tuple[str, str], Wanted] = {}
    for bound in bindings:
        if bound.target_type in (TargetType.COMPONENT, TargetType.SENSOR_PROFILE):
            for part in unit.parts:
                place = (part.key, bound.artefact_name)
                if _means_part(bound, part) and (place not in parts or parts[place].bound.rank < bound.rank):
                    parts[place] = Wanted(part, bound)
        elif _means_whole(bound, unit):
            other = whole.get(bound.artefact_name)
            if other is None or other.rank < bound.rank:
                whole[bound.artefact_name] = bound
    wanted = [Wanted(None, bound) for bound in whole.values()]
    wanted += [
        each
        for each in parts.values()
        if each.bound.target_type is TargetType.COMPONENT or each.bound.artefact_name not in whole
    ]
    return sorted(wanted, key=lambda each: each.key)


def _means_part(bound: Bound, part: Part) -> bool:
    target = part.id if bound.target_type is TargetType.COMPONENT else part.profile_id
    return bound.target_id == target and (bound.profile is None or bound.profile.fits(ProfileKind.SENSOR, part.profile))


def _means_whole(bound: Bound, unit: Unit) -> bool:
    match bound.target_type:
        case TargetType.DEVICE:
            means = bound.target_id == unit.id
        case TargetType.DEVICE_GROUP:
            means = bound.target_id in unit.groups
        case _:
            means = bound.target_id == unit.profile_id
    return means and (bound.profile is None or bound.profile.fits(ProfileKind.DEVICE, unit.profile))


def digest(wanted: Sequence[Wanted]) -> bytes:
    """Of what the document tells the device; two documents that tell the same have the same. Empty: of nothing."""
    if not wanted:
        return b""
    told = [(*each.key, each.bound.desired_version, each.bound.hash) for each in wanted]
    return hashlib.sha256(msgspec.json.encode(told)).digest()
