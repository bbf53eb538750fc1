"""What devices of the native dialect are told, and what they answer (contract section 6). Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from roadstead.core.commands import Command
from roadstead.core.configuration import DeviceDocument
from roadstead.core.downlinks import (
    COMMAND,
    CONFIGURATION,
    Answer,
    CommandAnswer,
    ConfigurationPart,
    ConfigurationReport,
    Downlink,
    Manners,
    Spelled,
)
from roadstead.core.messages import Uplink
from roadstead.core.ports import Refusal, RefusalReason
from roadstead.db import storable
from roadstead.dialects.native import topics
from roadstead.kernel.ids import DeviceId, parse_uuid

MOST_BYTES = 262_144
"""Of one message (contract section 5)."""


class _CommandMessage(msgspec.Struct, rename="camel"):
    id: UUID
    method: str
    params: Any
    timestamp: datetime


class _CommandResponse(msgspec.Struct, rename="camel"):
    id: str
    status: Literal["ACKNOWLEDGED", "SUCCESS", "FAILED"]
    result: Any = None
    error: str | None = None


class _DocumentEntry(msgspec.Struct, rename="camel", omit_defaults=True):
    artefact_name: str
    version: int
    hash: str
    component_key: str | UnsetType = UNSET
    content: Raw | UnsetType = UNSET
    url: str | UnsetType = UNSET


class _Document(msgspec.Struct, rename="camel"):
    document_version: int
    entries: list[_DocumentEntry]


_Text = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")]
_Number = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class _ReportedEntry(msgspec.Struct, rename="camel"):
    artefact_name: _Text
    version: _Number
    hash: _Text
    status: Literal["PENDING", "IN_PROGRESS", "ACCEPTED", "REJECTED", "FAILED"]
    component_key: _Text | None = None
    message: str | None = None


class _Reported(msgspec.Struct, rename="camel"):
    entries: Annotated[list[_ReportedEntry], Meta(max_length=500)]
    document_version: _Number | None = None


_reported = msgspec.json.Decoder(_Reported).decode
_response = msgspec.json.Decoder(_CommandResponse).decode


class NativeSpeller:
    """The speller of the native dialect."""

    manners = Manners()

    def topic(self, kind: str, organization: UUID, device: DeviceId) -> str | None:
        """See `Speller.topic`."""
        known = topics.topics_of(organization, device)
        return {COMMAND: known.commands, CONFIGURATION: known.config_desired}.get(kind)

    def spell(self, downlink: Downlink) -> Spelled:
        """See `Speller.spell`."""
        match downlink.body:
            case Command() as command:
                message = _CommandMessage(command.id, command.type, command.payload, command.created_at)
                return Spelled(msgspec.json.encode(message))
            case DeviceDocument() as document:
                # As a broker does it: RETAIN is set for who has just subscribed, not for what is new [MQTT-3.3.1-8].
                return Spelled(_spell_document(document), retain=not document.is_news)
        raise TypeError(f"devices of this dialect are not told of {downlink.kind}")


def _spell_document(document: DeviceDocument) -> bytes:
    entries = [
        _DocumentEntry(
            artefact_name=entry.artefact_name,
            version=entry.version,
            hash=entry.hash,
            component_key=entry.component_key or UNSET,
            content=UNSET if entry.content is None else Raw(entry.content),
            url=entry.url or UNSET,
        )
        for entry in document.entries
    ]
    return msgspec.json.encode(_Document(document.version, entries))


def _read_report(uplink: Uplink) -> Answer | Refusal:
    report = _reported(uplink.payload)
    parts = [
        ConfigurationPart(
            artefact_name=entry.artefact_name,
            component_key=entry.component_key or "",
            version=entry.version,
            hash=entry.hash.lower(),
            status=entry.status,
            message=storable(entry.message) if entry.message else None,
        )
        for entry in report.entries
    ]
    return ConfigurationReport(report.document_version, parts)


def _read_response(uplink: Uplink) -> Answer | Refusal:
    response = _response(uplink.payload)
    command_id = parse_uuid(response.id)
    if command_id is None:
        return _refuse(uplink, RefusalReason.UNKNOWN_COMMAND, f"{response.id[:100]!r} is not the id of a command")
    return CommandAnswer(command_id, response.status, response.result, response.error or "")


_READERS: Mapping[str, Callable[[Uplink], Answer | Refusal]] = {
    topics.COMMANDS_RESPONSE: _read_response,
    topics.CONFIG_REPORTED: _read_report,
}


class NativeAnswers:
    """The answer codec of the native dialect."""

    def read(self, uplink: Uplink) -> Answer | Refusal:
        """See `AnswerCodec.read`."""
        if len(uplink.payload) > MOST_BYTES:
            return _refuse(uplink, RefusalReason.TOO_LARGE, f"a message may have {MOST_BYTES} bytes")
        reader = _READERS.get(uplink.channel)
        if reader is None:
            return _refuse(uplink, RefusalReason.MALFORMED, f"there is no channel {uplink.channel}")
        try:
            return reader(uplink)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            missing = "missing required field" in str(error)
            return _refuse(uplink, RefusalReason.MISSING_FIELD if missing else RefusalReason.MALFORMED, str(error))


def _refuse(uplink: Uplink, reason: RefusalReason, detail: str) -> Refusal:
    return Refusal(reason, detail, uplink.payload, whole=True)
