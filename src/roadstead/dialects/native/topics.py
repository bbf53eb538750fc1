"""The MQTT topics of a device that speaks the native API (contract section 6). Pure."""

from uuid import UUID

import msgspec

DIALECT = "native"

READINGS = "readings"
HEALTH = "health"
STATUS = "status"
COMMANDS_RESPONSE = "commands/response"
CONFIG_REPORTED = "config/reported"
"""Channels of uplinks: what the codec is told a payload is."""


class Topics(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every topic of one device, as `ProvisionResult` prints them."""

    readings: str
    commands: str
    commands_response: str
    health: str
    status: str
    config_reported: str
    config_desired: str

    @property
    def published(self) -> dict[bytes, str]:
        """What the device may report on, with the channel of each."""
        return {
            self.readings.encode(): READINGS,
            self.health.encode(): HEALTH,
            self.status.encode(): STATUS,
        }

    @property
    def answered(self) -> dict[bytes, str]:
        """Where the device answers what it was sent, with the channel of each."""
        return {
            self.commands_response.encode(): COMMANDS_RESPONSE,
            self.config_reported.encode(): CONFIG_REPORTED,
        }

    @property
    def heard(self) -> tuple[str, ...]:
        """What the device may subscribe to."""
        return (self.commands, self.config_desired)


def topics_of(organization: UUID, device: UUID) -> Topics:
    """The topics of a device: the organization and the device stand in each, so none is anybody else's."""
    gateway = f"v1/gateways/{organization}/{device}"
    return Topics(
        readings=f"v1/readings/{organization}/{device}",
        commands=f"{gateway}/commands",
        commands_response=f"{gateway}/commands/response",
        health=f"{gateway}/health",
        status=f"{gateway}/status",
        config_reported=f"{gateway}/config/reported",
        config_desired=f"{gateway}/config/desired",
    )
