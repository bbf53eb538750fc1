"""Examples of the OpenAPI document. A test sends each request, and checks each answer against its schema.

Everything in them belongs to one made-up organization that runs pumps; the test puts its own ids in the place of these.
"""

from typing import Any

DEVICE = "6b014cf4-9c1e-8b3a-8000-0004d2a1b3c5"
COMPONENT = "6b014cf8-03d9-8aa1-8000-000c54f7e102"
SENSOR = "6b014d10-2f41-8c7e-8000-000a91e2d4f7"
SITE = "6b014ce0-77a2-8d05-8000-0001b86c93de"
ORGANIZATION = "6b014c90-5b1f-8e42-8000-00094d03ac18"
EXPORT = "6b014d80-2b9f-8a17-8000-0002f6c48d1b"
ENTRY = "6b014d55-c0e8-8f19-8000-0007a2b4d6f8"
COMMAND = "6b014d61-88c2-8e0d-8000-000b5c71f3a9"
COMMAND_BATCH = "6b014d62-1f07-8b94-8000-0003e8d20c56"
CONFIG_ARTEFACT = "6b014d30-6e52-8d91-8000-0008a3c7f105"
BINDING = "6b014d31-90ab-8c36-8000-000597d2e84b"
CHANNEL = "6b014d70-5a1d-8c42-8000-0006f18b2e94"
ALERT = "6b014d8e-51f0-8b27-8000-0002e6a9d415"
EVENT = "6b014d8e-3c77-8d90-8000-000fa81b6c02"
RULE = "6b014d61-a2c4-8f58-8000-000590e7b3d1"
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

_TOO_FAST = {"type": "VALUE", "operator": "GT", "value": 8000, "for": "PT1M", "hysteresis": 200}
_RULE = {
    "name": "Motors run too fast",
    "severity": "WARNING",
    "scope": {"siteId": SITE, "sensorProfile": "motor", "field": "rpm"},
    "condition": {
        "any": [
            _TOO_FAST,
            {"type": "AGGREGATE", "function": "AVG", "window": "PT15M", "operator": "GT", "value": 7500},
        ]
    },
    "messageTemplate": "{{device}}: {{value}} {{unit}} is more than {{threshold}}",
}

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
    "command.create": {"type": "REBOOT", "params": {"delaySeconds": 10}, "timeoutSeconds": 120},
    "command.bulk": {
        "target": {"siteId": SITE},
        "command": {"type": "REBOOT", "ttlSeconds": 86400},
        "perMinute": 60,
        "maxFailurePercent": 5,
    },
    "config-artefact.create": {
        "name": "sampling",
        "content": {"intervalSeconds": 10, "channels": ["rpm", "temperature"]},
        "description": "every ten seconds",
    },
    "config-artefact.upload-url": {
        "fileName": "model-7.onnx",
        "contentType": "application/octet-stream",
        "sizeBytes": 48211093,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    },
    "binding.put": {"targetType": "DEVICE", "targetId": DEVICE, "configArtefactId": CONFIG_ARTEFACT},
    "alert-rule.create": _RULE,
    "alert-rule.replace": _RULE | {"name": "Motors run dry", "cooldownSeconds": 900},
    "alert-rule.patch": {"severity": "CRITICAL", "condition": _TOO_FAST},
    "alert-rule.test": {"rule": _RULE, "from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"},
    "alert.acknowledge": {"comment": "on my way"},
    "alert.comment": {"comment": "it is the bearing"},
    "alert.assign": {"userId": None},
    "alert.silence": {"until": "2126-05-02T06:00:00Z", "comment": "known, spare part is ordered"},
    "alert.resolve": {"resolution": "FIXED", "comment": "new bearing"},
    "alert.bulk": {"action": "resolve", "filter": {"severity": ["INFO"], "siteId": SITE}, "comment": "inspected"},
    "event.create": {
        "type": "maintenance.bearing-replaced",
        "message": "The bearing of the motor was replaced",
        "deviceId": DEVICE,
        "data": {"part": "6204-2RS"},
    },
    "channel.create": {
        "name": "maintenance",
        "type": "WEBHOOK",
        "config": {"url": "https://hooks.example.org/alerts", "headers": {"Authorization": "Bearer t0ken"}},
        "minSeverity": "WARNING",
    },
    "channel.replace": {
        "name": "on call",
        "type": "EMAIL",
        "config": {"recipients": [EMAIL], "subjectTemplate": "{{severity}}: {{title}}"},
        "quietHours": {"start": "22:00", "end": "07:00", "timeZone": "Europe/Berlin"},
    },
    "channel.patch": {"digestMinutes": 15},
    "quarantine.replay": {"ids": [ENTRY]},
    "firmware.create": {
        "name": "pump controller",
        "version": "1.5.0",
        "deviceProfile": "pump",
        "sizeBytes": 1843200,
        "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        "releaseNotes": "starts softly",
    },
    "firmware.patch": {"releaseNotes": "starts softly, stops softly", "metadata": {"board": "rev B"}},
    "firmware.token": {"deviceId": DEVICE, "ttlSeconds": 600},
    "rollout.create": {
        "target": {"deviceProfile": "pump"},
        "waves": [5, 25, 100],
        "maxFailurePercent": 10,
        "window": {"start": "22:00", "end": "05:00", "timeZone": "Europe/Berlin"},
    },
    "export.create": {
        "scopeType": "DEVICE",
        "scopeId": DEVICE,
        "from": "2026-05-01T00:00:00Z",
        "to": "2026-06-01T00:00:00Z",
        "includes": ["READINGS", "ANNOTATIONS"],
    },
}
"""The body of each operation that takes one."""

