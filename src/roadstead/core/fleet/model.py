"""What can be done to very many devices at once, as it waits for its turn in a job."""

from typing import TypeAlias

import msgspec

from roadstead.core.registry import AttributeChange, AttributeDraft, DeviceChange
from roadstead.kernel.ids import DeviceId

AT_ONCE = 100
"""So many devices are done while somebody waits; more are a job."""


class FieldsEdit(msgspec.Struct, frozen=True, tag="fields"):
    """Some fields shall be different; tags have edits of their own."""

    change: DeviceChange


class TagEdit(msgspec.Struct, frozen=True, tag="tag"):
    """A tag has this value alone, or is gone."""

    key: str
    value: str | None


class TagsEdit(msgspec.Struct, frozen=True, tag="tags"):
    """These are all tags there are, by key."""

    tags: dict[str, list[str]]


class AttributeAddition(msgspec.Struct, frozen=True, tag="add-attribute"):
    """There shall be such an attribute; one of the same name and type stays as it is."""

    draft: AttributeDraft


class SystemAttribute(msgspec.Struct, frozen=True, tag="system-attribute"):
    """A system works this attribute out in this way; it is made where there is none. Other devices are left alone."""

    draft: AttributeDraft


class AttributeEdit(msgspec.Struct, frozen=True, tag="attribute"):
    """Some fields of an attribute shall be different, where there is one of this name."""

    name: str
    change: AttributeChange


class AttributeTagEdit(msgspec.Struct, frozen=True, tag="attribute-tag"):
    """A tag of an attribute has this value or is gone, where there is an attribute of this name."""

    name: str
    key: str
    value: str | None


class AttributeRemoval(msgspec.Struct, frozen=True, tag="remove-attribute"):
    """An attribute goes with its history, where there is one of this name."""

    name: str


class AttributesEdit(msgspec.Struct, frozen=True, tag="attributes"):
    """These are all attributes there are."""

    drafts: list[AttributeDraft]


Edit: TypeAlias = (
    FieldsEdit
    | TagEdit
    | TagsEdit
    | AttributeAddition
    | SystemAttribute
    | AttributeEdit
    | AttributeTagEdit
    | AttributeRemoval
    | AttributesEdit
)


class Failure(msgspec.Struct, frozen=True):
    """A device with which it did not work, and why."""

    device_id: DeviceId
    error: str


class Outcome(msgspec.Struct):
    """What became of devices."""

    done: int = 0
    skipped: int = 0
    """There was nothing to do."""
    failures: list[Failure] = []
