"""The MQTT topics of a device of this dialect (contract section 10). Pure."""

from collections.abc import Iterable
from uuid import UUID

DIALECT = "lightelligence"

DATA = "data-ingest"
EVENTS = "event-ingest"
"""Channels of uplinks, and the topics themselves: the certificate says who is sending."""

CONFIGURATION = "configuration"
ACTIONS = "actions"
FIRMWARE = "firmware-installations"
"""What a device may be told."""

PUBLISHED = {topic.encode(): topic for topic in (DATA, EVENTS)}
"""What a device may report on, with the channel of each."""


def topic_of(device: UUID, kind: str) -> str:
    """Where a device is told something."""
    return f"devices/{device}/{kind}"


def heard_by(devices: Iterable[UUID]) -> tuple[str, ...]:
    """What somebody may subscribe to who is these devices, or speaks for them."""
    return tuple([topic_of(device, kind) for device in devices for kind in (CONFIGURATION, ACTIONS, FIRMWARE)])
