"""What devices of this dialect say, in JSON (contract sections 9 and 10). Pure: from bytes to documents."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from roadstead.core.messages import Uplink
from roadstead.core.ports import Decoded, Document, Glance, Refusal, RefusalReason
from roadstead.dialects.lightelligence import topics
from roadstead.kernel.time import to_millis

Alias = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
_Instant = Annotated[datetime, Meta(tz=True)]


class _Data(msgspec.Struct, rename="camel"):
    """A report of attributes or configuration (contract, `mqttDataIngest`)."""

    type: Literal["attributes", "configuration"]
    value: dict[str, Any]
    time: _Instant | None = None
    device_id: UUID | None = None
    alias: Alias | None = None


class _Event(msgspec.Struct, rename="camel"):
    """An event (contract, `mqttEventIngest`)."""

    type: Annotated[str, Meta(max_length=255, pattern="^[a-zA-Z0-9_]+$")]
    value: dict[str, Any] | None = None
    created_at: _Instant | None = None
    device_id: UUID | None = None
    alias: Alias | None = None


_data = msgspec.json.Decoder(_Data).decode
_event = msgspec.json.Decoder(_Event).decode


class LightelligenceCodec:
    """The codec of this dialect. Every message is a document, so there is nothing to see at a glance."""

    is_lenient = False

    def glance(self, uplink: Uplink) -> Glance | None:
        """See `Codec.glance`."""
        return None

    def decode(self, uplink: Uplink) -> Decoded:
        """See `Codec.decode`."""
        try:
            match uplink.channel:
                case topics.DATA:
                    return _decode_data(uplink)
                case topics.EVENTS:
                    return _decode_event(uplink)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _refused(uplink, _reason(str(error)), str(error))
        return _refused(uplink, RefusalReason.MALFORMED, f"there is no channel {uplink.channel}")


def _decode_data(uplink: Uplink) -> Decoded:
    said = _data(uplink.payload)
    if said.device_id is not None and said.alias is not None:
        return _refused_both(uplink)
    at = uplink.received if said.time is None else to_millis(said.time)
    about = said.device_id or said.alias
    return Decoded(document=Document(section=said.type, value=said.value, at=at, about=about))


def _decode_event(uplink: Uplink) -> Decoded:
    said = _event(uplink.payload)
    if said.device_id is not None and said.alias is not None:
        return _refused_both(uplink)
    at = uplink.received if said.created_at is None else to_millis(said.created_at)
    about = said.device_id or said.alias
    return Decoded(document=Document(section="events", event=said.type, value=said.value, at=at, about=about))


def _reason(detail: str) -> RefusalReason:
    if "missing required field" in detail:
        return RefusalReason.MISSING_FIELD
    if "`$.time`" in detail or "`$.createdAt`" in detail:
        return RefusalReason.BAD_TIMESTAMP
    return RefusalReason.MALFORMED


def _refused_both(uplink: Uplink) -> Decoded:
    return _refused(uplink, RefusalReason.MALFORMED, "a message names a device by deviceId or by alias, not by both")


def _refused(uplink: Uplink, reason: RefusalReason, detail: str) -> Decoded:
    return Decoded(refused=[Refusal(reason, detail, uplink.payload, whole=True)])
