"""Taking spaces into bundles, and making them again from bundles."""

from collections.abc import AsyncIterator, Sequence

import msgspec

from roadstead.core import registry
from roadstead.core.bundles.model import (
    Bundle,
    BundledDevice,
    Conflicts,
    Kind,
    Planted,
    Problem,
    Unfit,
    Words,
    bundled,
    renamed,
)
from roadstead.core.operation import operation
from roadstead.core.registry import AttributeDraft, Device, DeviceChange, DeviceDraft, Global, Space, SpaceDraft
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, TooLarge
from roadstead.kernel.filter import Filter, equals
from roadstead.kernel.ids import DeviceId, SpaceId, to_hex24
from roadstead.kernel.page import PageQuery

MOST_DEVICES = 50_000
"""Of one bundle."""
MOST_AT_ONCE = 1_000
"""Devices that are put in while somebody waits."""
_PAGE = 1_000
_MOST_PROBLEMS = 100
_DRAFTED = AttributeDraft.__struct_fields__


@operation(Grant.DEVICES_READ)
async def gather(work: Work, space: Space, *, dialect: str, devices: bool) -> Bundle:
    """A space as a bundle. `dialect`: whose notes come along. Raises `TooLarge` for too many devices."""
    readme = await registry.find_readme(work, space.id)
    return Bundle(
        name=space.name,
        notes=space.notes.get(dialect, {}),
        readme=readme.content if readme else None,
        globals=(await registry.list_globals(work, [space.id]))[space.id],
        devices=await _gather_devices(work, space.id, dialect) if devices else [],
    )


async def _gather_devices(work: Work, space_id: SpaceId, dialect: str) -> list[BundledDevice]:
    if await registry.count_devices(work, equals("spaceId", space_id)) > MOST_DEVICES:
        raise TooLarge(f"a bundle takes {MOST_DEVICES} devices at most")
    words, names = dict[str, str](), Words()
    async for page in _pages(work, equals("spaceId", space_id)):
        words |= {to_hex24(each.id): names.word("device", each.title or each.name) for each in page}
    found: list[BundledDevice] = []
    async for page in _pages(work, equals("spaceId", space_id)):
        attributes = await registry.find_attributes(work, [each.id for each in page])
        for device in page:
            drafts = [
                AttributeDraft(**{name: getattr(each, name) for name in _DRAFTED}) for each in attributes[device.id]
            ]
            found.append(bundled(device, drafts, device.notes.get(dialect, {}), words))
    return found


async def _pages(work: Work, where: Filter) -> AsyncIterator[Sequence[Device]]:
    query = PageQuery(limit=_PAGE)
    while True:
        page = await registry.list_devices(work, where, sort="createdAt", page=query)
        yield page.items
        if page.next_cursor is None:
            return
        query = PageQuery(limit=_PAGE, cursor=page.next_cursor)


@operation(Grant.DEVICES_WRITE)
async def plant_anew(work: Work, bundle: Bundle, kinds: frozenset[Kind], *, dialect: str) -> Space:
    """A space like the one that the bundle was made of, with what is wanted. Raises `Unfit`."""
    space = await registry.create_space(work, SpaceDraft(name=bundle.name, notes={dialect: bundle.notes}))
    if bundle.readme is not None:
        await registry.write_readme(work, space.id, bundle.readme)
    await plant(work, space, bundle, kinds, Conflicts.CREATE, dialect=dialect)
    return space


@operation(Grant.DEVICES_WRITE)
async def plant(
    work: Work, space: Space, bundle: Bundle, kinds: frozenset[Kind], conflicts: Conflicts, *, dialect: str
) -> Planted:
    """Put what is wanted of a bundle into a space. Raises `Unfit`; nothing has been changed for good then."""
    steps = await _plan(work, space, bundle, kinds, conflicts)
    if Kind.GLOBAL in kinds:
        await _plant_globals(work, space, bundle, conflicts)
    if Kind.DEVICE not in kinds:
        return Planted()
    ids, problems = dict[str, DeviceId](), list[Problem]()
    for device, there in steps:
        try:
            ids[device.word] = there.id if there else await _create(work, space, device, dialect)
        except (Invalid, Conflict) as error:
            problems.append(_problem(device, str(error)))
            _give_up(problems, at=_MOST_PROBLEMS)
    _give_up(problems)
    changed = [(device, there) for device, there in steps if there is None or conflicts is Conflicts.REPLACE]
    for device, there in changed:
        try:
            await _place(work, device, there, ids, dialect)
        except (Invalid, Conflict) as error:
            problems.append(_problem(device, str(error)))
            _give_up(problems, at=_MOST_PROBLEMS)
    _give_up(problems)
    # Last: an attribute that is replaced by one of another type loses its history, and that cannot be taken back.
    for device, there in changed:
        await _describe(work, device, there, ids)
    created = sum(there is None for _, there in steps)
    return Planted(created=created, replaced=len(changed) - created, retained=len(steps) - len(changed))


@operation(Grant.DEVICES_READ)
async def check_fits(
    work: Work, space: Space, bundle: Bundle, kinds: frozenset[Kind], conflicts: Conflicts, *, dialect: str
) -> None:
    """Raises `Unfit` for what stands in the way of `plant`, as far as it shows without doing it."""
    problems = list[Problem]()
    for device, _ in await _plan(work, space, bundle, kinds, conflicts):
        try:
            _draft(space, device, dialect).check()
        except Invalid as error:
            problems.append(_problem(device, str(error)))
            _give_up(problems, at=_MOST_PROBLEMS)
    _give_up(problems)


