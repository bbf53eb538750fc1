"""Devices, each born in one API and reporting as devices of that API do."""

import json
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from roadstead.kernel.ids import parse_base62, parse_hex24, to_hex24
from tests.gateways.certificates import make
from tests.journeys.devices import register, tls_context
from tests.journeys.faces import Faces, ok
from tests.platform import wait_until

_NEVER_S = 3600


class Line:
    """A device's connection for a `with`. It hears what it is told to do, and does not come back by itself."""

    def __init__(
        self,
        port: int,
        client_id: str,
        commands: str,
        *,
        tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        """`commands`: the topic of those."""
        self._port, self._commands = port, commands
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv311
        )
        if tls is not None:
            self._client.tls_set_context(tls)
        if login is not None:
            self._client.username_pw_set(*login)
        self._client.reconnect_delay_set(min_delay=_NEVER_S, max_delay=_NEVER_S)
        self._answers: list[Any] = []
        self._granted: list[Any] = []
        self.heard: list[Any] = []
        self._client.on_connect = lambda _client, _data, _flags, reason, _properties: self._answers.append(reason)
        self._client.on_subscribe = lambda _client, _data, _mid, codes, _properties: self._granted.extend(codes)
        self._client.on_message = lambda _client, _data, message: self.heard.append(json.loads(message.payload))

    def __enter__(self) -> Self:
        assert self.knock()
        self._client.subscribe(self._commands, qos=1)
        wait_until(lambda: self._granted)
        assert not self._granted[0].is_failure
        return self

    def knock(self) -> bool:
        """Whether it is let in."""
        self._client.connect("localhost", self._port)
        self._client.loop_start()
        [answer] = wait_until(lambda: self._answers)
        return not answer.is_failure

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, topic: str, message: Any) -> None:
        """Returns when it is acknowledged."""
        told = self._client.publish(topic, json.dumps(message), qos=1)
        told.wait_for_publish(10)
        assert told.is_published()


class Speaker(msgspec.Struct):
    """A device that speaks MQTT."""

    id: UUID
    line: Line


def native_speaker(faces: Faces, name: str, folder: Path) -> Speaker:
    """With the certificate that it was given."""
    platform = faces.platform
    identity = register(platform.url, platform.credentials["apiKey"], name)
    line = Line(
        platform.ports["MQTTS"],
        identity.client_id,
        identity.topics["commands"],
        tls=tls_context(identity, folder),
    )
    return Speaker(UUID(identity.device_id), line)


def lightelligence_speaker(faces: Faces, name: str, folder: Path) -> Speaker:
    """Of a type, with a certificate of its own making."""
    device = _lightelligence_device(faces, name)
    certificate = make(name)
    body = {"cert": certificate.pem.decode(), "status": "valid"}
    ok(faces.lightelligence.http.post(f"/devices/{device}/certificates", json=body), 201)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(*certificate.save(folder, name))
    context.set_alpn_protocols(["mqttv311"])
    return Speaker(device, Line(faces.platform.ports["MQTTS"], name, f"devices/{device}/actions", tls=context))


def losant_speaker(faces: Faces, name: str, _folder: Path) -> Speaker:
    """With key and secret of its application."""
    place, id_ = _losant_device(faces, name)
    device = known(parse_hex24(id_))
    return Speaker(device, losant_line(faces, device, place))


def losant_line(faces: Faces, device: UUID, application: str) -> Line:
    """Of a device, with a new key of an application."""
    key, id_ = faces.losant.make("applicationKeys.post", f"{application}/keys", {}), to_hex24(device)
    login = (key["key"], key["secret"])
    return Line(faces.platform.ports["MQTT"], id_, f"losant/{id_}/command", login=login)


def native_by_mqtt(faces: Faces, name: str, levels: Sequence[float], folder: Path) -> UUID:
    """Readings of a sensor that nobody has made."""
    speaker = native_speaker(faces, name, folder)
    organization = faces.platform.credentials["organizationId"]
    with speaker.line as line:
        line.say(
            f"v1/readings/{organization}/{speaker.id}",
            [{"sensorId": "level", "timestamp": at.isoformat(), "value": level} for at, level in _dated(levels)],
        )
    return speaker.id


def native_by_http(faces: Faces, name: str, levels: Sequence[float], _folder: Path) -> UUID:
    """Readings of a sensor that somebody has made."""
    device = ok(faces.native.http.post("/api/v1/devices", json={"name": name}), 201)
    sensor = {"deviceId": device["id"], "key": "level", "valueType": "DOUBLE"}
    made = ok(faces.native.http.post("/api/v1/sensors", json=sensor), 201)
    points = [{"sensorId": made["id"], "timestamp": at.isoformat(), "value": level} for at, level in _dated(levels)]
    ok(faces.native.http.post("/api/v1/readings", json=points), 202)
    return UUID(device["id"])


