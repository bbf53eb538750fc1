"""How messages of devices are spelled."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from roadstead.core.messages import Uplink
from roadstead.core.ports import Decoded, Document, RefusalReason
from roadstead.dialects.lightelligence import LightelligenceCodec
from roadstead.kernel.ids import TenantId

_RECEIVED = 1_578_384_900_000
_CHILD = UUID("5e14398d-2f6b-8a10-8000-000abcdef012")


def decode(body: object, channel: str = "data-ingest") -> Decoded:
    """What a message says."""
    payload = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return LightelligenceCodec().decode(Uplink(TenantId(1), b"x" * 12, "lightelligence", channel, _RECEIVED, payload))


def test_the_messages_of_the_contract_are_read() -> None:
    people = {"type": "attributes", "value": {"people": 4}, "time": "2020-01-07T08:15:00Z"}
    assert decode(people).document == Document(section="attributes", value={"people": 4}, at=1_578_384_900_000)
    led = {"type": "configuration", "alias": "06-00-00-00-00-01", "value": {"led": "auto"}}
    assert decode(led).document == Document(
        section="configuration", value={"led": "auto"}, at=_RECEIVED, about="06-00-00-00-00-01"
    )
    crowded = {"type": "crowded", "value": {"people": 40}, "createdAt": "2020-01-07T08:15:00.25+00:00"}
    assert decode(crowded, "event-ingest").document == Document(
        section="events", event="crowded", value={"people": 40}, at=1_578_384_900_250
    )


def test_a_message_may_be_about_another_device_and_carry_members_nobody_knows() -> None:
    body = {"type": "attributes", "value": {}, "deviceId": str(_CHILD), "senderId": "x", "more": 1}
    assert decode(body).document == Document(section="attributes", value={}, at=_RECEIVED, about=_CHILD)


def test_an_event_may_carry_nothing() -> None:
    assert decode({"type": "tampered"}, "event-ingest").document == Document(
        section="events", event="tampered", value=None, at=_RECEIVED
    )


@pytest.mark.parametrize(
    ("body", "channel", "reason"),
    [
        (b"not JSON", "data-ingest", RefusalReason.MALFORMED),
        (b'{"type": "attributes", "value": {"a": "\xff"}}', "data-ingest", RefusalReason.MALFORMED),
        ([], "data-ingest", RefusalReason.MALFORMED),
        ({"type": "attributes"}, "data-ingest", RefusalReason.MISSING_FIELD),
        ({"type": "events", "value": {}}, "data-ingest", RefusalReason.MALFORMED),
        ({"type": "attributes", "value": 5}, "data-ingest", RefusalReason.MALFORMED),
        ({"type": "attributes", "value": {}, "time": "08:15"}, "data-ingest", RefusalReason.BAD_TIMESTAMP),
        ({"type": "attributes", "value": {}, "deviceId": "d"}, "data-ingest", RefusalReason.MALFORMED),
        (
            {"type": "attributes", "value": {}, "deviceId": str(_CHILD), "alias": "a"},
            "data-ingest",
            RefusalReason.MALFORMED,
        ),
        ({"type": "so loud!"}, "event-ingest", RefusalReason.MALFORMED),
        ({"type": "loud", "value": "very"}, "event-ingest", RefusalReason.MALFORMED),
        ({"type": "loud", "createdAt": "2020-01-07"}, "event-ingest", RefusalReason.BAD_TIMESTAMP),
        ({"type": "attributes", "value": {}}, "readings", RefusalReason.MALFORMED),
    ],
)
def test_what_cannot_be_read_is_refused_as_a_whole(body: Any, channel: str, reason: RefusalReason) -> None:
    decoded = decode(body, channel)
    assert decoded.document is None
    (refusal,) = decoded.refused
    assert (refusal.reason, refusal.whole) == (reason, True)
