"""What devices of this dialect are told: actions, configuration, firmware (contract sections 10, 12, 18). Pure."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.commands import Command
from roadstead.core.configuration import OWN, DeviceDocument
from roadstead.core.downlinks import COMMAND, CONFIGURATION, FIRMWARE, Downlink, Manners, Spelled
from roadstead.core.firmware import InstallationOrder
from roadstead.dialects.lightelligence import topics
from roadstead.dialects.lightelligence.firmwares import multihash
from roadstead.kernel.ids import DeviceId

_KINDS = {COMMAND: topics.ACTIONS, CONFIGURATION: topics.CONFIGURATION, FIRMWARE: topics.FIRMWARE}


class ActionMessage(msgspec.Struct, frozen=True, rename="camel"):
    """Body of contract message `mqttActions`."""

    device_id: UUID
    aliases: tuple[str, ...]
    action_id: UUID
    action: str
    payload: Any


class ConfigurationMessage(msgspec.Struct, frozen=True, rename="camel"):
    """Body of contract message `mqttConfiguration`."""

    device_id: UUID
    aliases: tuple[str, ...]
    configuration: dict[str, Any]


class InstallationMessage(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Body of contract message `mqttFirmwareInstallation`."""

    device_id: UUID
    installation_id: UUID
    firmware_id: UUID
    slot: str
    name: str
    version: str | None = None
    size: int
    hashes: tuple[str, ...]
    download_url: str
    requested_at: datetime


class LightelligenceSpeller:
    """The speller of this dialect. A command of any API is an action: its type the name, its parameters the payload."""

    manners = Manners(answers=False, remembers=True, carries=True)

    def topic(self, kind: str, organization: UUID, device: DeviceId) -> str | None:
        """See `Speller.topic`."""
        told = _KINDS.get(kind)
        return topics.topic_of(device, told) if told is not None else None

    def spell(self, downlink: Downlink) -> Spelled | None:
        """See `Speller.spell`."""
        message: ActionMessage | ConfigurationMessage | InstallationMessage
        match downlink.body:
            case Command() as command:
                message = ActionMessage(downlink.device, downlink.aliases, command.id, command.type, command.payload)
            case DeviceDocument() as document:
                configuration = _merge(document)
                if configuration is None:
                    return None
                message = ConfigurationMessage(downlink.device, downlink.aliases, configuration)
            case InstallationOrder() as order:
                message = _spell_installation(order)
            case _:
                raise TypeError(f"devices of this dialect are not told of {downlink.kind}")
        return Spelled(msgspec.json.encode(message))


def _spell_installation(order: InstallationOrder) -> InstallationMessage:
    installation = order.installation
    return InstallationMessage(
        device_id=installation.device_id,
        installation_id=installation.id,
        firmware_id=installation.firmware_id,
        slot=installation.slot,
        name=order.name,
        version=order.label,
        size=order.size_bytes,
        hashes=(multihash(order.sha256),),
        download_url=order.download_url,
        requested_at=installation.requested_at,
    )


def _merge(document: DeviceDocument) -> dict[str, Any] | None:
    """All JSON objects for the device as a whole, member by member: what is set for it alone goes before the rest.

    None when nothing of what the device shall have is such an object.
    """
    contents = {
        entry.artefact_name: msgspec.json.decode(entry.content)
        for entry in document.entries
        if entry.content is not None and not entry.component_key
    }
    objects = {name: content for name, content in contents.items() if isinstance(content, dict)}
    if document.entries and not objects:
        return None
    merged: dict[str, Any] = {}
    for name in sorted(objects, key=lambda name: (name == OWN, name)):
        merged |= objects[name]
    return merged
