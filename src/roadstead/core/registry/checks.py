"""What names, keys, tags, metadata and places must be like: the rules that need no database."""

import math
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from roadstead.core.messages import ValueType
from roadstead.kernel.errors import FieldProblem, Invalid

MAX_TAGS = 50
MAX_METADATA_BYTES = 16_384
MAX_NOTES_BYTES = 262_144
MAX_KEY = 255
"""Characters of the key of a component or sensor."""

_CONTROL = frozenset(map(chr, [*range(32), 127]))


def check_tags(tags: Mapping[str, str], *, longest_key: int = 64, most: int = MAX_TAGS) -> list[FieldProblem]:
    """At most 50; keys of 1 to 64 characters, values of at most 256."""
    problems = []
    if len(tags) > most:
        problems.append(FieldProblem("/tags", "invalid", f"takes at most {most}"))
    for key, value in tags.items():
        pointer = f"/tags/{key.replace('~', '~0').replace('/', '~1')}"
        if not 1 <= len(key) <= longest_key or not _CONTROL.isdisjoint(key):
            detail = f"a key takes 1 to {longest_key} characters, no control characters"
            problems.append(FieldProblem(pointer, "invalid", detail))
        if len(value) > 256 or not _CONTROL.isdisjoint(value):
            problems.append(FieldProblem(pointer, "invalid", "takes at most 256 characters, no control characters"))
    return problems


def check_aliases(aliases: Sequence[str]) -> list[FieldProblem]:
    """1 to 255 characters each, none twice."""
    problems = [
        FieldProblem(f"/aliases/{index}", "invalid", "takes 1 to 255 characters, no NUL")
        for index, alias in enumerate(aliases)
        if not 1 <= len(alias) <= 255 or "\0" in alias
    ]
    if len(set(aliases)) < len(aliases):
        problems.append(FieldProblem("/aliases", "invalid", "names one twice"))
    return problems


def check_network_aliases(aliases: Mapping[str, Mapping[str, str]]) -> list[FieldProblem]:
    """Networks, keys and values of 1 to 255 characters; at most 50 of a device."""
    problems = []
    names = [(network, key, value) for network, keys in aliases.items() for key, value in keys.items()]
    if len(names) > MAX_TAGS:
        problems.append(FieldProblem("/networkAliases", "invalid", f"takes at most {MAX_TAGS}"))
    if any(not 1 <= len(part) <= 255 or "\0" in part for name in names for part in name):
        detail = "takes networks, keys and values of 1 to 255 characters, no NUL"
        problems.append(FieldProblem("/networkAliases", "invalid", detail))
    return problems


def check_metadata(
    metadata: Mapping[str, Any], pointer: str = "/metadata", *, most_bytes: int = MAX_METADATA_BYTES
) -> list[FieldProblem]:
    """At most 16 KB of JSON."""
    content = msgspec.json.encode(metadata)
    if len(content) > most_bytes:
        return [FieldProblem(pointer, "too-large", f"is larger than {most_bytes} bytes")]
    if b"\\u0000" in content:
        return [FieldProblem(pointer, "invalid", "must not contain NUL")]
    return []


def check_key(key: str) -> list[FieldProblem]:
    """What paths are made of: no slash, and `$` at the beginning is the platform's own."""
    if not 1 <= len(key) <= MAX_KEY:
        return [FieldProblem("/key", "invalid", f"takes 1 to {MAX_KEY} characters")]
    if "/" in key or key.startswith("$") or not _CONTROL.isdisjoint(key):
        return [FieldProblem("/key", "invalid", "takes no '/', no control characters, and no '$' at the beginning")]
    return []


def check_range(value_type: ValueType, low: float | None, high: float | None) -> list[FieldProblem]:
    """Numbers have a range, the right way round."""
    is_number = value_type in (ValueType.DOUBLE, ValueType.BIGINT)
    problems = [
        FieldProblem(f"/{name}", "invalid", f"a {value_type} has no range" if not is_number else "must be a number")
        for name, value in (("min", low), ("max", high))
        if value is not None and not (is_number and math.isfinite(value))
    ]
    if not problems and low is not None and high is not None and low > high:
        problems.append(FieldProblem("/max", "invalid", "is less than min"))
    return problems


def merge(old: Mapping[str, Any], patch: Mapping[str, Any] | None) -> dict[str, Any]:
    """A merge patch (RFC 7396) applied: null removes a key, objects merge, null as a whole removes everything."""
    merged = dict(old) if patch is not None else {}
    for key, value in (patch or {}).items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            known = merged.get(key)
            merged[key] = merge(known if isinstance(known, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that makes one of the other."""
    patch: dict[str, Any] = dict.fromkeys(key for key in old if key not in new)
    for key, value in new.items():
        known = old.get(key)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            patch[key] = merge_patch(known, value)
        elif key not in old or value != known:
            patch[key] = value
    return patch


def refuse(problems: list[FieldProblem]) -> None:
    """Raises `Invalid` when there are any."""
    if problems:
        first = problems[0]
        name = first.pointer.lstrip("/").replace("/", ".") or "body"
        raise Invalid(f"{name}: {first.detail}", fields=problems)


def check_text(pointer: str, text: str | None, *, most: int, least: int = 0) -> list[FieldProblem]:
    if text is None:
        return []
    if not least <= len(text) <= most:
        span = f"{least} to {most}" if least else f"at most {most}"
        return [FieldProblem(pointer, "invalid", f"takes {span} characters")]
    if "\0" in text:
        return [FieldProblem(pointer, "invalid", "must not contain NUL")]
    return []


def is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def merge_location(old: "Location | None", patch: Mapping[str, Any] | None) -> "Location | None":
    """A merge patch applied to a location; null as a whole removes it. Raises `Invalid` when none comes of it."""
    if patch is None:
        return None
    known = {} if old is None else msgspec.to_builtins(old)
    try:
        return msgspec.convert(merge(known, patch), Location)
    except msgspec.ValidationError as error:
        raise Invalid.field("/location", str(error)) from error


class Location(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A point on the globe: degrees, and metres above the sea."""

    latitude: float
    longitude: float
    altitude: float | None = None
    label: str | None = None

    def check(self, pointer: str) -> list[FieldProblem]:
        """What is wrong with it."""
        problems = []
        if not -90 <= self.latitude <= 90:
            problems.append(FieldProblem(f"{pointer}/latitude", "invalid", "must be between -90 and 90"))
        if not -180 <= self.longitude <= 180:
            problems.append(FieldProblem(f"{pointer}/longitude", "invalid", "must be between -180 and 180"))
        if self.altitude is not None and not math.isfinite(self.altitude):
            problems.append(FieldProblem(f"{pointer}/altitude", "invalid", "must be a number"))
        if self.label is not None and len(self.label) > 256:
            problems.append(FieldProblem(f"{pointer}/label", "invalid", "takes at most 256 characters"))
        return problems
