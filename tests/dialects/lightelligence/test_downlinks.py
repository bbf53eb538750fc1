"""What devices of the dialect are told, word for word."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from roadstead.core.commands import CommandDraft, CommandId
from roadstead.core.configuration import DeviceDocument, DocumentEntry
from roadstead.core.downlinks import COMMAND, CONFIGURATION, Downlink
from roadstead.dialects.lightelligence import LightelligenceSpeller
from roadstead.kernel import time
from roadstead.kernel.ids import DeviceId, TenantId, new_id

DEVICE = DeviceId(new_id())
speller = LightelligenceSpeller()


def spell(kind: str, body: msgspec.Struct, *aliases: str) -> Any:
    """The message to the device, read again; None when there is none."""
    spelled = speller.spell(Downlink(TenantId(1), DEVICE, kind, new_id(), body, aliases))
    if spelled is None:
        return None
    assert not spelled.retain
    return msgspec.json.decode(spelled.payload)


def entry(name: str, content: object = None, **fields: Any) -> DocumentEntry:
    """An artefact in a document; without a content it is to be fetched."""
    inline = msgspec.json.encode(content) if content is not None else None
    url = None if inline else "https://platform.test/file"
    return DocumentEntry(
        artefact_name=name, version=1, hash="0", content=inline, url=url, **({"component_key": ""} | fields)
    )


def configuration(*entries: DocumentEntry) -> Any:
    """What the device is told it shall have."""
    told = spell(CONFIGURATION, DeviceDocument(version=3, entries=list(entries), is_news=False), "06-01", "a/b")
    if told is not None:
        assert (told.pop("deviceId"), told.pop("aliases")) == (str(DEVICE), ["06-01", "a/b"])
        assert list(told) == ["configuration"]
    return told and told["configuration"]


def test_devices_hear_what_is_theirs_on_their_own_topics() -> None:
    topics = [speller.topic(kind, new_id(), DEVICE) for kind in (CONFIGURATION, COMMAND, "weather")]
    assert topics == [f"devices/{DEVICE}/configuration", f"devices/{DEVICE}/actions", None]


def test_an_action_has_its_name_and_payload_whatever_that_is() -> None:
    for payload in ({"seconds": 5}, "on", 3, None):
        draft = CommandDraft(type="blink", payload=payload, dialect="lightelligence")
        id_ = CommandId(new_id())
        command = draft.command(id_, DEVICE, requested_by=UUID(int=0), created_at=time.now())
        assert spell(COMMAND, command, "06-01") == {
            "deviceId": str(DEVICE),
            "aliases": ["06-01"],
            "actionId": str(id_),
            "action": "blink",
            "payload": payload,
        }


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([entry("configuration", {"led": "auto", "air": {"limit": 800}})], {"led": "auto", "air": {"limit": 800}}),
        ([entry("configuration", {})], {}),
        ([], {}),
        ([entry("alarm", {"led": "off", "a": 1}), entry("configuration", {"led": "on"})], {"led": "on", "a": 1}),
        ([entry("configuration", {"led": "on"}), entry("zebra", {"led": "off", "z": 1})], {"led": "on", "z": 1}),
        ([entry("alarm", {"b": 1}), entry("motor", {"a": 1}, component_key="motor"), entry("video")], {"b": 1}),
        ([entry("list", [1, 2]), entry("video"), entry("motor", {"a": 1}, component_key="motor")], None),
    ],
    ids=["own", "empty", "nothing", "others first", "others last", "as far as it goes", "none of it"],
)  # fmt: skip
def test_what_a_device_shall_have_is_one_object(entries: list[DocumentEntry], told: Any) -> None:
    assert configuration(*entries) == told
