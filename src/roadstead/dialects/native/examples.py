"""Examples of the OpenAPI document. A test sends each request, and checks each answer against its schema.

Everything in them belongs to one made-up organization that runs pumps; the test puts its own ids in the place of these.
"""

from typing import Any

DEVICE = "6b014cf4-9c1e-8b3a-8000-0004d2a1b3c5"
COMPONENT = "6b014cf8-03d9-8aa1-8000-000c54f7e102"
SENSOR = "6b014d10-2f41-8c7e-8000-000a91e2d4f7"
SITE = "6b014ce0-77a2-8d05-8000-0001b86c93de"
ORGANIZATION = "6b014c90-5b1f-8e42-8000-00094d03ac18"
ENTRY = "6b014d55-c0e8-8f19-8000-0007a2b4d6f8"
EMAIL = "ada@example.org"
PASSWORD = "correct horse battery"  # noqa: S105  # an example
CODE = "492039"
"""Of the authenticator app at this moment."""
SECRET = "n3VbQwZ0mCkT8rYx2LsJ5dHfGaP7eUoI1WtRzXqKyBc"  # noqa: S105  # an example
"""A token that was shown once."""
SIGNING_REQUEST = "-----BEGIN CERTIFICATE REQUEST-----\nMIHdMIGEAgEAMCIxIDAeBgNVBAMMF3B1bXAtMQ==\n-----END ...\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBmjCCAUCgAwIBAgIUQx1z8c2v0Yq2dR8h7v\n-----END CERTIFICATE-----\n"

_MOTOR_FIELDS = [
    {"name": "rpm", "valueType": "DOUBLE", "unit": "1/min", "min": 0, "max": 9000, "required": True},
    {"name": "starts", "valueType": "BIGINT", "label": "starts since installation"},
]
_SELECTOR = {"matchTags": {"line": "north"}, "siteIds": [SITE]}
_LOCATION = {"latitude": 54.5, "longitude": 10.2, "label": "Pier 3"}

