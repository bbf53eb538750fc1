"""Programs of one organization, one for each API; each asks the same about a device, in its own dialect's way."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import httpx
import msgspec

from roadstead.kernel.ids import to_base62, to_hex24
from tests.dialects.losant.contract import check_answer
from tests.journeys.lightelligence import sign_in
from tests.platform import Platform, wait_until

BEGAN = datetime.now(UTC) - timedelta(minutes=2)
"""Before anything that is reported here."""


def ok(answer: httpx.Response, *statuses: int) -> Any:
    """The body of a good answer."""
    assert answer.status_code in (statuses or (200,)), f"{answer.status_code}: {answer.text}"
    return answer.json() if answer.content else None


class Face(Protocol):
    """What every API knows of a device."""

    def find(self, device: UUID) -> str | None:
        """Its name; None when there is no such device. Fails when its id is spelled otherwise than asked for."""

    def newest(self, device: UUID) -> Any:
        """Its last values."""

    def history(self, device: UUID, name: str) -> list[Any]:
        """What this sensor has reported, oldest first."""


class Changing(Face, Protocol):
    """An API that also changes devices."""

    def rename(self, device: UUID, name: str) -> None:
        """Give it another name."""

    def delete(self, device: UUID) -> None:
        """Take it away."""

    def tell(self, device: UUID, payload: dict[str, Any]) -> str:
        """Send it a command; what that is called."""

    def report(self, device: UUID, level: float) -> None:
        """Say in its name what its level is now."""


class Native(msgspec.Struct):
    """/api/v1."""

    http: httpx.Client

    def find(self, device: UUID) -> str | None:
        """By UUID."""
        seen = _seen(self.http.get(f"/api/v1/devices/{device}"))
        return _name_of(seen, str(device)) if seen else None

    def newest(self, device: UUID) -> Any:
        """By key of the sensor."""
        keys = {sensor_id: key for key, sensor_id in self._sensors(device).items()}
        latest = ok(self.http.get("/api/v1/readings/latest", params={"deviceId": str(device)}))["items"]
        return {keys[each["sensorId"]]: each["value"] for each in latest}

    def history(self, device: UUID, name: str) -> list[Any]:
        """Of the sensor with this key."""
        span = {"from": BEGAN.isoformat(), "to": (BEGAN + timedelta(days=1)).isoformat()}
        found = ok(self.http.get(f"/api/v1/readings/sensor/{self._sensors(device)[name]}", params=span))
        return [point["value"] for point in found["items"]]

    def rename(self, device: UUID, name: str) -> None:
        """With a PATCH."""
        ok(self.http.patch(f"/api/v1/devices/{device}", json={"name": name}))

    def delete(self, device: UUID) -> None:
        """At once."""
        ok(self.http.delete(f"/api/v1/devices/{device}"), 204)

    def tell(self, device: UUID, payload: dict[str, Any]) -> str:
        """A command that every device knows."""
        ok(self.http.post(f"/api/v1/devices/{device}/commands", json={"type": "UPDATE_CONFIG", "params": payload}), 201)
        return "UPDATE_CONFIG"

    def report(self, device: UUID, level: float) -> None:
        """A reading of the sensor."""
        point = {"sensorId": self._sensors(device)["level"], "timestamp": datetime.now(UTC).isoformat(), "value": level}
        ok(self.http.post("/api/v1/readings", json=[point]), 202)

    def _sensors(self, device: UUID) -> dict[str, str]:
        found = ok(self.http.get(f"/api/v1/devices/{device}/sensors"))["items"]
        return {sensor["key"]: sensor["id"] for sensor in found}


class Lightelligence(msgspec.Struct):
    """/lightelligence/v1."""

    http: httpx.Client

    def find(self, device: UUID) -> str | None:
        """By UUID."""
        seen = _seen(self.http.get(f"/devices/{device}"))
        return _name_of({"id": seen["data"]["id"], **seen["data"]["info"]}, str(device)) if seen else None

    def newest(self, device: UUID) -> Any:
        """The attributes of its state."""
        return ok(self.http.get(f"/devices/{device}/state"))["data"]["attributes"]

    def history(self, device: UUID, name: str) -> list[Any]:
        """Of the last hour."""
        path = {"path": f"$.attributes.{name}"}
        found = ok(self.http.get(f"/devices/{device}/last-timeseries", params=path))["data"]
        return [point["value"] for point in reversed(found)]

    def rename(self, device: UUID, name: str) -> None:
        """With a PATCH."""
        ok(self.http.patch(f"/devices/{device}", json={"info": {"name": name}}))

    def delete(self, device: UUID) -> None:
        """At once."""
        ok(self.http.delete(f"/devices/{device}"), 204)

    def tell(self, device: UUID, payload: dict[str, Any]) -> str:
        """An action. The device gets a type that knows it."""
        self._give_type(device, schema={"actions": {"blink": {"type": "object"}}})
        ok(self.http.post(f"/devices/{device}/actions", json={"action": "blink", "payload": payload}), 202)
        return "blink"

    def report(self, device: UUID, level: float) -> None:
        """An attribute. The device gets a type that knows it."""
        rules = [{"path": "$.attributes.level", "reportTo": ["timeseries", "deviceManagement"]}]
        self._give_type(device, schema={"attributes": {"level": {"type": "number"}}}, reportingRules=rules)
        said = {"type": "attributes", "deviceId": str(device), "value": {"level": level}}
        ok(self.http.post("/data-ingest", json=said), 202)

    def _give_type(self, device: UUID, **fields: Any) -> None:
        made = ok(self.http.post("/device-types", json={"name": f"given {device}"} | fields), 201)["data"]
        ok(self.http.patch(f"/devices/{device}", json={"info": {"deviceTypeId": made["id"]}}))


class Leverege(msgspec.Struct):
    """/leverege/v1."""

    http: httpx.Client
    project: str
    """The organization."""

    def find(self, device: UUID) -> str | None:
        """By Base62, in its project."""
        seen = _seen(self.http.get(f"/device/{to_base62(device)}"))
        assert seen is None or seen["projectId"] == self.project
        return _name_of(seen, to_base62(device)) if seen else None

    def newest(self, device: UUID) -> Any:
        """Its data."""
        return ok(self.http.get(f"/device/{to_base62(device)}"))["data"]

    def history(self, device: UUID, name: str) -> list[Any]:
        """Of one path, by whose last word it is told."""
        wish = {"paths": ["$id", "$time", name], "start": BEGAN.isoformat()}
        found = ok(self.http.request("GET", f"/device/{to_base62(device)}/history", json=wish))["items"]
        return [row[name.rpartition("/")[2]] for row in sorted(found, key=lambda row: str(row["$time"]))]

    def rename(self, device: UUID, name: str) -> None:
        """With a PATCH."""
        ok(self.http.patch(f"/device/{to_base62(device)}", json={"name": name}))

    def delete(self, device: UUID) -> None:
        """At once."""
        ok(self.http.delete(f"/device/{to_base62(device)}"))

    def tell(self, device: UUID, payload: dict[str, Any]) -> str:
        """A message, which has no name of its own."""
        ok(self.http.post(f"/device/{to_base62(device)}/message", json={"message": payload}))
        return "MESSAGE"

    def report(self, device: UUID, level: float) -> None:
        """A value of its data."""
        ok(self.http.put(f"/device/{to_base62(device)}/setValue", json={"values": [{"path": "level", "value": level}]}))


class Leapcraft(msgspec.Struct):
    """/leapcraft/v1. It only reads."""

    http: httpx.Client

    def find(self, device: UUID) -> str | None:
        """By what stands on it; these devices have nothing but their ids."""
        seen = _seen(self.http.get(f"/devices/{device}"))
        return _name_of({**seen, "id": seen["physical_id"]}, str(device)) if seen else None

    def newest(self, device: UUID) -> Any:
        """The newest record."""
        return ok(self.http.get(f"/telemetry/{device}", params={"type": "latest"}))["data"]

    def history(self, device: UUID, name: str) -> list[Any]:
        """There are means alone: that of its first month."""
        span = {"from": f"{BEGAN:%Y-%m-%dT%H:%M:%SZ}", "to": f"{BEGAN + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"}
        wish = {"type": "averages", "resolution": "monthly", **span}
        return [record["data"][name] for record in ok(self.http.get(f"/telemetry/{device}", params=wish))]


class Losant(msgspec.Struct):
    """/losant. Every answer is held against the contract."""

    http: httpx.Client
    _homes: dict[UUID, str] = {}

    def applications(self) -> list[str]:
        """Their ids."""
        return [each["id"] for each in self.ask("applications.get", "/applications?perPage=1000")["items"]]

    def home(self, device: UUID) -> str | None:
        """Where it is: in one of the applications, for good, or in none."""
        known = self._homes.get(device)
        places = (
            [known] if known else [f"/applications/{each}/devices/{to_hex24(device)}" for each in self.applications()]
        )
        found = [place for place in places if _seen(self.http.get(place))]
        if not found:
            return None
        [self._homes[device]] = found
        return found[0]

    def place(self, device: UUID) -> str:
        """The same of a device that is there."""
        place = self.home(device)
        assert place is not None
        return place

    def find(self, device: UUID) -> str | None:
        """By 24 hex digits, in the only application that has it."""
        place = self.home(device)
        return _name_of(self.ask("device.get", place), to_hex24(device)) if place else None

    def newest(self, device: UUID) -> Any:
        """Its composite state."""
        state = self.ask("device.getCompositeState", f"{self.place(device)}/compositeState")
        return {name: each["value"] for name, each in state.items()}

    def history(self, device: UUID, name: str) -> list[Any]:
        """Points as they are."""
        application = self.place(device).rpartition("/devices/")[0]
        wish = {"deviceIds": [to_hex24(device)], "attributes": [name], "duration": 3_600_000}
        answer = self.http.post(f"{application}/data/time-series-query", json=wish)
        check_answer("data.timeSeriesQuery", answer)
        return [point["data"][name] for point in ok(answer)["devices"][to_hex24(device)]["points"]]

    def rename(self, device: UUID, name: str) -> None:
        """With a PATCH."""
        answer = self.http.patch(self.place(device), json={"name": name})
        check_answer("device.patch", answer)
        ok(answer)

    def delete(self, device: UUID) -> None:
        """It could be restored."""
        ok(self.http.delete(self.place(device)))

    def tell(self, device: UUID, payload: dict[str, Any]) -> str:
        """A command."""
        said = {"name": "open", "payload": payload}
        assert ok(self.http.post(f"{self.place(device)}/command", json=said)) == {"success": True}
        return "open"

    def report(self, device: UUID, level: float) -> None:
        """A state."""
        assert ok(self.http.post(f"{self.place(device)}/state", json={"data": {"level": level}})) == {"success": True}

    def make(self, action: str, path: str, body: Any) -> Any:
        """What is made at a place."""
        answer = self.http.post(path, json=body)
        check_answer(action, answer)
        return ok(answer, 201)

    def ask(self, action: str, path: str) -> Any:
        """What is answered."""
        answer = self.http.get(path)
        check_answer(action, answer)
        return ok(answer)


class Faces(msgspec.Struct):
    """All programs of an organization; they have signed in as those of the originals did."""

    platform: Platform
    native: Native
    lightelligence: Lightelligence
    leverege: Leverege
    leapcraft: Leapcraft
    losant: Losant

    def changing(self) -> tuple[Changing, ...]:
        """Those that also write."""
        return (self.native, self.lightelligence, self.leverege, self.losant)

    def all(self) -> tuple[Face, ...]:
        """All of them."""
        return (*self.changing(), self.leapcraft)

    def names(self, device: UUID) -> set[str | None]:
        """What the device is called, in all of them."""
        return {face.find(device) for face in self.all()}


@contextmanager
def programs(platform: Platform, owner: Mapping[str, str]) -> Iterator[Faces]:
    """Those of somebody, as the platform has told them who they are."""
    url = platform.url
    project = to_base62(UUID(owner["organizationId"]))
    body = {"username": owner["email"], "password": owner["password"], "projectId": project}
    id_token = ok(httpx.post(f"{url}/leverege/v1/login", json=body))["idToken"]
    body = {"email": owner["email"], "password": owner["password"]}
    user_token = ok(httpx.post(f"{url}/losant/auth/user", json=body))["token"]
    leapcraft_token = ok(httpx.post(f"{url}/leapcraft/v1/auth/client/token", data={"api_key": owner["apiKey"]}))[
        "token"
    ]
    with (
        platform.client(owner["apiKey"]) as native,
        client(f"{url}/lightelligence/v1", asyncio.run(sign_in(platform, owner))["access_token"]) as lightelligence,
        client(f"{url}/leverege/v1", id_token) as leverege,
        client(f"{url}/leapcraft/v1", leapcraft_token) as leapcraft,
        client(f"{url}/losant", user_token) as losant,
    ):
        yield Faces(
            platform,
            Native(native),
            Lightelligence(lightelligence),
            Leverege(leverege, project),
            Leapcraft(leapcraft),
            Losant(losant),
        )


def told(face: Face, device: UUID, values: Any) -> None:
    """Wait until an API tells these as the newest."""
    wait_until(lambda: face.newest(device) == values)


def kept(face: Face, device: UUID, name: str, values: list[Any]) -> None:
    """Wait until an API has these as the history of a sensor."""
    wait_until(lambda: face.history(device, name) == values)


def client(url: str, token: str) -> httpx.Client:
    """A program with a token."""
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=20)


def _seen(answer: httpx.Response) -> Any:
    """What is told; None when it is not there."""
    return None if answer.status_code == 404 else ok(answer)


def _name_of(seen: Any, id_: str) -> str:
    assert seen["id"] == id_
    name: str = seen["name"]
    return name
