"""What somebody may do where: their own rights, and what roles on single resources add to them."""

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec

from roadstead.core import identity
from roadstead.core.access import store
from roadstead.core.access.catalogue import DEVICE, EVERY_GRANT, grants_of
from roadstead.core.access.model import Resource, ResourceType, Standing, standing_of
from roadstead.core.operation import check_grant, unguarded
from roadstead.core.work import Work
from roadstead.kernel import ids
from roadstead.kernel.actor import Actor, ActorKind, Grant
from roadstead.kernel.errors import Forbidden


def project_of(work: Work) -> Resource:
    """The project of a caller."""
    return Resource(ResourceType.PROJECT, work.actor.organization_id)


@unguarded("everyone may know what they may do themselves")
async def with_standing(work: Work) -> Work:
    """The same work with the caller's bindings and with what they may do somewhere, so that operations let them.

    Those who may do everything anyway, keys and applications have no bindings: they are not looked up.
    """
    if work.actor.kind is not ActorKind.USER or work.actor.grants >= EVERY_GRANT:
        return work
    return await _bound(work, work.actor)


@unguarded("oneself may know what one may do; for anyone else it asks for organization:read")
async def work_as(work: Work, person_id: UUID) -> Work:
    """Work of a member, to ask what they may do. Raises `NotFound` for somebody who is none."""
    if person_id == work.actor.id:
        return work
    check_grant(work.actor, Grant.ORGANIZATION_READ)
    own = await identity.load_grants(work, person_id)
    actor = msgspec.structs.replace(work.actor, kind=ActorKind.USER, id=person_id, grants=own)
    return await _bound(work, actor)


def is_permitted(work: Work, permission: str) -> bool:
    """Whether the caller has a permission everywhere, without any binding."""
    own = _own(work)
    needed = grants_of(permission)
    return own >= EVERY_GRANT or (bool(needed) and needed <= own)


def is_held(work: Work, wanted: Collection[str], places: Collection[Resource]) -> bool:
    """Whether one of these permissions is held on one of these: a thing, and what it lies in."""
    if any(is_permitted(work, one) for one in wanted):
        return True
    standing = standing_of(work)
    return standing is not None and standing.may(wanted, places)


def check_may_give(work: Work, permissions: Collection[str], *, everything: bool, places: Sequence[Resource]) -> None:
    """Nobody gives more than they have on one of these places: raises `Forbidden`."""
    standing = standing_of(work)
    if _own(work) >= EVERY_GRANT or (standing is not None and standing.has_everything(places)):
        return
    missing = [one for one in sorted(permissions) if not is_held(work, spellings(one), places)]
    if missing or everything:
        told = ", ".join(missing) or "all there are"
        raise Forbidden(f"this needs permissions you do not have yourself: {told}", code="scope-missing")


def spellings(permission: str) -> frozenset[str]:
    """A permission, and for one of a blueprint the same on all devices, which includes it."""
    module, _, name = permission.partition(".")
    wide = f"{DEVICE}.{name.partition('/')[0]}"
    return frozenset({permission, wide} if ids.parse_base62(module) is not None else {permission})


async def _bound(work: Work, actor: Actor) -> Work:
    standing = Standing(await store.select_held(work.tx, work.tenant_id, actor.id), actor.grants)
    everywhere = msgspec.structs.replace(actor, grants=actor.grants | standing.grants, standing=standing)
    return Work(everywhere, work.tx, work.ports)


def _own(work: Work) -> frozenset[Grant]:
    standing = standing_of(work)
    return work.actor.grants if standing is None else standing.own
