"""Device types and devices for tests, made as programs of the dialect make them."""

from typing import Any

from tests.dialects.lightelligence.contract import Client

SENSOR_SCHEMA: dict[str, Any] = {
    "attributes": {
        "people": {"type": "integer", "minimum": 0},
        "air": {"type": "object", "properties": {"co2": {"type": "number"}, "voc": {"type": "number"}}},
        "zones": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 5},
        "additionalProperties": False,
    },
    "configuration": {
        "interval": {"type": "integer", "minimum": 5, "maximum": 3600},
        "led": {"type": "string", "enum": ["off", "on", "auto"]},
    },
    "events": {
        "crowded": {"type": "object", "properties": {"people": {"type": "integer"}}},
        "tampered": {},
    },
    "actions": {
        "blink": {"type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["seconds"]},
    },
}
"""That of the contract's example (section 7), with nothing required."""

SENSOR_RULES: list[dict[str, Any]] = [
    {"path": "$.attributes.people", "reportTo": ["timeseries"]},
    {"path": "$.attributes.air.co2", "reportTo": ["timeseries", "deviceManagement"]},
    {"path": "$.attributes.zones[0]", "reportTo": ["timeseries"]},
    {"path": "$.configuration.interval", "reportTo": ["timeseries"]},
]


async def add_type(client: Client, **fields: Any) -> dict[str, Any]:
    """A device type: the ceiling sensor of the contract's example, unless told otherwise."""
    body = {"name": "Ceiling sensor", "schema": SENSOR_SCHEMA, "reportingRules": SENSOR_RULES} | fields
    made: dict[str, Any] = await client.data("createDeviceType", json=body)
    return made


async def add_device(client: Client, type_: dict[str, Any] | str, **info: Any) -> dict[str, Any]:
    """A device of a type; `configuration` and `custom` stand beside the rest of `info`."""
    beside = {name: info.pop(name) for name in ("configuration", "custom") if name in info}
    type_id = type_ if isinstance(type_, str) else type_["id"]
    body = {"info": {"name": "Sensor", "deviceTypeId": type_id} | info} | beside
    made: dict[str, Any] = await client.data("createDevice", json=body)
    return made
