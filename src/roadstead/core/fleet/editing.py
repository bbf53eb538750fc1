"""What edits come to for one device."""

from collections.abc import Mapping, Sequence
from typing import Any

from roadstead.core import registry
from roadstead.core.fleet.model import (
    AttributeAddition,
    AttributeEdit,
    AttributeRemoval,
    AttributesEdit,
    AttributeTagEdit,
    Edit,
    FieldsEdit,
    SystemAttribute,
    TagEdit,
    TagsEdit,
)
from roadstead.core.registry import (
    Attribute,
    AttributeChange,
    AttributeDraft,
    Device,
    DeviceChange,
    DeviceClass,
    spell_name,
)
from roadstead.core.work import Work
from roadstead.kernel.errors import Conflict
from roadstead.kernel.ids import DeviceId


async def edit_device(work: Work, device_id: DeviceId, edits: Sequence[Edit]) -> bool:
    """Make a device what the edits say, one after the other; False when it was so already."""
    device = await registry.get_device(work, device_id)
    change = change_of(device, edits)
    if change is not None:
        await registry.change_device(work, device_id, change, expected=None)
    edited = [await _edit_attributes(work, device_id, edit) for edit in edits]
    return change is not None or any(edited)


def change_of(device: Device, edits: Sequence[Edit]) -> DeviceChange | None:
    """What the edits come to for the fields and tags of a device; None: nothing."""
    sent: dict[str, Any] = {}
    tags = before = {key: [value, *device.repeated_tags.get(key, ())] for key, value in device.tags.items()}
    for edit in edits:
        match edit:
            case FieldsEdit(change):
                # Merge patches are merged, all else takes the place of what earlier edits have said.
                sent = _merged(sent, change.sent())
            case TagEdit(key, value):
                known = _known_key(tags, key)
                tags = {name: values for name, values in tags.items() if name != known}
                tags |= {} if value is None else {known: [value]}
            case TagsEdit(wanted):
                tags = {_known_key(tags, key): values for key, values in wanted.items() if values}
    sent = {name: value for name, value in sent.items() if not _is_so(_current(device, name), value)}
    if tags != before:
        gone: dict[str, str | None] = dict.fromkeys(key for key in before if key not in tags)
        sent["tags"] = gone | {key: values[0] for key, values in tags.items()}
        sent["repeated_tags"] = {key: values[1:] for key, values in tags.items() if len(values) > 1}
    return DeviceChange(**sent) if sent else None


def _known_key(tags: Mapping[str, Any], key: str) -> str:
    """A key that was given elsewhere, of other letters, is called as such keys are shown."""
    return key if key in tags else next((name for name in tags if spell_name(name) == key), key)


def _current(device: Device, name: str) -> Any:
    return (device.title or device.name) if name == "title" else getattr(device, name)


def _is_so(now: Any, wanted: Any) -> bool:
    """Whether a merge patch would change nothing."""
    if not isinstance(wanted, Mapping):
        return bool(now == wanted)
    return isinstance(now, Mapping) and all(_is_so(now.get(name), each) for name, each in wanted.items())


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(first)
    for name, value in second.items():
        match merged.get(name), value:
            case Mapping() as earlier, Mapping():
                merged[name] = _merged(earlier, value)
            case _:
                merged[name] = value
    return merged


# --- attributes ------------------------------------------------------------------------------------------------------


async def _edit_attributes(work: Work, device_id: DeviceId, edit: Edit) -> bool:
    match edit:
        case AttributeAddition(draft):
            return await _add(work, device_id, draft)
        case SystemAttribute(draft):
            device = await registry.get_device(work, device_id)
            return device.device_class is DeviceClass.SYSTEM and await _add(work, device_id, draft, system=draft.system)
        case AttributeEdit(name, change):
            return await _change(work, device_id, name, change)
        case AttributeTagEdit(name, key, value):
            found = await _find(work, device_id, name)
            kept = {each: text for each, text in (found.attribute_tags if found else {}).items() if each != key}
            tags = kept if value is None else {**kept, key: value}
            return await _change(work, device_id, name, AttributeChange(attribute_tags=tags))
        case AttributeRemoval(name):
            if await _find(work, device_id, name) is None:
                return False
            await registry.delete_device_attribute(work, device_id, name)
            return True
        case AttributesEdit(drafts):
            before = await registry.list_device_attributes(work, device_id)
            await registry.replace_device_attributes(work, device_id, drafts, pointer="/attributes")
            return before != await registry.list_device_attributes(work, device_id)
    return False


async def _add(
    work: Work, device_id: DeviceId, draft: AttributeDraft, *, system: Mapping[str, Any] | None = None
) -> bool:
    found = await _find(work, device_id, draft.name)
    if found is None:
        await registry.create_device_attributes(work, device_id, [draft])
        return True
    if found.data_type is not draft.data_type:
        raise Conflict(f"attribute '{draft.name}' is a {found.data_type} already")
    return system is not None and await _change(work, device_id, draft.name, AttributeChange(system=system))


async def _change(work: Work, device_id: DeviceId, name: str, change: AttributeChange) -> bool:
    found = await _find(work, device_id, name)
    if found is None or all(getattr(found, field) == value for field, value in change.sent().items()):
        return False
    await registry.change_device_attribute(work, device_id, name, change)
    return True


async def _find(work: Work, device_id: DeviceId, name: str) -> Attribute | None:
    attributes = await registry.list_device_attributes(work, device_id)
    return next((attribute for attribute in attributes if attribute.name == name), None)