def lightelligence_by_mqtt(faces: Faces, name: str, levels: Sequence[float], folder: Path) -> UUID:
    """Attributes of its type."""
    speaker = lightelligence_speaker(faces, name, folder)
    with speaker.line as line:
        for at, level in _dated(levels):
            said = {"type": "attributes", "value": {"level": level}, "timestamp": _z(at)}
            line.say("data-ingest", said)
    return speaker.id


def lightelligence_by_http(faces: Faces, name: str, levels: Sequence[float], _folder: Path) -> UUID:
    """The same, by way of `data-ingest`."""
    device = _lightelligence_device(faces, name)
    for at, level in _dated(levels):
        said = {"type": "attributes", "deviceId": str(device), "value": {"level": level}, "timestamp": _z(at)}
        ok(faces.lightelligence.http.post("/data-ingest", json=said), 202)
    return device


def leverege_by_http(faces: Faces, name: str, levels: Sequence[float], _folder: Path) -> UUID:
    """A device of a blueprint in a system, made with its data, which is changed then."""
    http, project = faces.leverege.http, faces.leverege.project
    system = ok(http.post(f"/project/{project}/system", json={"name": name, "alias": name}))
    body = {"name": name, "alias": name, "attributes": [{"path": "level", "type": "number"}]}
    ok(http.post(f"/project/{project}/blueprint", json=body))
    first, *more = levels
    place = f"/interface/{system['alias']}/{name}"
    device = ok(http.post(place, json={"name": name, "data": {"level": first}}))["id"]
    for level in more:
        ok(http.put(f"/device/{device}/setValue", json={"values": [{"path": "level", "value": level}]}))
    return known(parse_base62(device))


def losant_by_mqtt(faces: Faces, name: str, levels: Sequence[float], folder: Path) -> UUID:
    """States."""
    speaker = losant_speaker(faces, name, folder)
    with speaker.line as line:
        for at, level in _dated(levels):
            said = {"time": {"$date": _z(at)}, "data": {"level": level}}
            line.say(f"losant/{to_hex24(speaker.id)}/state", said)
    return speaker.id


def losant_by_rest(faces: Faces, name: str, levels: Sequence[float], _folder: Path) -> UUID:
    """A list of states."""
    place, id_ = _losant_device(faces, name)
    states = [{"time": int(at.timestamp() * 1000), "data": {"level": level}} for at, level in _dated(levels)]
    ok(faces.losant.http.post(f"{place}/devices/{id_}/state", json=states))
    return known(parse_hex24(id_))


def _lightelligence_device(faces: Faces, name: str) -> UUID:
    http = faces.lightelligence.http
    rules = [{"path": "$.attributes.level", "reportTo": ["timeseries", "deviceManagement"]}]
    body = {"name": name, "schema": {"attributes": {"level": {"type": "number"}}}, "reportingRules": rules}
    type_ = ok(http.post("/device-types", json=body), 201)["data"]
    made = ok(http.post("/devices", json={"info": {"name": name, "deviceTypeId": type_["id"]}}), 201)
    return UUID(made["data"]["id"])


def _losant_device(faces: Faces, name: str) -> tuple[str, str]:
    """In an application of its own: where that is, and the id."""
    application = faces.losant.make("applications.post", "/applications", {"name": name})
    place = f"/applications/{application['id']}"
    body = {"name": name, "attributes": [{"name": "level", "dataType": "number"}]}
    id_: str = faces.losant.make("devices.post", f"{place}/devices", body)["id"]
    return place, id_


def name_for(birth: Any, begin: str) -> str:
    """A name that no other test gives."""
    name: str = birth.__name__
    return begin + name.replace("_", "")


def now() -> str:
    """As devices say it."""
    return _z(datetime.now(UTC))


def known(device: UUID | None) -> UUID:
    """An id that could be read."""
    assert device is not None
    return device


def _dated(levels: Sequence[float]) -> list[tuple[datetime, float]]:
    """One each second, the last one now."""
    now = datetime.now(UTC)
    return [(now - timedelta(seconds=len(levels) - 1 - at), level) for at, level in enumerate(levels)]


def _z(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


NATURES = [native_by_http, lightelligence_by_http, leverege_by_http, losant_by_rest]
"""One of each API that makes devices."""
BIRTHS = [*NATURES, native_by_mqtt, lightelligence_by_mqtt, losant_by_mqtt]
SPEAKERS = [native_speaker, lightelligence_speaker, losant_speaker]
