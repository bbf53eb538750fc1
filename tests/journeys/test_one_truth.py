"""A device is one thing: whichever API it was born in, all of them tell the same about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import pytest_asyncio

from roadstead.kernel.ids import parse_base62, to_base62
from tests.journeys.lightelligence import sign_in
from tests.platform import Platform, wait_until


def ok(answer: httpx.Response, *statuses: int) -> Any:
    """The body of a good answer."""
    assert answer.status_code in (statuses or (200,)), f"{answer.status_code}: {answer.text}"
    return answer.json() if answer.content else None


class Faces(msgspec.Struct):
    """Programs of one organization, one for each API; they have signed in as those of the originals did."""

    native: httpx.Client
    lightelligence: httpx.Client
    leverege: httpx.Client
    leapcraft: httpx.Client
    project: str
    """The organization, as one of them spells it."""


@contextmanager
def programs(platform: Platform, lightelligence_token: str) -> Iterator[Faces]:
    """All of them, of the first organization."""
    owner = platform.credentials
    project = to_base62(UUID(owner["organizationId"]))
    body = {"username": owner["email"], "password": owner["password"], "projectId": project}
    id_token = ok(httpx.post(f"{platform.url}/leverege/v1/login", json=body))["idToken"]
    key = {"api_key": owner["apiKey"]}
    token = ok(httpx.post(f"{platform.url}/leapcraft/v1/auth/client/token", data=key))["token"]
    with (
        platform.client() as native,
        client(f"{platform.url}/lightelligence/v1", lightelligence_token) as lightelligence,
        client(f"{platform.url}/leverege/v1", id_token) as leverege,
        client(f"{platform.url}/leapcraft/v1", token) as leapcraft,
    ):
        yield Faces(native, lightelligence, leverege, leapcraft, project)


def client(url: str, token: str) -> httpx.Client:
    """A program with a token."""
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=20)


@pytest_asyncio.fixture
async def lightelligence_token(platform: Platform) -> str:
    """Of somebody who has signed in through pages."""
    return str((await sign_in(platform))["access_token"])


@pytest.fixture
def faces(platform: Platform, lightelligence_token: str) -> Iterator[Faces]:
    """Programs of the first organization."""
    with programs(platform, lightelligence_token) as made:
        yield made


def born_native(faces: Faces, name: str, level: float) -> UUID:
    """A device with a sensor that has measured something."""
    device = ok(faces.native.post("/api/v1/devices", json={"name": name}), 201)
    sensor = {"deviceId": device["id"], "key": "level", "valueType": "DOUBLE"}
    made = ok(faces.native.post("/api/v1/sensors", json=sensor), 201)
    point = {"sensorId": made["id"], "timestamp": datetime.now(UTC).isoformat(), "value": level}
    ok(faces.native.post("/api/v1/readings", json=[point]), 202)
    return UUID(device["id"])


def born_in_lightelligence(faces: Faces, name: str, level: float) -> UUID:
    """A device of a type that has reported an attribute."""
    rules = [{"path": "$.attributes.level", "reportTo": ["timeseries", "deviceManagement"]}]
    body = {"name": name, "schema": {"attributes": {"level": {"type": "number"}}}, "reportingRules": rules}
    type_ = ok(faces.lightelligence.post("/device-types", json=body), 201)["data"]
    info = {"name": name, "deviceTypeId": type_["id"]}
    device = ok(faces.lightelligence.post("/devices", json={"info": info}), 201)["data"]
    said = {"type": "attributes", "deviceId": device["id"], "value": {"level": level}}
    ok(faces.lightelligence.post("/data-ingest", json=said), 202)
    return UUID(device["id"])


def born_in_leverege(faces: Faces, name: str, level: float) -> UUID:
    """A device of a blueprint in a system, made with its data."""
    system = ok(faces.leverege.post(f"/project/{faces.project}/system", json={"name": name, "alias": name}))
    attributes = [{"path": "level", "type": "number"}]
    body = {"name": name, "alias": name, "attributes": attributes}
    ok(faces.leverege.post(f"/project/{faces.project}/blueprint", json=body))
    place = f"/interface/{system['alias']}/{name}"
    device = ok(faces.leverege.post(place, json={"name": name, "data": {"level": level}}))
    device_id = parse_base62(device["id"])
    assert device_id is not None
    return device_id


@pytest.mark.parametrize(
    ("birth", "name", "level"),
    [
        (born_native, "truthnative", 21.5),
        (born_in_lightelligence, "truthlight", 22.5),
        (born_in_leverege, "truthlever", 23.5),
    ],
)
def test_a_device_is_the_same_in_every_api(faces: Faces, birth: Any, name: str, level: float) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    device = birth(faces, name, level)

    seen = ok(faces.native.get(f"/api/v1/devices/{device}"))
    assert seen["name"] == name
    (sensor,) = [
        each for each in ok(faces.native.get(f"/api/v1/devices/{device}/sensors"))["items"] if each["key"] == "level"
    ]
    span = {"from": began.isoformat(), "to": (began + timedelta(days=1)).isoformat()}
    kept = wait_until(lambda: ok(faces.native.get(f"/api/v1/readings/sensor/{sensor['id']}", params=span))["items"])
    assert [point["value"] for point in kept] == [level]
    latest = wait_until(
        lambda: ok(faces.native.get("/api/v1/readings/latest", params={"deviceId": str(device)}))["items"]
    )
    assert [each["value"] for each in latest if each["sensorId"] == sensor["id"]] == [level]

    seen = ok(faces.lightelligence.get(f"/devices/{device}"))["data"]
    assert (seen["id"], seen["info"]["name"]) == (str(device), name)
    state = ok(faces.lightelligence.get(f"/devices/{device}/state"))["data"]
    assert state["attributes"] == {"level": level}
    path = {"path": "$.attributes.level"}
    kept = ok(faces.lightelligence.get(f"/devices/{device}/last-timeseries", params=path))["data"]
    assert [point["value"] for point in kept] == [level]

    seen = ok(faces.leverege.get(f"/device/{to_base62(device)}"))
    assert (seen["id"], seen["name"], seen["data"]) == (to_base62(device), name, {"level": level})
    assert seen["projectId"] == faces.project
    history = {"paths": ["$id", "level"], "start": began.isoformat()}
    kept = ok(faces.leverege.request("GET", f"/device/{to_base62(device)}/history", json=history))["items"]
    assert [row["level"] for row in kept] == [level]

    seen = ok(faces.leapcraft.get(f"/devices/{device}"))
    assert (seen["physical_id"], seen["name"]) == (str(device), name)
    record = ok(faces.leapcraft.get(f"/telemetry/{device}", params={"type": "latest"}))
    assert (record["physical_id"], record["data"]) == (str(device), {"level": level})
    (mean,) = ok(
        faces.leapcraft.get(
            f"/telemetry/{device}",
            params={"type": "averages", "resolution": "monthly", "from": began.strftime("%Y-%m-%dT%H:%M:%SZ")}
            | {"to": (began + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")},
        )
    )
    assert mean["data"] == {"level": level}


@pytest.mark.parametrize("birth", [born_native, born_in_lightelligence, born_in_leverege])
def test_a_new_name_and_an_end_are_known_in_every_api(faces: Faces, birth: Any) -> None:
    device = birth(faces, f"end{birth.__name__.replace('_', '')}", 1.5)
    renamed = ok(faces.native.patch(f"/api/v1/devices/{device}", json={"name": f"again {device}"}))["name"]
    assert ok(faces.lightelligence.get(f"/devices/{device}"))["data"]["info"]["name"] == renamed
    assert ok(faces.leverege.get(f"/device/{to_base62(device)}"))["name"] == renamed
    assert ok(faces.leapcraft.get(f"/devices/{device}"))["name"] == renamed

    ok(faces.lightelligence.delete(f"/devices/{device}"), 204)
    for program, place in (
        (faces.native, f"/api/v1/devices/{device}"),
        (faces.lightelligence, f"/devices/{device}"),
        (faces.leverege, f"/device/{to_base62(device)}"),
        (faces.leapcraft, f"/devices/{device}"),
    ):
        assert program.get(place).status_code == 404


def test_another_organization_sees_none_of_it(faces: Faces, platform: Platform, stranger_key: str) -> None:
    device = born_in_leverege(faces, "truthsecret", 5.5)
    with httpx.Client(base_url=platform.url, timeout=20) as stranger:
        key = {"api_key": stranger_key}
        token = ok(stranger.post("/leapcraft/v1/auth/client/token", data=key))["token"]
        for place, bearer in ((f"/api/v1/devices/{device}", stranger_key), (f"/leapcraft/v1/devices/{device}", token)):
            assert stranger.get(place, headers={"Authorization": f"Bearer {bearer}"}).status_code == 404


def test_what_a_timer_publishes_is_heard_in_every_api(faces: Faces) -> None:
    device = born_native(faces, "truthtimer", 1.5)
    message = {"type": "inboundDataEventMsg", "deviceId": to_base62(device), "data": {"level": 9.5}}
    action = {"type": "publishTopic", "topic": "inbound", "message": message}
    body = {"name": "later", "timer": {"type": "once", "delay": 1}, "action": action}
    timer = ok(faces.leverege.post(f"/project/{faces.project}/timer/", json=body))
    assert ok(faces.leverege.put(f"/timer/{timer['id']}/start"))["running"]

    wait_until(lambda: "lastRun" in ok(faces.leverege.get(f"/timer/{timer['id']}")))
    after = ok(faces.leverege.get(f"/timer/{timer['id']}"))
    assert (after["running"], "error" in after["lastRun"]) == (False, False)
    said = {"level": 9.5}
    wait_until(lambda: ok(faces.leverege.get(f"/device/{to_base62(device)}"))["data"] == said)
    assert ok(faces.lightelligence.get(f"/devices/{device}/state"))["data"]["attributes"] == said
    assert ok(faces.leapcraft.get(f"/telemetry/{device}", params={"type": "latest"}))["data"] == said