Step = tuple[BundledDevice, Device | None]
"""A device of a bundle, and the one that is there already."""


async def _plan(work: Work, space: Space, bundle: Bundle, kinds: frozenset[Kind], conflicts: Conflicts) -> list[Step]:
    """What shall become of the devices. Raises `Unfit` when something is there already that must not be."""
    if len(bundle.devices) > MOST_DEVICES:
        raise TooLarge(f"a bundle takes {MOST_DEVICES} devices at most")
    problems = [*(await _taken_globals(work, space, bundle, conflicts) if Kind.GLOBAL in kinds else [])]
    there = dict[str, list[Device]]()
    if Kind.DEVICE in kinds and conflicts is not Conflicts.CREATE:
        there = await _find_called(work, space, {device.title for device in bundle.devices})
    steps = list[Step]()
    for device in bundle.devices if Kind.DEVICE in kinds else []:
        same = there.get(device.title, [])
        steps.append((device, same.pop(0) if same else None))
    if conflicts is Conflicts.ERROR:
        problems += [_problem(device, "is there already") for device, found in steps if found is not None]
    _give_up(problems[:_MOST_PROBLEMS])
    return steps


async def _find_called(work: Work, space: Space, titles: set[str]) -> dict[str, list[Device]]:
    """Devices of a space with one of these names, of several the oldest first."""
    found = dict[str, list[Device]]()
    async for page in _pages(work, equals("spaceId", space.id)):
        for device in page:
            title = device.title or device.name
            if title in titles:
                found.setdefault(title, []).append(device)
    return found


async def _taken_globals(work: Work, space: Space, bundle: Bundle, conflicts: Conflicts) -> list[Problem]:
    """Of globals there can be no second; one that is the same is none."""
    if conflicts in (Conflicts.RETAIN, Conflicts.REPLACE):
        return []
    there = {each.key: each for each in (await registry.list_globals(work, [space.id]))[space.id]}
    return [
        Problem(type="Global", name=each.key, message="is there already with another value")
        for each in bundle.globals
        if there.get(each.key, each) != each
    ]


async def _plant_globals(work: Work, space: Space, bundle: Bundle, conflicts: Conflicts) -> None:
    if not bundle.globals:
        return
    there = {each.key: each for each in (await registry.list_globals(work, [space.id]))[space.id]}
    new = {each.key: each for each in bundle.globals}
    both: dict[str, Global] = new | there if conflicts is Conflicts.RETAIN else there | new
    await registry.replace_globals(work, space.id, list(both.values()))


def _draft(space: Space, device: BundledDevice, dialect: str) -> DeviceDraft:
    # A name for `check`; the real one follows from the title.
    return DeviceDraft(
        name="?",
        title=device.title,
        space_id=space.id,
        device_class=device.device_class,
        system_interval=device.system_interval,
        tags=device.tags,
        repeated_tags=device.repeated_tags,
        notes={dialect: device.notes} if device.notes else {},
    )


async def _create(work: Work, space: Space, device: BundledDevice, dialect: str) -> DeviceId:
    draft = msgspec.structs.replace(_draft(space, device, dialect), name="")
    return (await registry.create_device(work, draft)).id


async def _place(
    work: Work, device: BundledDevice, there: Device | None, ids: dict[str, DeviceId], dialect: str
) -> None:
    """Where it lies, and what it is when it was there before."""
    gateway = ids.get(device.gateway) if device.gateway else None
    parent = ids.get(device.parent) if device.parent else None
    if there is None:
        if gateway or parent:
            change = DeviceChange(gateway_id=gateway, parent_id=parent)
            await registry.change_device(work, ids[device.word], change, expected=None)
        return
    gone: dict[str, str | None] = dict.fromkeys(key for key in there.tags if key not in device.tags)
    change = DeviceChange(
        system_interval=device.system_interval,
        tags=gone | device.tags,
        repeated_tags=device.repeated_tags,
        notes={dialect: device.notes},
        gateway_id=gateway,
        parent_id=parent,
    )
    if device.device_class is not None:
        change = msgspec.structs.replace(change, device_class=device.device_class)
    await registry.change_device(work, there.id, change, expected=None)


async def _describe(work: Work, device: BundledDevice, there: Device | None, ids: dict[str, DeviceId]) -> None:
    spelled = {word: to_hex24(id_) for word, id_ in ids.items()}
    drafts = [
        each if each.system is None else msgspec.structs.replace(each, system=renamed(each.system, spelled.get))
        for each in device.attributes
    ]
    try:
        if there is not None:
            await registry.replace_device_attributes(work, there.id, drafts, pointer="/attributes")
        elif drafts:
            await registry.create_device_attributes(work, ids[device.word], drafts, pointer="/attributes")
    except (Invalid, Conflict) as error:
        raise Unfit([_problem(device, str(error))]) from error


def _problem(device: BundledDevice, message: str) -> Problem:
    return Problem(type="Device", name=device.title, message=message)


def _give_up(problems: Sequence[Problem], *, at: int = 1) -> None:
    if len(problems) >= at:
        raise Unfit(problems)
