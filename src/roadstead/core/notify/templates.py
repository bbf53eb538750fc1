"""Templates: JSON whose texts contain `{{names}}` of what is announced."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_PLACE = re.compile(r"\{\{\s*([A-Za-z0-9_.-]+)\s*\}\}")
NAMES = {
    "id", "type", "organizationId", "channelId", "alertId", "eventId", "severity", "title", "text", "occurredAt",
    "data", "count", "items",
}  # fmt: skip
"""What a placeholder can begin with. Of `data` and `items` it goes on with a dot: `data.value`, `items.0.title`."""


def find_unknown(template: Any) -> str | None:
    """A placeholder that stands for nothing, or None."""
    for text in _texts(template):
        for place in _PLACE.findall(text):
            if place.partition(".")[0] not in NAMES:
                return str(place)
    return None


def fill(template: Any, content: Mapping[str, Any]) -> Any:
    """The template with its placeholders replaced. A text that is one placeholder and nothing else becomes the value
    itself, a number for instance; what is not there becomes nothing."""
    if isinstance(template, str):
        whole = _PLACE.fullmatch(template)
        if whole:
            return _look_up(content, whole.group(1))
        return _PLACE.sub(lambda place: _spell(_look_up(content, place.group(1))), template)
    if isinstance(template, Mapping):
        return {name: fill(value, content) for name, value in template.items()}
    if isinstance(template, list):
        return [fill(value, content) for value in template]
    return template


def _texts(template: Any) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from _texts(value)
    elif isinstance(template, list):
        for value in template:
            yield from _texts(value)


def _look_up(content: Any, path: str) -> Any:
    found = content
    for step in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(step)
        elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


def _spell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
