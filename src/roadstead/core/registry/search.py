"""What filters on devices can say beyond columns, and what selectors of groups mean.

Fields a filter can name: those of `device_store.DEVICE_FIELDS`, and `siteTree` (at a site or below it), `groupId`,
`deviceProfile` (`key` for any version, or `key@major.minor`), `type` (the id of the device type that shows what they
are), `typeName` and `typeCategory` of that type, `tagName` (keys of tags; for patterns that no index serves),
`ancestorId` (the device above it, or one above that).
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from roadstead.core import types
from roadstead.core.registry import device_list_store, device_store, group_store
from roadstead.core.registry.group_model import TagExpression, TagOperator, TagSelector
from roadstead.core.registry.sites import sites_below
from roadstead.core.work import Work
from roadstead.kernel.actor import NOBODY, Reach
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import (
    NOTHING,
    And,
    Compare,
    Exists,
    Filter,
    In,
    Leaf,
    Not,
    Operator,
    Or,
    Scalar,
    rewrite,
)
from roadstead.kernel.ids import GroupId


async def resolve(work: Work, where: Filter) -> Filter:
    """The filter in terms of columns only, and only of devices that the caller sees."""

    async def change(leaf: Leaf) -> Filter:
        match leaf.field:
            case ("siteTree",):
                sites = [value for value in _values(leaf) if isinstance(value, UUID)]
                return In(("siteId",), tuple(await sites_below(work, sites)))
            case ("groupId",):
                return Or(tuple([await _members(work, value) for value in _values(leaf)]))
            case ("deviceProfile",):
                profiles = [await types.device_profile_ids(work, str(value)) for value in _values(leaf)]
                return In(("profileId",), tuple(profile_id for ids in profiles for profile_id in ids))
            case ("type",):
                return _of_types(work, [value for value in _values(leaf) if isinstance(value, UUID)])
            case ("typeName",) | ("typeCategory",):
                name = "name" if leaf.field == ("typeName",) else "category"
                where = msgspec.structs.replace(leaf, field=(name,))
                return _of_types(work, await types.device_type_ids(work, where))
            case ("tagName",):
                where = msgspec.structs.replace(leaf, field=("tagKey",))
                return In(("tagKey",), tuple(await device_store.select_tag_keys(work.tx, where)))
            case ("ancestorId",) if isinstance(leaf, Exists):
                return Exists(("parentDeviceId",))
            case ("ancestorId",):
                where = msgspec.structs.replace(leaf, field=("id",))
                return In(("parentDeviceId",), tuple(await device_list_store.select_above(work.tx, where)))
            case ("deviceClass",):
                return _of_class(leaf)
        return leaf

    return within_reach(work, await rewrite(where, change))


def within_reach(work: Work, where: Filter) -> Filter:
    """The filter, true only of devices that the caller sees."""
    return where if work.actor.reach is None else And((where, _within(work.actor.reach)))


def _within(reach: Reach) -> Filter:
    space = Compare(("spaceId",), Operator.EQ, reach.space_id)
    if reach.is_whole:
        return space
    return And((space, Or((In(("id",), tuple(reach.device_ids)), *(_tagged(key, value) for key, value in reach.tags)))))


def _tagged(key: str | None, value: str | None) -> Filter:
    if key is None:
        return Compare(("tagValue",), Operator.EQ, value or "")
    return Compare(("tagKey",), Operator.EQ, key) if value is None else Compare(("tags", key), Operator.EQ, value)


def _of_class(leaf: Leaf) -> Filter:
    # What was said is found by index; what a device does for others is looked at where nothing was said.
    said = msgspec.structs.replace(leaf, field=("ownClass",))
    match leaf:
        case Compare(_, Operator.EQ, value) if value not in _DERIVED_CLASSES:
            return said
        case In(_, values) if _DERIVED_CLASSES.isdisjoint(values):
            return said
    return Or((said, And((Not(Exists(("ownClass",))), leaf))))


_DERIVED_CLASSES = frozenset({"standalone", "gateway", "peripheral"})


def _of_types(work: Work, type_ids: Sequence[UUID]) -> Filter:
    kinds = (NOBODY if type_id == work.actor.organization_id else type_id for type_id in type_ids)
    return In(("kindId",), tuple(kinds))


def _values(leaf: Leaf) -> tuple[Scalar, ...]:
    match leaf:
        case Compare(_, Operator.EQ, value):
            return (value,)
        case In(_, values):
            return values
    raise Invalid.field("/".join(leaf.field), "can only be compared for equality", place="filter")


async def _members(work: Work, group_id: Scalar) -> Filter:
    group = await group_store.select_group(work.tx, GroupId(group_id)) if isinstance(group_id, UUID) else None
    return await resolve(work, selected(group.selector)) if group else NOTHING


def selected(selector: TagSelector) -> Filter:
    """The devices that a selector means: those that meet all its conditions, and those it names."""
    parts: list[Filter] = [Compare(("tags", key), Operator.EQ, value) for key, value in selector.match_tags.items()]
    parts += [_expression(expression) for expression in selector.expressions]
    if selector.site_ids:
        parts.append(In(("siteTree",), tuple(selector.site_ids)))
    if selector.device_profiles:
        parts.append(In(("deviceProfile",), tuple(selector.device_profiles)))
    named = In(("id",), tuple(selector.device_ids))
    if not parts:
        return named
    return Or((And(tuple(parts)), named)) if selector.device_ids else And(tuple(parts))


def _expression(expression: TagExpression) -> Filter:
    field = ("tags", expression.key)
    match expression.operator:
        case TagOperator.IN:
            return In(field, tuple(expression.values))
        case TagOperator.NOT_IN:
            return Not(In(field, tuple(expression.values)))
        case TagOperator.EXISTS:
            return Exists(field)
        case TagOperator.NOT_EXISTS:
            return Not(Exists(field))