BODIES: dict[str, Any] = {
    "auth.login": {"email": EMAIL, "password": PASSWORD},
    "auth.refresh": {"refreshToken": SECRET},
    "auth.logout": {"refreshToken": SECRET},
    "auth.me-update": {"name": "Ada", "locale": "en-GB", "timeZone": "Europe/London", "preferences": {"theme": "dark"}},
    "auth.switch-organization": {"organizationId": ORGANIZATION},
    "auth.password-change": {"currentPassword": PASSWORD, "newPassword": "a longer horse battery"},
    "auth.password-forgot": {"email": EMAIL},
    "auth.password-reset": {"token": SECRET, "newPassword": "a longer horse battery"},
    "auth.totp-begin": {"password": PASSWORD},
    "auth.totp-confirm": {"otp": CODE},
    "auth.totp-remove": {"password": PASSWORD, "otp": CODE},
    "organization.create": {"name": "Pumps of the north"},
    "organization.update": {"settings": {"timeZone": "Europe/Berlin", "retentionDays": 730}},
    "member.update": {"role": "ADMIN"},
    "invitation.create": {"email": "grace@example.org", "role": "MEMBER"},
    "invitation.accept": {"name": "Grace", "password": PASSWORD},
    "api-key.create": {"name": "reporting", "scopes": ["devices:read", "readings:read"]},
    "api-key.update": {"name": "reports"},
    "api-key.rotate": {"graceSeconds": 3600},
    "device.create": {
        "name": "pump-7",
        "serialNumber": "P-2026-0007",
        "deviceProfile": "pump@1.0",
        "siteId": SITE,
        "location": _LOCATION,
        "tags": {"line": "north"},
    },
    "device.replace": {"name": "pump-1", "siteId": SITE, "tags": {"line": "south"}},
    "device.patch": {"tags": {"line": "south", "spare": None}, "location": _LOCATION},
    "device.set-status": {"status": "MAINTENANCE", "reason": "new bearings"},
    "device.bulk": {"operations": [{"op": "addTags", "ids": [DEVICE], "value": {"inspected": "2026"}}]},
    "device.health-report": {
        "timestamp": "2026-05-01T12:00:00Z",
        "uptimeSeconds": 86400,
        "signalStrengthDbm": -67,
        "connectionType": "WIFI",
        "firmwareVersion": "1.4.2",
    },
    "device.reprovision": {"ttlSeconds": 3600},
    "device.credentials-register": {"certificate": CERTIFICATE},
    "device.credentials-revoke": {"reason": "lost"},
    "registration.token-create": {"deviceName": "pump-8", "deviceProfile": "pump@1.0", "siteId": SITE},
    "registration.token-bulk": {"devices": [{"deviceName": "pump-9"}, {"deviceName": "pump-10"}], "ttlSeconds": 604800},
    "provision.exchange": {"token": SECRET, "csr": SIGNING_REQUEST, "firmwareVersion": "1.4.2"},
    "provision.renew": {"csr": SIGNING_REQUEST},
    "component.create": {"deviceId": DEVICE, "key": "spare", "name": "The spare motor", "sensorProfile": "motor@1.0"},
    "component.replace": {"deviceId": DEVICE, "key": "motor", "name": "Motor A", "sensorProfile": "motor@1.0"},
    "component.patch": {"name": "Motor A", "tags": {"maker": "Acme"}},
    "sensor.create": {"deviceId": DEVICE, "key": "humidity", "valueType": "DOUBLE", "unit": "%", "min": 0, "max": 100},
    "sensor.replace": {
        "deviceId": DEVICE,
        "key": "temperature",
        "name": "Housing",
        "valueType": "DOUBLE",
        "unit": "°C",
    },
    "sensor.patch": {"name": "Housing temperature", "unit": "°C"},
    "device-group.create": {"name": "North line", "selector": _SELECTOR},
    "device-group.replace": {"name": "North", "description": "all of the north line", "selector": _SELECTOR},
    "device-group.patch": {"name": "The north line"},
    "device-group.preview": {"selector": _SELECTOR, "limit": 5},
    "site.create": {"name": "Pier 3", "parentId": SITE, "location": _LOCATION, "timeZone": "Europe/Berlin"},
    "site.replace": {"name": "Harbour", "timeZone": "Europe/Berlin", "address": {"city": "Kiel"}},
    "site.patch": {"tags": {"region": "north"}},
    "sensor-profile.create": {"key": "gearbox", "profileVersion": "1.0", "name": "Gearbox", "fields": _MOTOR_FIELDS},
    "sensor-profile.validate": {"payload": {"rpm": 900.5, "starts": 3}},
    "device-profile.create": {
        "key": "winch",
        "profileVersion": "1.0",
        "name": "Winch",
        "components": [{"key": "motor", "name": "The motor", "sensorProfile": "motor@1.0", "required": True}],
    },
    "reading.ingest": [
        {"sensorId": SENSOR, "timestamp": "2026-05-01T12:00:00Z", "value": 21.5},
        {
            "deviceId": DEVICE,
            "sensorId": "motor.rpm",
            "timestamp": "2026-05-01T14:00:00+02:00",
            "value": 900,
            "metadata": {"quality": "good"},
        },
    ],
    "reading.batch": {
        "sensorIds": [SENSOR],
        "mode": "aggregated",
        "from": "2026-05-01T00:00:00Z",
        "to": "2026-05-02T00:00:00Z",
        "interval": "PT1H",
        "fn": ["avg", "count"],
    },
    "quarantine.replay": {"ids": [ENTRY]},
}
"""The body of each operation that takes one."""

