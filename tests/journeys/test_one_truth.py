"""A device is one thing: whichever API it was born in, all of them tell the same about it."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from roadstead.kernel.ids import to_base62, to_hex24
from tests.journeys import births
from tests.journeys.faces import Faces, kept, ok, told
from tests.platform import wait_until


@pytest.mark.parametrize("birth", births.BIRTHS)
def test_a_device_is_the_same_in_every_api(faces: Faces, birth: Any, tmp_path: Path) -> None:
    name, last = births.name_for(birth, "truth"), {"level": 22.5}
    device = birth(faces, name, [21.5, 22.5], tmp_path)

    assert faces.names(device) == {name}
    for face in faces.all():
        told(face, device, last)
    for face in faces.changing():
        kept(face, device, "level", [21.5, 22.5])
    kept(faces.leapcraft, device, "level", [22.0])


def test_what_a_gateway_of_leapcraft_reports_is_the_same_in_every_api(faces: Faces) -> None:
    native, address = faces.native.http, "D2:C1:AA:FF:3E:77"
    fields = [{"name": "co2", "valueType": "DOUBLE", "slot": "p0"}]
    body = {"key": "truth-air", "profileVersion": "1.0", "name": "Air", "fields": fields}
    ok(native.post("/api/v1/sensor-profiles", json=body), 201)
    parts = [{"key": "ahu", "name": "Air handler", "sensorProfile": "truth-air@1.0"}]
    body = {"key": "truth-modbus", "profileVersion": "1.0", "name": "Modbus", "components": parts}
    ok(native.post("/api/v1/device-profiles", json=body), 201)
    body = {"name": "AHU 7", "externalId": address, "deviceProfile": "truth-modbus@1.0"}
    device = UUID(ok(native.post("/api/v1/devices", json=body), 201)["id"])
    said = {"deviceId": str(device), "sensorId": "ahu", "timestamp": births.now(), "value": {"p0": 550.5}}
    ok(native.post("/api/v1/readings", json=said), 202)

    told(faces.native, device, {"co2": 550.5})
    seen = ok(faces.leapcraft.http.get(f"/devices/{address}"))
    assert (seen["physical_id"], seen["name"]) == (address, "AHU 7")
    record = ok(faces.leapcraft.http.get(f"/telemetry/{address}", params={"type": "latest"}))
    assert (record["physical_id"], record["data"]) == (address, {"co2": 550.5})
    assert {face.find(device) for face in faces.changing()} == {"AHU 7"}
    kept(faces.native, device, "co2", [550.5])
    assert faces.losant.newest(device) == {"ahu_co2": 550.5}
    kept(faces.losant, device, "ahu_co2", [550.5])
    assert faces.lightelligence.newest(device) == {"ahu": {"co2": 550.5}}
    kept(faces.lightelligence, device, "ahu.co2", [550.5])
    assert faces.leverege.newest(device) == {"ahu": {"co2": 550.5}}
    kept(faces.leverege, device, "ahu/co2", [550.5])


@pytest.mark.parametrize("birth", births.NATURES)
def test_a_name_given_in_one_api_is_its_name_in_all(faces: Faces, birth: Any, tmp_path: Path) -> None:
    device = birth(faces, births.name_for(birth, "named"), [1.5], tmp_path)
    for face in faces.changing():
        name = f"{type(face).__name__} {device}"
        face.rename(device, name)
        assert faces.names(device) == {name}


@pytest.mark.parametrize("birth", births.NATURES)
def test_a_device_deleted_in_one_api_is_gone_in_all(faces: Faces, birth: Any, tmp_path: Path) -> None:
    for face in faces.changing():
        device = birth(faces, births.name_for(birth, f"end{type(face).__name__}").lower(), [1.5], tmp_path)
        assert None not in faces.names(device)
        face.delete(device)
        assert faces.names(device) == {None}


@pytest.mark.parametrize("birth", births.NATURES)
def test_another_organization_sees_and_changes_none_of_it(
    faces: Faces, strangers: Faces, birth: Any, tmp_path: Path
) -> None:
    name = births.name_for(birth, "secret")
    device = birth(faces, name, [5.5], tmp_path)
    assert strangers.names(device) == {None}
    place = faces.losant.place(device)
    [theirs, *_] = strangers.losant.applications()
    for program, path, change in (
        (strangers.native, f"/api/v1/devices/{device}", {"name": "ours"}),
        (strangers.lightelligence, f"/devices/{device}", {"info": {"name": "ours"}}),
        (strangers.leverege, f"/device/{to_base62(device)}", {"name": "ours"}),
        (strangers.losant, place, {"name": "ours"}),
        (strangers.losant, f"/applications/{theirs}/devices/{to_hex24(device)}", {"name": "ours"}),
    ):
        assert program.http.patch(path, json=change).status_code == 404
        assert program.http.delete(path).status_code == 404
    for what, body in (("command", {"name": "open"}), ("state", {"data": {"level": 9.5}})):
        assert strangers.losant.http.post(f"{place}/{what}", json=body).status_code == 404
    assert not set(strangers.losant.applications()) & set(faces.losant.applications())
    assert faces.names(device) == {name}
    told(faces.losant, device, {"level": 5.5})


def test_a_key_of_another_organization_lets_no_device_in(faces: Faces, strangers: Faces, tmp_path: Path) -> None:
    ours = births.losant_speaker(faces, "knocks", tmp_path).id
    theirs = births.losant_speaker(strangers, "knocks", tmp_path)
    assert theirs.line.knock()
    theirs.line.close()
    line = births.losant_line(strangers, ours, strangers.losant.place(theirs.id).rpartition("/devices/")[0])
    assert not line.knock()
    line.close()


def test_what_a_timer_publishes_is_heard_in_every_api(faces: Faces, tmp_path: Path) -> None:
    device, http = births.native_by_http(faces, "truthtimer", [1.5], tmp_path), faces.leverege.http
    message = {"type": "inboundDataEventMsg", "deviceId": to_base62(device), "data": {"level": 9.5}}
    action = {"type": "publishTopic", "topic": "inbound", "message": message}
    body = {"name": "later", "timer": {"type": "once", "delay": 1}, "action": action}
    timer = ok(http.post(f"/project/{faces.leverege.project}/timer/", json=body))
    assert ok(http.put(f"/timer/{timer['id']}/start"))["running"]

    wait_until(lambda: "lastRun" in ok(http.get(f"/timer/{timer['id']}")))
    after = ok(http.get(f"/timer/{timer['id']}"))
    assert (after["running"], "error" in after["lastRun"]) == (False, False)
    for face in faces.all():
        told(face, device, {"level": 9.5})
