"""What the OpenAPI document says in words, and what it cannot learn from the routes."""

from typing import Any

DESCRIPTION = """\
The native API of Roadstead. Every request belongs to one organization, which follows from the credential; what belongs
to another organization does not exist (404).

Fields without a value are left out of answers. Unknown fields of a body and unknown query parameters are refused
(422). Times are RFC 3339 in UTC; any offset is taken. Lists answer `nextCursor` as long as there is more. Failures are
problem+json (RFC 9457) and name the field that is wrong. Versioned resources have an `ETag`; `If-Match` guards a
change.
"""

TAGS = {
    "access": "signing in, organizations, members, invitations, API keys, the audit log",
    "devices": "the registry: devices, components, sensors, sites, groups, and how devices are",
    "provisioning": "from a one-time token to a certificate",
    "profiles": "versioned types of sensors and devices",
    "readings": "what devices report: send, read, aggregate, listen",
    "config": "what devices are told: commands, and the configuration they shall have",
    "alerting": "rules and the alerts they raise, the log of events, and who is told: channels and their deliveries",
    "firmware": "releases, their content, and rollouts that bring them to devices",
    "data": "what was refused and what can be done about it; exports; files behind signed URLs",
    "meta": "about this installation",
}

_INSTANCE = {"instance": "/api/v1/devices/6b014cf4-9c1e-8b3a-8000-0004d2a1b3c5"}
_REQUEST = {"requestId": "6b014cf4-07d1-8a52-8000-000b7f0c9e21"}


def _problem(status: int, title: str, code: str, detail: str, **more: Any) -> dict[str, Any]:
    head = {"type": f"urn:problem:{code}", "title": title, "status": status, "code": code, "detail": detail}
    return head | _INSTANCE | _REQUEST | more


PROBLEMS: dict[str, dict[str, Any]] = {
    "400": _problem(400, "Bad Request", "invalid-request", "cursor and limit cannot be combined with page and size"),
    "401": _problem(401, "Unauthorized", "unauthenticated", "this API key was revoked"),
    "403": _problem(403, "Forbidden", "scope-missing", "this needs the right 'devices:write'"),
    "404": _problem(404, "Not Found", "not-found", "device 6b014cf4-9c1e-8b3a-8000-0004d2a1b3c5 does not exist"),
    "409": _problem(
        409,
        "Conflict",
        "name-taken",
        "device with name 'pump-1' already exists",
        errors=[{"code": "name-taken", "detail": "is already in use", "pointer": "/name"}],
    ),
    "412": _problem(412, "Precondition Failed", "precondition-failed", "it is at version 4 by now, not 3"),
    "413": _problem(413, "Request Entity Too Large", "too-large", "a request may have 5000 readings"),
    "415": _problem(415, "Unsupported Media Type", "unsupported-media-type", "send JSON or NDJSON"),
    "422": _problem(
        422,
        "Unprocessable Entity",
        "validation-failed",
        "limit: Expected `int` <= 200",
        errors=[{"code": "invalid", "detail": "Expected `int` <= 200", "parameter": "limit"}],
    ),
    "428": _problem(428, "Precondition Required", "precondition-required", "this organization requires If-Match"),
    "429": _problem(429, "Too Many Requests", "rate-limited", "more than 6000 requests a minute"),
    "500": _problem(500, "Internal Server Error", "internal", "something went wrong on our side"),
    "503": _problem(503, "Service Unavailable", "unavailable", "the log cannot keep up at the moment"),
}
"""One example for each status that can go wrong."""

_READING = {
    "type": "object",
    "required": ["sensorId", "timestamp", "value"],
    "properties": {
        "sensorId": {
            "type": "string",
            "minLength": 1,
            "maxLength": 36,
            "description": "the id of a sensor; with deviceId also its key, `component.key`, or a component",
        },
        "deviceId": {"type": "string", "description": "needed unless sensorId is an id; a device leaves it out"},
        "timestamp": {"type": "string", "format": "date-time"},
        "value": {
            "description": "a number, boolean or text; of a component an object with the fields of its profile",
            "anyOf": [
                {"type": "number"},
                {"type": "boolean"},
                {"type": "string", "maxLength": 1000},
                {"type": "object", "additionalProperties": True},
                {"type": "array", "items": {}},
            ],
        },
        "metadata": {"type": "object", "additionalProperties": True, "description": "at most 10 KB"},
    },
}

REQUESTS: dict[str, dict[str, Any]] = {
    "firmware.upload": {
        "required": True,
        "description": "the content, or with Content-Range the rest of it",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    "blob.put": {
        "required": True,
        "description": "of the type that was announced",
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    },
    "reading.ingest": {
        "required": True,
        "description": "also with `Content-Encoding: gzip`",
        "content": {
            "application/json": {
                "schema": {"anyOf": [{"type": "array", "maxItems": 5000, "items": _READING}, _READING]}
            },
            "application/x-ndjson": {"schema": {"type": "string", "description": "one reading a line"}},
        },
    },
}
"""Bodies that routes read by themselves."""

_ROW = {
    "type": "object",
    "properties": {"timestamp": {"type": "string", "format": "date-time"}},
    "additionalProperties": {"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "string"}]},
}
_EVENTS = """\
id: 3f2a1b7c-1a2b-3-9f
event: reading
data: {"sensorId":"6b014d10-2f41-8c7e-8000-000a91e2d4f7","timestamp":"2026-05-01T12:00:00Z","value":21.5,\
"valueType":"DOUBLE","receivedAt":"2026-05-01T12:00:00.120Z","deviceId":"6b014cf4-9c1e-8b3a-8000-0004d2a1b3c5"}

id: 3f2a1b7c-1a2b-3-a0
event: device
data: {"type":"status","deviceId":"6b014cf4-9c1e-8b3a-8000-0004d2a1b3c5","timestamp":"2026-05-01T12:00:01Z",\
"status":"OFFLINE","online":false}

"""

CONTENTS: dict[tuple[str, str], dict[str, Any]] = {
    ("reading.component", "200"): {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["items"],
                "properties": {"items": {"type": "array", "items": _ROW}, "nextCursor": {"type": "string"}},
            }
        },
        "text/csv": {"schema": {"type": "string"}, "example": "timestamp,rpm\r\n2026-05-01T12:00:00Z,900.5\r\n"},
        "application/x-ndjson": {"schema": {"type": "string"}},
    },
    ("stream", "200"): {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS}},
    ("firmware.download", "200"): {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    ("blob.get", "200"): {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    ("config-artefact.content", "200"): {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    ("meta.openapi", "200"): {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
    ("meta.openapi-yaml", "200"): {"application/yaml": {"schema": {"type": "string"}}},
    ("meta.docs", "200"): {"text/html": {"schema": {"type": "string"}}},
}
"""What answers carry that no struct says, by operation and status."""