_READING = {
    "sensorId": SENSOR,
    "timestamp": "2026-05-01T12:00:00Z",
    "value": 21.5,
    "valueType": "DOUBLE",
    "receivedAt": "2026-05-01T12:00:00.120Z",
}
_POINTS = [
    {"bucket": "2026-05-01T12:00:00Z", "avg": 21.4, "count": 60},
    {"bucket": "2026-05-01T13:00:00Z", "avg": 22.1, "count": 60},
]
_SERIES = {"sensorId": SENSOR, "interval": "PT1H", "points": _POINTS}

ANSWERS: dict[str, tuple[str, Any]] = {
    "registration.token-create": (
        "201",
        {
            "token": "6b014e02-1d3c-8b77-8000-000f2a9c4e61.6b014cf4-9c1e-8b3a-8000-0004d2a1b3c5.n3VbQwZ0mCkT8rYx2LsJ5d",
            "deviceId": DEVICE,
            "deviceName": "pump-8",
            "provisionEndpoint": "https://iot.example.org/api/v1/devices/provision",
            "expiresAt": "2026-05-02T12:00:00Z",
        },
    ),
    "device.health": (
        "200",
        {
            "deviceId": DEVICE,
            "timestamp": "2026-05-01T12:00:00Z",
            "uptimeSeconds": 86400,
            "signalStrengthDbm": -67,
            "connectionType": "WIFI",
            "firmwareVersion": "1.4.2",
        },
    ),
    "reading.raw": ("200", {"items": [_READING], "nextCursor": "WzE3MTQ1NjQ4MDAwMDAsInRlbXBlcmF0dXJlIl0"}),
    "reading.window": ("200", {"items": [_READING]}),
    "reading.device": ("200", {"items": [_READING]}),
    "reading.latest": ("200", _READING),
    "reading.latest-many": ("200", {"items": [_READING]}),
    "reading.aggregated": ("200", _SERIES | {"timeZone": "UTC"}),
    "reading.stats": (
        "200",
        {
            "sensorId": SENSOR,
            "from": "2026-05-01T00:00:00Z",
            "to": "2026-05-02T00:00:00Z",
            "count": 1440,
            "min": 18.2,
            "max": 26.9,
            "avg": 21.7,
            "sum": 31248.0,
            "stddev": 1.9,
            "median": 21.5,
            "p95": 25.3,
            "first": _READING,
            "last": _READING,
        },
    ),
    "reading.batch": ("200", {"series": [_SERIES]}),
    "reading.component": ("200", {"items": [{"timestamp": "2026-05-01T12:00:00Z", "rpm": 900.5, "starts": 3}]}),
    "reading.purge": ("200", {"deleted": 1440}),
    "reading.ingest": ("202", {"accepted": 2, "duplicates": 0, "quarantined": 0, "errors": []}),
    "quarantine.get": (
        "200",
        {
            "id": ENTRY,
            "deviceId": DEVICE,
            "sensorRef": "motor.rpm",
            "reason": "OUT_OF_RANGE",
            "detail": "9999.0 is not within 0..9000",
            "payload": {"sensorId": "motor.rpm", "timestamp": "2026-05-01T12:00:00Z", "value": 9999},
            "source": "MQTT",
            "receivedAt": "2026-05-01T12:00:00.120Z",
            "attempts": 1,
            "expiresAt": "2026-05-31T12:00:00.120Z",
        },
    ),
    "quarantine.stats": (
        "200",
        {"total": 3, "byReason": {"OUT_OF_RANGE": 3}, "byDevice": [{"deviceId": DEVICE, "count": 3}]},
    ),
    "quarantine.purge": ("200", {"deleted": 3}),
    "quarantine.replay": ("200", {"succeeded": 1, "failed": 0, "results": [{"index": 0, "id": ENTRY, "status": 200}]}),
    "meta.live": ("200", {"status": "UP"}),
    "meta.ready": ("200", {"status": "UP", "checks": {"database": "UP", "bus": "UP", "store": "UP"}}),
}
"""Status and body of some answers."""
