"""What a bundle is: a space and its devices as they can be made again elsewhere, without anything secret."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.registry import AttributeDraft, Device, DeviceClass, Global
from roadstead.kernel.actor import ActorKind
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import SpaceId, to_hex24

_WORDS = re.compile(r"[^\W_]+")


class Kind(StrEnum):
    """What of a bundle is wanted."""

    DEVICE = "Device"
    GLOBAL = "Global"


class Conflicts(StrEnum):
    """What becomes of things that are there already under this name."""

    CREATE = "create"
    """Devices are made beside them; of globals there can be no second."""
    ERROR = "error"
    RETAIN = "retain"
    REPLACE = "replace"


class BundledDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device that is to be made again. Others are named by the words that bundles have for them."""

    word: str
    title: str
    device_class: DeviceClass | None = None
    """None: nobody has said."""
    system_interval: int | None = None
    tags: dict[str, str] = {}
    repeated_tags: dict[str, list[str]] = {}
    notes: dict[str, Any] = {}
    """What only the dialect of bundles knows."""
    attributes: list[AttributeDraft] = []
    gateway: str | None = None
    parent: str | None = None


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A space that is to be made again."""

    name: str
    notes: dict[str, Any] = {}
    """What only the dialect of bundles knows."""
    readme: str | None = None
    globals: list[Global] = []
    devices: list[BundledDevice] = []
    has: frozenset[str] = frozenset()
    """What else is in it that cannot be made here."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why something of a bundle cannot be made."""

    type: str
    name: str
    message: str


class Unfit(Invalid):
    """A bundle cannot be put in; nothing was changed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        told = "; ".join(f"{each.type} '{each.name}': {each.message}" for each in problems[:5])
        super().__init__(f"the bundle cannot be imported: {told}")
        self.problems = list(problems)


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a bundle."""

    created: int = 0
    replaced: int = 0
    retained: int = 0


class ImportStatus(StrEnum):
    """How far an import is."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that was put into a space, and what came of it."""

    id: UUID
    space_id: SpaceId
    source: str
    """As the dialect of bundles calls it."""
    from_space_id: SpaceId | None = None
    conflicts: Conflicts
    kinds: list[Kind] | None
    """What was wanted; None: everything."""
    dry_run: bool
    email: str | None = None
    callback_url: str | None = None
    job_id: UUID | None = None
    """None: somebody waited for it."""
    requested_by: UUID
    requested_as: ActorKind
    status: ImportStatus
    queued_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error: str | None = None
    problems: list[Problem] = []


class Words:
    """Gives things words by which a bundle names them: `~exportplaceholderid-device-pumpStation-1~`."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def word(self, kind: str, name: str) -> str:
        """Another one each time."""
        parts = _WORDS.findall(name) or ["unnamed"]
        camel = parts[0][:1].lower() + parts[0][1:] + "".join(part[:1].upper() + part[1:] for part in parts[1:])
        stem = f"{kind}-{camel}"
        number = self._taken.get(stem, 0)
        self._taken[stem] = number + 1
        return f"~exportplaceholderid-{stem}{f'-{number}' if number else ''}~"


def renamed(value: Any, names: Callable[[str], str | None]) -> Any:
    """JSON with other texts where `names` has one."""
    match value:
        case str():
            return names(value) or value
        case dict():
            return {key: renamed(each, names) for key, each in value.items()}
        case list():
            return [renamed(each, names) for each in value]
    return value


def bundled(
    device: Device, attributes: Sequence[AttributeDraft], notes: Mapping[str, Any], words: Mapping[str, str]
) -> BundledDevice:
    """A device as bundles have it; `words` by 24 hex digits. What is not in the bundle is nobody's neighbour."""
    return BundledDevice(
        word=words[to_hex24(device.id)],
        title=device.title or device.name,
        device_class=device.device_class,
        system_interval=device.system_interval,
        tags=device.tags,
        repeated_tags=device.repeated_tags,
        notes=dict(notes),
        attributes=[
            each if each.system is None else msgspec.structs.replace(each, system=renamed(each.system, words.get))
            for each in attributes
        ],
        gateway=None if device.gateway_id is None else words.get(to_hex24(device.gateway_id)),
        parent=None if device.parent_id is None else words.get(to_hex24(device.parent_id)),
    )
