"""Bundles as files: a zip of YAML, in which placeholders stand for ids (contract section 20)."""

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import yaml

from roadstead.core.bundles import Bundle, BundledDevice
from roadstead.core.registry import DeviceClass
from roadstead.dialects.losant.applications import GlobalBody, spell_global
from roadstead.dialects.losant.device_attributes import AttributeBody, spell_attribute
from roadstead.dialects.losant.device_shapes import TagBody, group_tags
from roadstead.dialects.losant.schemas import check_texts
from roadstead.kernel.errors import Invalid, TooLarge

T = TypeVar("T")

MOST_BYTES = 200 * 1024 * 1024
"""Of a bundle, unpacked."""
_DEEPEST = 30
"""So far the devices of a bundle lie in each other; what is below names what it lies in."""
_SETTINGS = ("description", "blobUrlTTL", "endpointDefaultCors")
_TRAITS = ("description", "keepDuplicates")
_OWN = frozenset({"application.yaml", "devices.yaml"})
_DECORATION = frozenset({"readme.md", "preview.png", "preview.jpg", "license", "license.md", ".gitignore"})
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""The date of all files in a zip, so that the same bundle is the same bytes."""


class ApplicationResource(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What of an application is in a bundle. Who made it, and what it looks like in a shop, is nothing to us."""

    name: str = "Imported application"
    description: str = ""
    endpoint_default_cors: bool | None = None
    blob_url_ttl: float | None = msgspec.field(default=None, name="blobUrlTTL")
    globals: list[GlobalBody] = []
    readme_path: str | None = None


class DeviceResource(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A device in a bundle, with those below it."""

    id: str
    name: str
    description: str = ""
    device_class: DeviceClass | None = None
    tags: list[TagBody] = []
    attributes: list[AttributeBody] = []
    gateway_id: str | None = None
    parent_id: str | None = None
    system_interval: int | None = None
    keep_duplicates: bool | None = None
    children: list["DeviceResource"] = []


class _Loader(yaml.CSafeLoader):
    """YAML 1.2 as the original writes it: `on` and `12:30` are texts."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", "[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)


# --- writing ---------------------------------------------------------------------------------------------------------


def write_bundle(bundle: Bundle) -> bytes:
    """The zip. The same bundle is the same bytes."""
    files = {"application.yaml": _yaml("Application", [_application(bundle)])}
    if bundle.readme:
        files["README.md"] = bundle.readme.encode()
    if bundle.devices:
        files["devices.yaml"] = _yaml("DeviceTree", _trees(bundle.devices))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _FIRST_DAY), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def portable(bundle: Bundle) -> Bundle:
    """Without what belongs to this one application alone."""
    notes = {name: bundle.notes[name] for name in _SETTINGS if name in bundle.notes}
    return msgspec.structs.replace(bundle, notes=notes)


def _application(bundle: Bundle) -> dict[str, Any]:
    told = {"name": bundle.name, "globals": [spell_global(each) for each in bundle.globals], **portable(bundle).notes}
    return told | {"readmePath": "./README.md"} if bundle.readme else told


def _yaml(kind: str, resources: Sequence[Mapping[str, Any]]) -> bytes:
    whole = {"resourceType": kind, "resources": resources, "version": 1}
    text: bytes = yaml.dump(whole, Dumper=yaml.CSafeDumper, allow_unicode=True, encoding="utf-8")
    return text


def _trees(devices: Sequence[BundledDevice]) -> list[dict[str, Any]]:
    spelled = {device.word: _device(device) for device in devices}
    depths: dict[str, int] = {}
    parents = {device.word: device.parent for device in devices}
    roots = []
    for device in devices:
        own = spelled[device.word]
        if device.parent is None:
            roots.append(own)
        elif _depth(device.word, parents, depths) % _DEEPEST == 0:
            roots.append(own | {"parentId": device.parent})
        else:
            spelled[device.parent]["children"].append(own)
    return roots


def _depth(word: str, parents: Mapping[str, str | None], known: dict[str, int]) -> int:
    path = []
    next_: str | None = word
    while next_ is not None and next_ not in known:
        path.append(next_)
        next_ = parents.get(next_)
    depth = -1 if next_ is None else known[next_]
    for each in reversed(path):
        depth += 1
        known[each] = depth
    return known[word]


