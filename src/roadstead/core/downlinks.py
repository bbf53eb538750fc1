"""What goes down to devices, and what they answer: words that the rooms, the courier and the dialects share."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias
from uuid import UUID

import msgspec

from roadstead.core.messages import Uplink
from roadstead.core.ports import Refusal
from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId, TenantId


class CommandAnswer(msgspec.Struct, frozen=True):
    """What a device says about a command."""

    command_id: UUID
    status: Literal["ACKNOWLEDGED", "SUCCESS", "FAILED"]
    result: Any = None
    """Whatever JSON can hold."""
    error: str = ""


class ConfigurationPart(msgspec.Struct, frozen=True, kw_only=True):
    """What a device says about one artefact it was given."""

    artefact_name: str
    component_key: str = ""
    """Empty: the device as a whole."""
    version: int
    hash: str
    status: Literal["PENDING", "IN_PROGRESS", "ACCEPTED", "REJECTED", "FAILED"]
    message: str | None = None


class ConfigurationReport(msgspec.Struct, frozen=True):
    """What a device says about its configuration."""

    document_version: int | None
    entries: list[ConfigurationPart]


Answer: TypeAlias = CommandAnswer | ConfigurationReport
"""What a device can say about something the platform has sent to it."""


class AnswerCodec(Protocol):
    """How one dialect's devices answer, on the channels that `TopicRules.answers` names. Pure, as a `Codec` is."""

    def read(self, uplink: Uplink) -> Answer | Refusal:
        """Never raises for what a device sent: what cannot be read is refused with a reason."""


class Downlink(msgspec.Struct, frozen=True):
    """Something the platform has to tell a device."""

    tenant: TenantId
    device: DeviceId
    kind: str
    """What it is, for who spells it: `COMMAND`, ..."""
    id: UUID
    """What it is about: of two with one id the later one counts."""
    body: msgspec.Struct
    """What the kind says; its room knows the type."""
    aliases: tuple[str, ...] = ()
    """What else the device is called; told only to those who hear of other devices."""


COMMAND = "command"
"""Downlinks whose body is a `commands.Command`."""
CONFIGURATION = "configuration"
"""Downlinks whose body is a `configuration.DeviceDocument`."""
FIRMWARE = "firmware"
"""Downlinks whose body is a `firmware.InstallationOrder`."""


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """What devices of a dialect do about what they are told."""

    answers: bool = True
    """They say what became of a command; else it has succeeded as soon as it has arrived."""
    remembers: bool = False
    """They have what they have acknowledged once: nobody tells them again because they have come back."""
    carries: bool = False
    """They hear what is meant for the devices behind them."""
    apart: bool = False
    """Its topic alone says for which of them it is meant, so nobody hears it on another."""


class Hearer(msgspec.Struct, frozen=True):
    """A device that listens for downlinks at this moment, or that another one listens for."""

    tenant: TenantId
    device: DeviceId
    session: str
    """Tells the session from all others there ever were."""
    manners: Manners = Manners()


class Source(Protocol):
    """A kind of downlinks, kept in rows until their devices have them. The courier of each gateway asks it."""

    @property
    def kind(self) -> str:
        """Of its downlinks."""

    async def claim(self, tx: Tx, hearers: Sequence[Hearer], *, most: int) -> list[Downlink]:
        """What waits for these devices and was not handed to their sessions yet, oldest first, at most so many each.

        From the commit on it counts as sent in that session: the courier hands it over after that, so a crash in
        between means that the device gets it in its next session, where it is claimed again unless it has arrived.
        """

    async def note_arrived(self, tx: Tx, downlinks: Sequence[Downlink]) -> None:
        """Their devices have acknowledged these. May be told twice."""


class Spelled(msgspec.Struct, frozen=True):
    """A downlink as a dialect puts it."""

    payload: bytes
    retain: bool = False


class Speller(Protocol):
    """How one dialect tells its devices things. Pure."""

    @property
    def manners(self) -> Manners:
        """What its devices do about it."""

    def topic(self, kind: str, organization: UUID, device: DeviceId) -> str | None:
        """Where a device hears downlinks of this kind; None when its dialect has no words for them."""

    def spell(self, downlink: Downlink) -> Spelled | None:
        """The message; None for what cannot be said in its words. Asked only for kinds that have a topic."""
