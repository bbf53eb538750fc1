"""`roadstead device simulate`: real weather, played by devices that do everything a real one does."""

import csv
import importlib.util
import secrets
import ssl
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from roadstead.cli.client import ApiClient, connect
from roadstead.cli.failures import CommandFailed
from roadstead.cli.output import console, say
from roadstead.cli.provision import DeviceIdentity, provision

# Hourly air temperatures of 2010 in degrees Fahrenheit, from the vega_datasets package. The files give local time
# without saying which; Pacific Standard Time all year keeps every hour distinct.
CITIES = {"San Francisco": "sf-temps.csv", "Seattle": "seattle-temps.csv"}
_PACIFIC = timezone(timedelta(hours=-8))
_SENSOR = "air.temperature"
_IN_FLIGHT = 20
_PATIENCE_S = 60.0


class Measurement(msgspec.Struct, frozen=True):
    """One row of the data set."""

    at: datetime
    value: float


class SimulationFailed(CommandFailed):
    """A device could not connect or its messages were not acknowledged."""


def play_weather(*, devices: int, rows: int, readings_per_message: int) -> None:
    """Register devices, let them send real weather, read all of it back. Raises `SimulationFailed`."""
    data = {city: list(islice(load_city(file), rows)) for city, file in CITIES.items()}
    run = secrets.token_hex(2)
    with connect() as api, _progress() as progress:
        ensure_profiles(api)
        plan = {f"{_slug(city)}-{number:03}-{run}": city for number, city in enumerate(_cities(devices), start=1)}
        identities = _provision_all(api, list(plan), progress)
        series = [data[city] for city in plan.values()]
        total = sum(map(len, series))
        started = time.monotonic()
        _play_all(identities, series, readings_per_message, progress, total)
        seconds = time.monotonic() - started
        equal = _compare_all(api, identities, series, progress)
    who = f"{devices} devices" if devices > 1 else "1 device"
    say(
        f"{who} sent {total:,} readings over mutual TLS, every one acknowledged, in {seconds:.1f} s "
        f"({total / seconds:,.0f} a second)."
    )
    if equal != total:
        raise SimulationFailed(f"read back {equal:,} of {total:,} readings with the value that was sent")
    say(f"[green]Read back through the API: all {equal:,} values equal what was sent.[/green]")
    say(f"Look at one: [bold]roadstead device show {next(iter(plan))}[/bold]")


def load_city(file: str) -> Iterator[Measurement]:
    """The rows of one file of the package, read without importing it (that would load pandas)."""
    spec = importlib.util.find_spec("vega_datasets")
    if spec is None or not spec.submodule_search_locations:
        raise SimulationFailed("the package vega_datasets is missing: pip install vega_datasets")
    path = Path(spec.submodule_search_locations[0]) / "_data" / file
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            local = datetime.strptime(row["date"][:16], "%Y/%m/%d %H:%M").replace(tzinfo=_PACIFIC)
            yield Measurement(local.astimezone(UTC), float(row["temp"]))


def ensure_profiles(api: ApiClient) -> None:
    """The types of a weather station, made once."""
    field = {"name": "temperature", "valueType": "DOUBLE", "unit": "degF", "min": -100, "max": 150}
    wanted: list[tuple[str, dict[str, Any]]] = [
        ("sensor-profiles", {"key": "outdoor-air", "name": "Outdoor air", "fields": [field]}),
        (
            "device-profiles",
            {
                "key": "weather-station",
                "name": "Weather station",
                "components": [
                    {"key": "air", "name": "Outdoor air", "sensorProfile": "outdoor-air@1.0", "required": True}
                ],
            },
        ),
    ]
    for kind, body in wanted:
        if not api.get(f"/api/v1/{kind}", key=body["key"], version="1.0")["items"]:
            api.post(f"/api/v1/{kind}", body | {"profileVersion": "1.0"})


def _provision_all(api: ApiClient, names: list[str], progress: Progress) -> list[DeviceIdentity]:
    task = progress.add_task("provisioning", total=len(names))
    identities = []
    for name in names:
        token = api.post(
            "/api/v1/devices/registration/tokens",
            {"deviceName": name, "deviceProfile": "weather-station@1.0", "tags": {"made-by": "simulate"}},
        )
        identities.append(provision(api, token["token"]))
        progress.advance(task)
    return identities


