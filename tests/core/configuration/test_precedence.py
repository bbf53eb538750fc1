"""Precedence, against an oracle that reads the contract word by word; and what a status needs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.core.configuration import ArtefactId, BindingId, EntryStatus, ReportedEntry, TargetType
from roadstead.core.configuration.model import ForProfile, ProfileKind, ProfileName, settle
from roadstead.core.configuration.precedence import Bound, Part, Unit, Wanted, assemble, digest
from roadstead.kernel.ids import ComponentId, DeviceId, GroupId, ProfileId

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
THIS = DeviceId(UUID(int=1))
OTHER = DeviceId(UUID(int=2))
PROFILES = [ProfileName("a", 1), ProfileName("a", 2), ProfileName("b", 1)]
MOST_SPECIFIC_FIRST = ["COMPONENT", "DEVICE", "DEVICE_GROUP", "DEVICE_PROFILE", "SENSOR_PROFILE"]


def profile_id(kind: str, number: int) -> ProfileId:
    """Of the profile of this kind and number."""
    return ProfileId(UUID(int=100 + number if kind == "DEVICE" else 200 + number))


_parts = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=3, unique_by=lambda part: part[0])


@st.composite
def units(draw: st.DrawFn) -> Unit:
    """A device with up to three components, in up to three groups."""
    profile = draw(st.none() | st.integers(0, 2))
    return Unit(
        id=THIS,
        profile_id=None if profile is None else profile_id("DEVICE", profile),
        profile=None if profile is None else PROFILES[profile],
        parts=[
            Part(
                id=ComponentId(UUID(int=10 + number)),
                key=f"part{number}",
                profile_id=profile_id("SENSOR", kind),
                profile=PROFILES[kind],
            )
            for number, kind in draw(_parts)
        ],
        groups=frozenset(GroupId(UUID(int=300 + number)) for number in draw(st.sets(st.integers(0, 2)))),
    )


@st.composite
def bindings(draw: st.DrawFn) -> list[Bound]:
    """Bindings of a few names to a few targets, one of each name to each."""
    targets: dict[TargetType, Sequence[UUID]] = {
        TargetType.DEVICE: [THIS, OTHER],
        TargetType.COMPONENT: [UUID(int=10 + number) for number in range(4)],
        TargetType.DEVICE_GROUP: [UUID(int=300 + number) for number in range(4)],
        TargetType.DEVICE_PROFILE: [profile_id("DEVICE", number) for number in range(3)],
        TargetType.SENSOR_PROFILE: [profile_id("SENSOR", number) for number in range(3)],
    }
    places = st.sampled_from([(type_, target) for type_, known in targets.items() for target in known])
    chosen = draw(st.lists(st.tuples(places, st.sampled_from("xy")), max_size=14, unique=True))
    found = []
    for number, ((target_type, target_id), name) in enumerate(chosen):
        kind = draw(st.none() | st.sampled_from(ProfileKind))
        known = draw(st.sampled_from(PROFILES))
        found.append(
            Bound(
                binding_id=BindingId(UUID(int=1000 + draw(st.permutations(range(20)))[0] * 50 + number)),
                target_type=target_type,
                target_id=target_id,
                priority=draw(st.integers(0, 1)),
                created_at=NOON + timedelta(seconds=draw(st.integers(0, 2))),
                desired_version=1,
                artefact_id=ArtefactId(UUID(int=number)),
                artefact_name=name,
                hash=str(number),
                profile=None if kind is None else ForProfile(kind, known.key, known.major, 0),
            )
        )
    return found


def oracle(unit: Unit, bound: list[Bound]) -> set[tuple[str, str, BindingId]]:
    """Place by place: everything that means it, sorted by the words of the contract; the first has it."""
    found = set()
    for part in (None, *unit.parts):
        for name in "xy":
            meant = sorted((one for one in bound if one.artefact_name == name and means(one, unit, part)), key=order)
            if not meant:
                continue
            # What a component only inherits from its device stands there once, for the device as a whole.
            of_part = meant[0].target_type in (TargetType.COMPONENT, TargetType.SENSOR_PROFILE)
            if part is None or of_part:
                found.add((part.key if part else "", name, meant[0].binding_id))
    return found


def means(one: Bound, unit: Unit, part: Part | None) -> bool:
    """Whether a binding is about a component (or the device as a whole) of a device."""
    if one.target_type in (TargetType.COMPONENT, TargetType.SENSOR_PROFILE):
        if part is None or one.target_id not in (part.id, part.profile_id):
            return False
        profile, kind = part.profile, ProfileKind.SENSOR
    else:
        if one.target_id not in (unit.id, unit.profile_id, *unit.groups):
            return False
        if unit.profile is None and one.profile is not None:
            return False
        profile, kind = unit.profile or PROFILES[0], ProfileKind.DEVICE
    return one.profile is None or (one.profile.kind, one.profile.key, one.profile.major) == (
        kind,
        profile.key,
        profile.major,
    )


def order(one: Bound) -> tuple[int, int, float, int]:
    """Most specific first; of groups by priority; then the newest."""
    priority = one.priority if one.target_type is TargetType.DEVICE_GROUP else 0
    newest = -(one.created_at - NOON).total_seconds()
    return MOST_SPECIFIC_FIRST.index(one.target_type), -priority, newest, -one.binding_id.int


def places(wanted: list[Wanted]) -> set[tuple[str, str, BindingId]]:
    """What stands where."""
    return {(*each.key, each.bound.binding_id) for each in wanted}


@given(units(), bindings())
def test_the_most_specific_wins_in_every_place(unit: Unit, bound: list[Bound]) -> None:
    wanted = assemble(unit, bound)

    assert places(wanted) == oracle(unit, bound)
    assert [each.key for each in wanted] == sorted({each.key for each in wanted})


@settings(max_examples=30)
@given(units(), bindings(), st.randoms())
def test_the_order_of_bindings_does_not_matter(unit: Unit, bound: list[Bound], random: object) -> None:
    shuffled = list(bound)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert assemble(unit, shuffled) == assemble(unit, bound)


@settings(max_examples=50)
@given(units(), bindings(), bindings())
def test_a_digest_changes_exactly_when_the_document_does(unit: Unit, one: list[Bound], other: list[Bound]) -> None:
    documents = [assemble(unit, bound) for bound in (one, other)]
    told = [[(*each.key, each.bound.desired_version, each.bound.hash) for each in document] for document in documents]
    assert (digest(documents[0]) == digest(documents[1])) == (told[0] == told[1])


def said(status: EntryStatus, hash_: str, version: int) -> ReportedEntry:
    """What a device reports."""
    return ReportedEntry(artefact_name="x", version=version, hash=hash_, status=status, at=NOON)


@given(st.sampled_from(EntryStatus), st.sampled_from(["old", "new"]), st.integers(1, 2))
def test_accepted_needs_the_hash(status: EntryStatus, hash_: str, version: int) -> None:
    settled = settle("new", 2, said(status, hash_, version))

    if status is EntryStatus.ACCEPTED:
        assert settled is (EntryStatus.ACCEPTED if hash_ == "new" else EntryStatus.PENDING)
    else:
        assert settled is (status if hash_ == "new" or version == 2 else EntryStatus.PENDING)
    assert settle("new", 2, None) is EntryStatus.PENDING