def _device(device: BundledDevice) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": device.title,
        "deviceClass": None if device.device_class is None else str(device.device_class),
        "systemInterval": device.system_interval,
        "gatewayId": device.gateway,
        "tags": [
            {"key": key, "value": each}
            for key, value in device.tags.items()
            for each in (value, *device.repeated_tags.get(key, ()))
        ],
        "attributes": [_plain(spell_attribute(each)) for each in device.attributes],
        **{name: device.notes[name] for name in _TRAITS if name in device.notes},
    }
    told = {name: value for name, value in told.items() if value is not None}
    digest = hashlib.sha256(msgspec.json.encode(told, order="deterministic")).hexdigest()
    return told | {"id": device.word, "exportHash": digest, "children": []}


def _plain(value: Any) -> Any:
    """Without kinds of text that YAML does not know."""
    return msgspec.json.decode(msgspec.json.encode(value))


# --- reading ---------------------------------------------------------------------------------------------------------


def read_bundle(content: bytes) -> Bundle:
    """What is in a zip. Raises `Invalid` that names the file, `TooLarge` for more than can be looked at."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        files = [each for each in archive.infolist() if not each.is_dir()]
        if sum(each.file_size for each in files) > MOST_BYTES:
            raise TooLarge(f"a bundle takes {MOST_BYTES} bytes at most, unpacked")
        texts = {each.filename: _unpack(archive, each) for each in files if _is_read(each.filename)}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise Invalid.field("importBundle", f"is not a zip that can be read: {error}") from error
    others = frozenset(
        each.filename for each in files if each.filename not in _OWN and not _is_decoration(each.filename)
    )
    applications = _resources(texts, "application.yaml", "Application", ApplicationResource)
    application = applications[0] if applications else ApplicationResource()
    devices = _resources(texts, "devices.yaml", "DeviceTree", DeviceResource)
    readme = _readme(texts, application.readme_path)
    return Bundle(
        name=application.name,
        notes=_told(application, _SETTINGS),
        readme=readme,
        globals=[each.value() for each in application.globals],
        devices=[_bundled(device, parent) for device, parent in _flat(devices)],
        has=others,
    )


def _is_decoration(name: str) -> bool:
    return name.lower() in _DECORATION


def _is_read(name: str) -> bool:
    return name in _OWN or name.lower() == "readme.md"


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """What the entry says it holds, and no more: the directory of a zip may be wrong."""
    with archive.open(entry) as opened:
        content = opened.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        raise zipfile.BadZipFile(f"'{entry.filename}' is longer than it says")
    return content


def _readme(texts: Mapping[str, bytes], path: str | None) -> str | None:
    wanted = (path or "README.md").removeprefix("./").lower()
    for name, content in texts.items():
        if name.lower() == wanted:
            return content.decode(errors="replace")
    return None


def _resources(texts: Mapping[str, bytes], name: str, kind: str, shape: type[T]) -> list[T]:
    if name not in texts:
        return []
    try:
        text = texts[name].decode()
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_Loader)):
            raise Invalid.field(name, "has aliases")
        whole = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader with fewer kinds of scalars
        if not isinstance(whole, dict) or whole.get("resourceType") != kind or whole.get("version") != 1:
            raise Invalid.field(name, f"does not have the resourceType {kind} of version 1")
        check_texts(whole, name)
        return msgspec.convert(whole.get("resources"), list[shape])  # type: ignore[valid-type]
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError, RecursionError, ValueError) as error:
        raise Invalid.field(name, str(error)[:500]) from error


def _flat(devices: Sequence[DeviceResource], parent: str | None = None) -> Iterator[tuple[DeviceResource, str | None]]:
    for device in devices:
        yield device, parent or device.parent_id
        yield from _flat(device.children, device.id)


def _bundled(device: DeviceResource, parent: str | None) -> BundledDevice:
    tags = group_tags(device.tags)
    return BundledDevice(
        word=device.id,
        title=device.name,
        device_class=device.device_class,
        system_interval=device.system_interval,
        tags={key: values[0] for key, values in tags.items()},
        repeated_tags={key: values[1:] for key, values in tags.items() if len(values) > 1},
        notes=_told(device, _TRAITS),
        attributes=[each.draft() for each in device.attributes],
        gateway=device.gateway_id,
        parent=parent,
    )


def _told(resource: msgspec.Struct, names: Sequence[str]) -> dict[str, Any]:
    """What was said of these members."""
    said: dict[str, Any] = msgspec.to_builtins(resource)
    return {name: said[name] for name in names if said.get(name) not in (None, "")}