def _play_all(
    identities: list[DeviceIdentity],
    series: list[list[Measurement]],
    readings_per_message: int,
    progress: Progress,
    total: int,
) -> None:
    task = progress.add_task("sending", total=total)
    with tempfile.TemporaryDirectory() as directory:
        players = [Player(identity, Path(directory) / identity.device_id) for identity in identities]
        try:
            for player in players:
                player.connect()
            # Turn by turn, so that all devices are busy from the first message to the last.
            turns = zip_longest(*(batched(rows, readings_per_message) for rows in series))
            for chunks in turns:
                for player, chunk in zip(players, chunks, strict=True):
                    if chunk:
                        player.send(chunk)
                        progress.advance(task, len(chunk))
            for player in players:
                player.finish()
        finally:
            for player in players:
                player.close()


class Player:
    """One device: a paho client of its own, with its own key and certificate."""

    def __init__(self, identity: DeviceIdentity, directory: Path) -> None:
        self._identity = identity
        identity.store(directory)
        context = ssl.create_default_context(cafile=str(directory / "ca.crt"))
        context.load_cert_chain(directory / "device.crt", directory / "device.key")
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=identity.client_id, protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.tls_set_context(context)
        self._client.max_inflight_messages_set(_IN_FLIGHT)
        self._connected = threading.Event()
        self._refusal = ""
        self._client.on_connect = self._on_connect
        self._sent: list[mqtt.MQTTMessageInfo] = []

    def connect(self) -> None:
        """Returns when the platform has taken the certificate."""
        self._client.connect(self._identity.host, self._identity.port, keepalive=60)
        self._client.loop_start()
        if not self._connected.wait(_PATIENCE_S) or self._refusal:
            raise SimulationFailed(f"{self._identity.device_id} could not connect: {self._refusal or 'no answer'}")

    def send(self, measurements: Sequence[Measurement]) -> None:
        """Publish some readings at QoS 1; waits when too many are under way."""
        readings = [
            {"sensorId": _SENSOR, "timestamp": measurement.at.isoformat(), "value": measurement.value}
            for measurement in measurements
        ]
        if len(self._sent) >= _IN_FLIGHT:
            self._await(self._sent.pop(0))
        self._sent.append(self._client.publish(self._identity.topics["readings"], msgspec.json.encode(readings), qos=1))

    def finish(self) -> None:
        """Returns when everything has been acknowledged."""
        for info in self._sent:
            self._await(info)

    def close(self) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, _client: object, _data: object, _flags: object, reason: Any, _properties: object) -> None:
        self._refusal = str(reason) if reason.is_failure else ""
        self._connected.set()

    def _await(self, info: mqtt.MQTTMessageInfo) -> None:
        info.wait_for_publish(_PATIENCE_S)
        if not info.is_published():
            raise SimulationFailed(f"a message of {self._identity.device_id} was not acknowledged")


def _compare_all(
    api: ApiClient, identities: list[DeviceIdentity], series: list[list[Measurement]], progress: Progress
) -> int:
    """How many readings come back with the value that was sent."""
    task = progress.add_task("reading back", total=sum(len(rows) for rows in series))
    equal = 0
    for identity, rows in zip(identities, series, strict=True):
        sent = {measurement.at: measurement.value for measurement in rows}
        found = _read_back(api, identity, sent)
        equal += sum(1 for at, value in sent.items() if found.get(at) == value)
        progress.advance(task, len(rows))
    return equal


def _read_back(api: ApiClient, identity: DeviceIdentity, sent: dict[datetime, float]) -> dict[datetime, float]:
    """What the API has; asked again for a while, for a reading may show up a second after its acknowledgement."""
    sensor = next(iter(api.every(f"/api/v1/devices/{identity.device_id}/sensors")))["id"]
    span = {"from": min(sent).isoformat(), "to": (max(sent) + timedelta(hours=1)).isoformat()}
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        items = api.every(f"/api/v1/readings/sensor/{sensor}", limit=10_000, **span)
        found = {datetime.fromisoformat(item["timestamp"]): float(item["value"]) for item in items}
        if len(found) >= len(sent) or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:>13}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


def _cities(count: int) -> list[str]:
    return [list(CITIES)[number % len(CITIES)] for number in range(count)]


def _slug(city: str) -> str:
    return city.lower().replace(" ", "-")


def batched(rows: Iterable[Measurement], size: int) -> Iterator[tuple[Measurement, ...]]:
    """Rows in groups of `size` (itertools has this from Python 3.12 on)."""
    rest = iter(rows)
    while group := tuple(islice(rest, size)):
        yield group
