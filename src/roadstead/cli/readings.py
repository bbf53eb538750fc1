"""`roadstead readings`: what sensors have measured."""

from typing import Annotated

from cyclopts import App, Parameter, validators

from roadstead.cli.client import connect
from roadstead.cli.names import device_id, sensor_id
from roadstead.cli.output import AsJson, show_list, show_one

app = App(name="readings", help="Read what sensors have measured.", help_epilogue="")

SENSOR_COLUMNS = {
    "sensor": "key",
    "value": "latest.value",
    "unit": "unit",
    "measured at": "latest.timestamp",
    "id": "id",
}

SensorName = Annotated[str, Parameter(help="Id of the sensor, or DEVICE/KEY such as boiler-7/temperature.")]
Start = Annotated[str | None, Parameter(name="--from", help="RFC 3339, inclusive; default a day before the end.")]
End = Annotated[str | None, Parameter(name="--to", help="RFC 3339, exclusive; default now.")]

_EMPTY = "no readings in this span (the last day, unless --from and --to say otherwise)"


@app.command
def latest(
    device: Annotated[str, Parameter(help="Id, name or external id of the device.")], /, *, as_json: AsJson = False
) -> None:
    """Show the newest reading of every sensor of a device."""
    with connect() as api:
        sensors = list(api.every(f"/api/v1/devices/{device_id(api, device)}/sensors", expand="latest"))
    show_list(sensors, SENSOR_COLUMNS, as_json=as_json, empty="it has no sensors yet")


@app.command(name="list")
def list_readings(
    sensor: SensorName,
    /,
    *,
    start: Start = None,
    end: End = None,
    limit: Annotated[int, Parameter(help="At most so many.", validator=validators.Number(gte=1, lte=10_000))] = 20,
    oldest_first: Annotated[
        bool, Parameter(negative="", show_default=False, help="Begin at the start of the span.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the readings of a sensor as they came, the newest first."""
    with connect() as api:
        path = f"/api/v1/readings/sensor/{sensor_id(api, sensor)}"
        page = api.get(path, limit=limit, order="asc" if oldest_first else "desc", **{"from": start, "to": end})
    columns = {"measured at": "timestamp", "value": "value", "metadata": "metadata"}
    show_list(page["items"], columns, as_json=as_json, empty=_EMPTY)


@app.command
def aggregated(
    sensor: SensorName,
    /,
    *,
    interval: Annotated[str, Parameter(help="ISO 8601 duration such as PT1H or P1D, or auto.")] = "PT1H",
    functions: Annotated[
        str, Parameter(help="By comma, of avg, min, max, sum, count, first, last, ...")
    ] = "avg,min,max,count",
    start: Start = None,
    end: End = None,
    time_zone: Annotated[str, Parameter(help="In which days and months begin, such as Europe/Berlin.")] = "UTC",
    as_json: AsJson = False,
) -> None:
    """Show the readings of a sensor in buckets of time."""
    with connect() as api:
        path = f"/api/v1/readings/sensor/{sensor_id(api, sensor)}/aggregated"
        series = api.get(path, interval=interval, fn=functions, timeZone=time_zone, **{"from": start, "to": end})
    columns = {name: name for name in ["bucket", *functions.split(",")]}
    show_list(series["points"], columns, as_json=as_json, empty=_EMPTY)


@app.command
def stats(sensor: SensorName, /, *, start: Start = None, end: End = None, as_json: AsJson = False) -> None:
    """Show statistics of a sensor over a span of time."""
    with connect() as api:
        path = f"/api/v1/readings/sensor/{sensor_id(api, sensor)}/stats"
        found = api.get(path, **{"from": start, "to": end})
    if not as_json:
        found = {name: value["value"] if name in ("first", "last") else value for name, value in found.items()}
    show_one(found, as_json=as_json)
