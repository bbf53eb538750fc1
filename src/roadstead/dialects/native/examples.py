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
