"""How devices are told of their configuration, and how they report on it."""

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.core.configuration import DeviceDocument, DocumentEntry
from roadstead.core.downlinks import CONFIGURATION, ConfigurationReport, Downlink
from roadstead.core.ports import Refusal, RefusalReason
from roadstead.dialects.native import NativeAnswers, NativeSpeller
from roadstead.kernel.ids import DeviceId, TenantId, new_id
from tests.fleet import uplink

HASH = "a" * 64


def spelled(document: DeviceDocument) -> tuple[object, bool]:
    """The message, and whether it is retained."""
    device = DeviceId(new_id())
    message = NativeSpeller().spell(Downlink(TenantId(1), device, CONFIGURATION, device, document))
    return json.loads(message.payload), message.retain


def read(payload: object) -> ConfigurationReport | Refusal:
    """What the platform understands."""
    said = NativeAnswers().read(uplink(TenantId(1), new_id(), payload, channel="config/reported"))
    assert isinstance(said, ConfigurationReport | Refusal)
    return said


def test_a_document_says_what_and_for_which_part() -> None:
    entries = [
        DocumentEntry(artefact_name="network", component_key="", version=3, hash=HASH, content=b'{"a":1}'),
        DocumentEntry(artefact_name="curve", component_key="motor", version=1, hash=HASH, url="https://x/y"),
    ]
    document = DeviceDocument(version=7, entries=entries, is_news=False)

    assert spelled(document) == (
        {
            "documentVersion": 7,
            "entries": [
                {"artefactName": "network", "version": 3, "hash": HASH, "content": {"a": 1}},
                {"artefactName": "curve", "version": 1, "hash": HASH, "componentKey": "motor", "url": "https://x/y"},
            ],
        },
        True,
    )
    # What changes in the middle of a session is not retained, for the subscription is older.
    assert spelled(DeviceDocument(version=8, entries=[], is_news=True)) == (
        {"documentVersion": 8, "entries": []},
        False,
    )
    organization, device = UUID(int=1), DeviceId(UUID(int=2))
    topic = NativeSpeller().topic(CONFIGURATION, organization, device)
    assert topic == f"v1/gateways/{organization}/{device}/config/desired"


def test_a_report_names_what_it_is_about() -> None:
    entry = {"artefactName": "network", "version": 3, "hash": HASH.upper(), "status": "REJECTED", "message": "no\0room"}
    said = read({"documentVersion": 7, "entries": [entry, {**entry, "componentKey": "motor", "unknown": 1}]})

    assert isinstance(said, ConfigurationReport)
    first, second = said.entries
    assert (said.document_version, first.component_key, second.component_key) == (7, "", "motor")
    assert (first.hash, first.status, first.message) == (HASH, "REJECTED", "no\ufffdroom")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "FINE"}, RefusalReason.MALFORMED),
        ({"version": -1}, RefusalReason.MALFORMED),
        ({"version": 2**40}, RefusalReason.MALFORMED),
        ({"hash": None}, RefusalReason.MALFORMED),
        ({"artefactName": "a\0"}, RefusalReason.MALFORMED),
        ({"artefactName": "a" * 201}, RefusalReason.MALFORMED),
    ],
)
def test_a_report_that_cannot_be_read_is_refused_with_a_reason(
    change: dict[str, object], reason: RefusalReason
) -> None:
    entry = {"artefactName": "network", "version": 3, "hash": HASH, "status": "ACCEPTED"}
    said = read({"entries": [entry | change]})
    assert isinstance(said, Refusal)
    assert (said.reason, said.whole) == (reason, True)
    missing = read({"documentVersion": 1})
    assert isinstance(missing, Refusal)
    assert missing.reason is RefusalReason.MISSING_FIELD
    assert isinstance(read({"entries": [entry] * 501}), Refusal)
    assert isinstance(read(b"\xff"), Refusal)


@given(st.binary(max_size=60) | st.recursive(st.none() | st.text(max_size=3), lambda inner: st.lists(inner)))
def test_whatever_a_device_says_nothing_is_raised(payload: object) -> None:
    read(payload)
