"""A command is one thing: whichever API sends it, devices of all dialects hear it, and all APIs show it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.journeys import births
from tests.journeys.births import Speaker
from tests.journeys.faces import Faces, ok
from tests.platform import wait_until


def as_native(message: Any) -> tuple[str, Any]:
    """Name and payload of what such a device hears."""
    return message["method"], message["params"]


def as_lightelligence(message: Any) -> tuple[str, Any]:
    """The same."""
    return message["action"], message["payload"]


def as_losant(message: Any) -> tuple[str, Any]:
    """The same."""
    return message["name"], message["payload"]


@pytest.mark.parametrize(
    ("birth", "read"),
    [
        (births.native_speaker, as_native),
        (births.lightelligence_speaker, as_lightelligence),
        (births.losant_speaker, as_losant),
    ],
)
def test_a_device_hears_the_commands_of_every_api(
    faces: Faces,
    birth: Callable[[Faces, str, Path], Speaker],
    read: Callable[[Any], tuple[str, Any]],
    tmp_path: Path,
) -> None:
    speaker = birth(faces, births.name_for(birth, "hears"), tmp_path)
    told: list[tuple[str, Any]] = []
    with speaker.line as line:
        for face in faces.changing():
            payload = {"valve": len(told), "way": ["in", None]}
            told.append((face.tell(speaker.id, payload), payload))
            wait_until(lambda: len(line.heard) == len(told))
    assert [read(message) for message in line.heard] == told
    shown = [(each["type"], each["params"]) for each in shown_natively(faces, speaker.id)]
    assert list(reversed(shown)) == told
    assert [as_losant(each) for each in shown_in_losant(faces, speaker.id)] == told


def test_what_a_native_device_answers_to_losant_is_shown_natively(faces: Faces, tmp_path: Path) -> None:
    speaker = births.native_speaker(faces, "answerslosant", tmp_path)
    organization = faces.platform.credentials["organizationId"]
    with speaker.line as line:
        faces.losant.tell(speaker.id, {})
        [heard] = wait_until(lambda: line.heard)
        answer = {"id": heard["id"], "status": "SUCCESS", "result": {"open": True}}
        line.say(f"v1/gateways/{organization}/{speaker.id}/commands/response", answer)
        wait_until(lambda: shown_natively(faces, speaker.id)[0]["status"] == "SUCCESS")
    assert shown_natively(faces, speaker.id)[0]["result"] == {"open": True}


def test_a_device_that_was_away_hears_the_commands_of_every_api(faces: Faces, tmp_path: Path) -> None:
    speaker = births.losant_speaker(faces, "hearslater", tmp_path)
    told = [(face.tell(speaker.id, {"at": 1}), {"at": 1}) for face in faces.changing()]
    with speaker.line as line:
        wait_until(lambda: len(line.heard) == len(told))
    assert [as_losant(message) for message in line.heard] == told


def shown_natively(faces: Faces, device: UUID) -> Any:
    """The commands of a device, newest first."""
    return ok(faces.native.http.get(f"/api/v1/devices/{device}/commands"))["items"]


def shown_in_losant(faces: Faces, device: UUID) -> Any:
    """The same, oldest first."""
    place = faces.losant.place(device)
    return faces.losant.ask("device.getCommand", f"{place}/command?limit=10&sortDirection=asc")
