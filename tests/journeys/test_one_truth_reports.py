"""What a device reports through one API, what it is, and whether it is there: all of them tell the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from roadstead.kernel.ids import parse_hex24, to_hex24
from tests.journeys import births
from tests.journeys.births import Speaker
from tests.journeys.faces import Faces, kept, ok, told
from tests.platform import wait_until


@pytest.mark.parametrize("birth", births.NATURES)
def test_what_any_api_reports_is_told_by_all_and_streamed_at_once(faces: Faces, birth: Any, tmp_path: Path) -> None:
    device = birth(faces, births.name_for(birth, "reports"), [1.5], tmp_path)
    for face in faces.all():
        told(face, device, {"level": 1.5})
    levels = [1.5]
    with faces.losant.http.stream("GET", f"{faces.losant.place(device)}/stateStream") as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data: "))
        for speaking in faces.changing():
            levels.append(levels[-1] + 1)
            speaking.report(device, levels[-1])
            assert json.loads(next(lines).removeprefix("data: "))["data"] == {"level": levels[-1]}
            for face in faces.all():
                told(face, device, {"level": levels[-1]})
    for face in faces.changing():
        kept(face, device, "level", levels)


def test_values_of_all_types_are_the_same_in_every_api(faces: Faces) -> None:
    kinds = {"open": "boolean", "mode": "string", "place": "gps", "level": "number"}
    values = {"open": True, "mode": "slow", "place": "52.5,13.4", "level": 7}
    draft = {"name": "kinds", "attributes": [{"name": name, "dataType": type_} for name, type_ in kinds.items()]}
    application = faces.losant.make("applications.post", "/applications", {"name": "kinds"})["id"]
    id_ = faces.losant.make("devices.post", f"/applications/{application}/devices", draft)["id"]
    ok(faces.losant.http.post(f"/applications/{application}/devices/{id_}/state", json={"data": values}))
    device = births.known(parse_hex24(id_))
    for face in faces.changing():
        told(face, device, values)
    told(faces.leapcraft, device, {"level": 7, "meta": {"open": True, "mode": "slow", "place": "52.5,13.4"}})


def test_two_of_one_name_are_called_that_by_all_whose_names_need_not_be_unique(faces: Faces, tmp_path: Path) -> None:
    first = births.losant_by_rest(faces, "twins", [1.5], tmp_path)
    place = faces.losant.place(first).rpartition("/")[0]
    second = births.known(parse_hex24(faces.losant.make("devices.post", place, {"name": "twins"})["id"]))
    assert {face.find(second) for face in faces.all() if face is not faces.native} == {"twins"}
    assert faces.names(first) == {"twins"}
    assert faces.native.find(second) not in ("twins", None)


@pytest.mark.parametrize("birth", births.NATURES)
def test_what_was_deleted_natively_comes_back_when_losant_restores_it(faces: Faces, birth: Any, tmp_path: Path) -> None:
    device = birth(faces, births.name_for(birth, "restored"), [1.5, 2.5], tmp_path)
    told(faces.native, device, {"level": 2.5})
    kept(faces.native, device, "level", [1.5, 2.5])
    names, place = faces.names(device), faces.losant.place(device)
    faces.native.delete(device)
    assert faces.names(device) == {None}

    devices = place.rpartition("/")[0]
    assert ok(faces.losant.http.post(f"{devices}/restore", json={"query": {"id": to_hex24(device)}}))
    assert faces.names(device) == names
    for face in faces.changing():
        told(face, device, {"level": 2.5})
        kept(face, device, "level", [1.5, 2.5])


@pytest.mark.parametrize("birth", births.SPEAKERS)
def test_a_device_that_is_connected_is_so_in_every_api(faces: Faces, birth: Any, tmp_path: Path) -> None:
    speaker: Speaker = birth(faces, births.name_for(birth, "online"), tmp_path)
    place = faces.losant.place(speaker.id)

    def shown() -> tuple[bool, int | None]:
        online = ok(faces.native.http.get(f"/api/v1/devices/{speaker.id}"))["online"]
        return online, faces.losant.ask("device.get", place)["connectionInfo"]["connected"]

    assert shown() == (False, None)
    with speaker.line:
        wait_until(lambda: shown() == (True, 1))
    wait_until(lambda: shown() == (False, 0))
    assert [each["connected"] for each in faces.losant.ask("device.getLogEntries", f"{place}/logs")] == [0]


def test_tags_given_in_one_api_are_found_in_the_others(faces: Faces, tmp_path: Path) -> None:
    device = births.native_by_http(faces, "tagged", [1.5], tmp_path)
    ok(faces.native.http.patch(f"/api/v1/devices/{device}", json={"tags": {"line": "north"}}))
    place = faces.losant.place(device)
    assert faces.losant.ask("device.get", place)["tags"] == [{"key": "line", "value": "north"}]
    ok(faces.losant.http.patch(place, json={"tags": [{"key": "dock", "value": each} for each in ("east", "west")]}))
    assert ok(faces.native.http.get(f"/api/v1/devices/{device}"))["tags"] == {"dock": "east"}
    info = ok(faces.lightelligence.http.get(f"/devices/{device}"))["data"]["info"]
    assert info["tags"] == ["dock"]
    assert ok(faces.leapcraft.http.get(f"/devices/{device}"))["meta"] == {"dock": "east"}
