"""Things by name: what people type and the API has ids for."""

from typing import Any

from roadstead.cli.client import ApiClient
from roadstead.cli.failures import CommandFailed
from roadstead.kernel.ids import parse_uuid


def device_id(api: ApiClient, text: str) -> str:
    """The id of a device given by id, name or external id. Raises `CommandFailed` unless there is exactly one."""
    if parse_uuid(text) is not None:
        return text
    found = [device for device in api.every("/api/v1/devices", q=text) if text in _names_of(device)]
    if len(found) != 1:
        number = f"there are {len(found)} devices" if found else "there is no device"
        raise CommandFailed(f"{number} of the name '{text}': see 'roadstead device list'")
    return str(found[0]["id"])


def sensor_id(api: ApiClient, text: str) -> str:
    """The id of a sensor given by id or as DEVICE/KEY. Raises `CommandFailed` when there is none."""
    if parse_uuid(text) is not None:
        return text
    device, _, key = text.rpartition("/")
    if not device:
        raise CommandFailed(f"'{text}' is not a sensor: give its id, or DEVICE/KEY such as boiler-7/temperature")
    sensors = list(api.every(f"/api/v1/devices/{device_id(api, device)}/sensors"))
    for sensor in sensors:
        if sensor["key"] == key:
            return str(sensor["id"])
    known = ", ".join(sensor["key"] for sensor in sensors)
    raise CommandFailed(f"{device} has no sensor '{key}'" + (f": it has {known}" if known else " yet"))


def _names_of(device: dict[str, Any]) -> list[str | None]:
    return [device["name"], device.get("externalId")]