_READING = {
    "sensorId": SENSOR,
    "timestamp": "2026-05-01T12:00:00Z",
    "value": 21.5,
    "valueType": "DOUBLE",
    "receivedAt": "2026-05-01T12:00:00.120Z",
}
_EXPORT = {
    "id": EXPORT,
    "scopeType": "DEVICE",
    "scopeId": DEVICE,
    "from": "2026-05-01T00:00:00Z",
    "to": "2026-06-01T00:00:00Z",
    "includes": ["READINGS", "ANNOTATIONS"],
    "requestedBy": "user_6b014c95-20c4-8d33-8000-000e41b7a902",
    "createdAt": "2026-05-15T10:30:00Z",
}
_POINTS = [
    {"bucket": "2026-05-01T12:00:00Z", "avg": 21.4, "count": 60},
    {"bucket": "2026-05-01T13:00:00Z", "avg": 22.1, "count": 60},
]
_COMMAND = {
    "id": COMMAND,
    "deviceId": DEVICE,
    "type": "REBOOT",
    "params": {"delaySeconds": 10},
    "requestedBy": "6b014c95-20c4-8d33-8000-000e41b7a902",
    "createdAt": "2026-05-01T12:00:00Z",
    "expiresAt": "2026-05-01T13:00:00Z",
}
_SERIES = {"sensorId": SENSOR, "interval": "PT1H", "points": _POINTS}
_HASH = "38f95b8ad7a4fca386ff89581c7922866e5994bd3c6fc36deeaaef93b5f0503b"

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
    "export.create": ("201", _EXPORT | {"status": "PENDING"}),
    "export.get": (
        "200",
        _EXPORT
        | {
            "status": "READY",
            "startedAt": "2026-05-15T10:30:01Z",
            "sizeBytes": 184320,
            "readingCount": 44021,
            "annotationCount": 0,
            "completedAt": "2026-05-15T10:30:42Z",
            "expiresAt": "2026-05-16T10:30:42Z",
            "downloadUrl": f"https://iot.example.org/storage/{ORGANIZATION}/{EXPORT}/6b014d81-01c3-8f25-8000-0007d19b34ae"
            f"/exports/{EXPORT}.zip?X-Amz-Algorithm=RS1-HMAC-SHA256&X-Amz-Expires=86400&X-Amz-Signature=5f1c...",
        },
    ),
    "command.create": ("201", _COMMAND | {"status": "PENDING"}),
    "command.get": (
        "200",
        _COMMAND
        | {
            "status": "SUCCESS",
            "result": {"uptimeSeconds": 0},
            "sentAt": "2026-05-01T12:00:00.014Z",
            "deliveredAt": "2026-05-01T12:00:00.060Z",
            "completedAt": "2026-05-01T12:00:12.500Z",
        },
    ),
    "command.bulk": (
        "202",
        {"batchId": COMMAND_BATCH, "accepted": 41, "rejected": [{"deviceId": DEVICE, "code": "invalid-state"}]},
    ),
    "config-artefact.create": (
        "201",
        {
            "id": CONFIG_ARTEFACT,
            "name": "sampling",
            "artefactVersion": 1,
            "contentType": "application/json",
            "content": {"channels": ["rpm", "temperature"], "intervalSeconds": 10},
            "sizeBytes": 55,
            "sha256": _HASH,
            "description": "every ten seconds",
            "createdBy": "6b014c95-20c4-8d33-8000-000e41b7a902",
            "createdAt": "2026-05-01T12:00:00Z",
            "inUse": False,
        },
    ),
    "binding.get": (
        "200",
        {
            "id": BINDING,
            "targetType": "DEVICE_PROFILE",
            "targetId": "6b014c9a-11f0-8b52-8000-0004c8e61d07",
            "configArtefactId": CONFIG_ARTEFACT,
            "artefactName": "sampling",
            "desiredVersion": 3,
            "priority": 0,
            "status": "MIXED",
            "deviceCounts": {
                "pending": 12,
                "inProgress": 0,
                "accepted": 988,
                "rejected": 0,
                "failed": 0,
                "drifting": 12,
            },
            "drift": True,
            "settled": True,
            "createdAt": "2026-05-01T12:00:00Z",
            "updatedAt": "2026-05-02T08:30:00Z",
            "version": 3,
        },
    ),
    "device.desired-state": (
        "200",
        {
            "deviceId": DEVICE,
            "documentVersion": 4,
            "changedAt": "2026-05-02T08:30:01Z",
            "sentAt": "2026-05-02T08:30:01.020Z",
            "deliveredVersion": 4,
            "deliveredAt": "2026-05-02T08:30:01.065Z",
            "reportedDocumentVersion": 4,
            "reportedAt": "2026-05-02T08:30:02Z",
            "drift": False,
            "entries": [
                {
                    "artefactName": "sampling",
                    "targetType": "DEVICE",
                    "targetId": DEVICE,
                    "bindingId": BINDING,
                    "artefactId": CONFIG_ARTEFACT,
                    "desiredVersion": 3,
                    "hash": _HASH,
                    "content": {"channels": ["rpm", "temperature"], "intervalSeconds": 10},
                    "status": "ACCEPTED",
                    "reportedVersion": 3,
                    "reportedHash": _HASH,
                    "reportedAt": "2026-05-02T08:30:02Z",
                    "drift": False,
                }
            ],
            "strays": [],
        },
    ),
    "alert.get": (
        "200",
        {
            "id": ALERT,
            "ordinal": 17,
            "eventId": EVENT,
            "ruleId": RULE,
            "ruleName": "Motors run too fast",
            "severity": "WARNING",
            "status": "ACKNOWLEDGED",
            "deviceId": DEVICE,
            "componentId": COMPONENT,
            "sensorId": SENSOR,
            "siteId": SITE,
            "value": 8120.5,
            "threshold": 8000,
            "message": "pump-1: 8120.5 1/min is more than 8000",
            "triggeredAt": "2026-05-01T12:01:00Z",
            "lastSeenAt": "2026-05-01T12:01:00Z",
            "occurrences": 1,
            "acknowledgedAt": "2026-05-01T12:03:10Z",
            "acknowledgedBy": "6b014c95-20c4-8d33-8000-000e41b7a902",
            "timeline": [
                {"at": "2026-05-01T12:01:00Z", "name": "alert rules", "action": "RAISED"},
                {
                    "at": "2026-05-01T12:03:10Z",
                    "by": "6b014c95-20c4-8d33-8000-000e41b7a902",
                    "name": "Ada",
                    "action": "ACKNOWLEDGED",
                    "comment": "on my way",
                },
            ],
        },
    ),
    "alert-rule.test": (
        "200",
        {
            "firings": [
                {
                    "sensorId": SENSOR,
                    "at": "2026-05-01T12:01:00Z",
                    "value": 8120.5,
                    "resolvedAt": "2026-05-01T12:20:00Z",
                }
            ],
            "truncated": False,
        },
    ),
    "channel.create": (
        "201",
        {
            "id": CHANNEL,
            "name": "maintenance",
            "type": "WEBHOOK",
            "enabled": True,
            "config": {"url": "https://hooks.example.org/alerts", "headers": {"Authorization": "(hidden)"}},
            "minSeverity": "WARNING",
            "createdAt": "2026-05-01T12:00:00Z",
            "updatedAt": "2026-05-01T12:00:00Z",
            "version": 1,
            "secret": "whsec_9wJmVb2Qx7n0LsT4kYpR8dHfGaP3eUoI1WtRzXqKyBc",
        },
    ),
    "channel.test": (
        "200",
        {
            "id": "6b014d72-04bc-8f61-8000-000d97c3a512",
            "channelId": CHANNEL,
            "kind": "TEST",
            "severity": "INFO",
            "title": "This is a test of the channel 'maintenance'",
            "status": "FAILED",
            "attempts": 1,
            "lastStatusCode": 404,
            "error": "answered 404: no such hook",
            "createdAt": "2026-05-01T12:00:00Z",
        },
    ),
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
