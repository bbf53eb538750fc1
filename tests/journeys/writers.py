"""Those who report without a pause, whatever happens to the platform, and remember what was acknowledged."""

import json
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx
from paho.mqtt.enums import MQTTProtocolVersion

from roadstead.cli.provision import DeviceIdentity
from tests.journeys.devices import Device
from tests.platform import Platform, wait_until

_PAUSE_S = 0.02
_BATCH = 10
_RETRY_S = 0.1
_MOST_WAITING = 200


class Writer(Protocol):
    """Sends 0, 1, 2, ... as the values of sensor `n`, a second of time apart."""

    identity: DeviceIdentity

    @property
    def acknowledged(self) -> int:
        """How many values were taken; always all of the first so many."""

    def finish(self) -> int:
        """Stop when all that was sent is acknowledged; how many values that are."""


def reading_of(number: int, start: datetime) -> dict[str, Any]:
    """One of its readings."""
    return {"sensorId": "n", "timestamp": (start + timedelta(seconds=number)).isoformat(), "value": number}


class MqttWriter:
    """A device over mutual TLS, QoS 1; what is not acknowledged is sent again after a reconnect."""

    def __init__(self, platform: Platform, identity: DeviceIdentity, directory: Path, *, start: datetime) -> None:
        self.identity = identity
        self._start = start
        self._sent = 0
        self._stopped = threading.Event()
        self._device = Device(identity, directory, version=MQTTProtocolVersion.MQTTv311).use_tls()
        self._device.client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._device.client.max_inflight_messages_set(_MOST_WAITING)
        self._device.connect(platform.ports["MQTTS"])
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    @property
    def acknowledged(self) -> int:
        return len(self._device.acknowledged)

    def finish(self) -> int:
        self._stopped.set()
        self._thread.join()
        wait_until(lambda: self.acknowledged == self._sent, timeout_s=30)
        self._device.close()
        return self._sent

    def _write(self) -> None:
        while not self._stopped.is_set():
            if self._sent - self.acknowledged < _MOST_WAITING:
                payload = json.dumps(reading_of(self._sent, self._start))
                self._device.client.publish(self.identity.topics["readings"], payload, qos=1)
                self._sent += 1
            time.sleep(_PAUSE_S)


class HttpWriter:
    """A program with an API key that sends batches, each again and again until it is told that it was taken."""

    def __init__(self, platform: Platform, identity: DeviceIdentity, *, start: datetime) -> None:
        self.identity = identity
        self.acknowledged = 0
        self._start = start
        self._client = platform.client()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def finish(self) -> int:
        self._stopped.set()
        self._thread.join(30)
        self._client.close()
        return self.acknowledged

    def _write(self) -> None:
        while not self._stopped.is_set():
            numbers = range(self.acknowledged, self.acknowledged + _BATCH)
            batch = [reading_of(number, self._start) | {"deviceId": self.identity.device_id} for number in numbers]
            while not self._is_taken(batch):
                time.sleep(_RETRY_S)
            self.acknowledged += _BATCH
            time.sleep(_PAUSE_S * _BATCH)

    def _is_taken(self, batch: list[dict[str, Any]]) -> bool:
        try:
            answer = self._client.post("/api/v1/readings", json=batch, timeout=5)
        except httpx.TransportError:
            return False
        assert answer.status_code in {202, 503}, answer.text
        return answer.status_code == 202
