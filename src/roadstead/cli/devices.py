"""`roadstead device`: the fleet, one device, new devices, and what they say.

What only some commands need is imported inside them.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter, validators
from rich.text import Text

from roadstead.cli.client import ApiClient, ApiProblem, connect
from roadstead.cli.names import device_id
from roadstead.cli.output import AsJson, say, show_json, show_list, show_one, spell
from roadstead.cli.readings import SENSOR_COLUMNS

app = App(name="device", help="List, show, register, watch and simulate devices.", help_epilogue="")

DeviceName = Annotated[str, Parameter(help="Id, name or external id of the device.")]


@app.command(name="list")
def list_devices(
    *,
    query: Annotated[
        str | None, Parameter(name=["--query", "-q"], help="Beginnings of words of name, external id, serial number.")
    ] = None,
    status: Annotated[
        Literal["PENDING", "ACTIVE", "INACTIVE", "MAINTENANCE", "OFFLINE"] | None, Parameter(help="Only those.")
    ] = None,
    tag: Annotated[str | None, Parameter(help="Only those with this tag: key, or key:value.")] = None,
    limit: Annotated[int | None, Parameter(help="At most so many; default all.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the devices of the organization."""
    with connect() as api:
        found = api.every("/api/v1/devices", limit=min(limit or 200, 200), q=query, status=status, tag=tag)
        devices = [device for _, device in zip(range(limit), found, strict=False)] if limit else list(found)
    columns = {"name": "name", "status": "status", "online": "online", "last seen": "lastSeenAt", "id": "id"}
    filtered = query or status or tag
    empty = "no device fits" if filtered else "there are no devices yet: try 'roadstead device simulate'"
    show_list(devices, columns, as_json=as_json, empty=empty)


@app.command
def show(device: DeviceName, /, *, as_json: AsJson = False) -> None:
    """Show one device with its sensors and their newest values."""
    with connect() as api:
        path = f"/api/v1/devices/{device_id(api, device)}"
        found = api.get(path)
        sensors = list(api.every(f"{path}/sensors", expand="latest"))
    if as_json:
        show_json(found | {"sensors": sensors})
        return
    show_one(found, as_json=False)
    say("")
    show_list(sensors, SENSOR_COLUMNS, as_json=False, empty="it has no sensors yet")


@app.command
def register(
    name: Annotated[str, Parameter(help="A name that is free in the organization.")],
    /,
    *,
    profile: Annotated[str | None, Parameter(help="Device profile, as key@version.")] = None,
    certificate_to: Annotated[
        Path | None,
        Parameter(help="A directory: make a key here, redeem the token at once, store key and certificate in it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register a device and print its one-time token, or get its certificate right away."""
    body = {"deviceName": name} | ({"deviceProfile": profile} if profile else {})
    with connect() as api:
        token = api.post("/api/v1/devices/registration/tokens", body)
        if certificate_to is None:
            show_one(token, as_json=as_json)
            return
        show_one(_provision(api, token["token"], certificate_to), as_json=as_json)


@app.command
def tail(
    device: Annotated[str | None, Parameter(help="Id, name or external id of one device; default all.")] = None,
    /,
    *,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", show_default=False, help="Print a line of JSON for each event.")
    ] = False,
) -> None:
    """Print readings and device events as they come in, until Ctrl-C.

    A connection that breaks is made again, and goes on where it was.
    """
    with connect() as api:
        chosen = device_id(api, device) if device else None
        names = _Names(api)
        topics = "reading,device"
        for kind, event in api.events("/api/v1/stream", connected=_say_connected, topics=topics, deviceId=chosen):
            if as_json:
                show_json({"event": kind, "data": event}, lines=True)
            elif kind == "gap":
                say(f"[yellow](what happened before {spell(event['from'])} is not kept any more)[/yellow]")
            else:
                at, name = spell(event["timestamp"]), names.device(event["deviceId"])
                text = names.reading(event) if kind == "reading" else _device_event(event)
                say(Text.assemble((at, "dim"), "  ", (name, "bold"), "  ", text))


@app.command
def simulate(
    *,
    devices: Annotated[
        int, Parameter(help="How many; they take turns with the cities.", validator=validators.Number(gte=1))
    ] = 20,
    rows: Annotated[
        int, Parameter(help="Rows of the data set each one plays.", validator=validators.Number(gte=1, lte=8_759))
    ] = 8_759,
    readings_per_message: Annotated[
        int, Parameter(help="Readings in one MQTT message.", validator=validators.Number(gte=1, lte=500))
    ] = 100,
) -> None:
    """Play devices that send real weather, and read it all back.

    Each device is registered, swaps its one-time token for a certificate, connects over mutual TLS and replays the
    hourly temperatures of San Francisco or Seattle in 2010. Then everything is read back through the API and compared
    with what was sent.
    """
    from roadstead.cli.simulate import play_weather

    play_weather(devices=devices, rows=rows, readings_per_message=readings_per_message)


class _Names:
    """Names of devices and sensors, asked for once."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._found: dict[str, dict[str, Any]] = {}

    def device(self, id_: str) -> str:
        return str(self._look_up("devices", id_).get("name", id_))

    def reading(self, event: dict[str, Any]) -> str:
        sensor = self._look_up("sensors", event["sensorId"])
        key, value = sensor.get("key", event["sensorId"]), spell(event["value"])
        return f"{key} = {value} {sensor.get('unit', '')}".rstrip()

    def _look_up(self, kind: str, id_: str) -> dict[str, Any]:
        if id_ not in self._found:
            try:
                self._found[id_] = self._api.get(f"/api/v1/{kind}/{id_}")
            except ApiProblem:  # deleted meanwhile: its id has to do
                self._found[id_] = {}
        return self._found[id_]


def _say_connected() -> None:
    print("listening, Ctrl-C stops", file=sys.stderr, flush=True)


def _device_event(event: dict[str, Any]) -> str:
    if event["type"] != "status":
        return str(event["type"])
    return f"is {event.get('status')}, {'online' if event.get('online') else 'not connected'}"


def _provision(api: ApiClient, token: str, directory: Path) -> dict[str, Any]:
    """Redeem a token and store what comes of it; where everything is."""
    from roadstead.cli.provision import provision

    identity = provision(api, token)
    identity.store(directory)
    return {
        "deviceId": identity.device_id,
        "certificate": str(directory / "device.crt"),
        "privateKey": str(directory / "device.key"),
        "ca": str(directory / "ca.crt"),
        "mqttHost": identity.host,
        "mqttPort": identity.port,
        "readingsTopic": identity.topics["readings"],
    }
