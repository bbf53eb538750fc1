"""The small program: hears everything and writes it. `python -m bench.alternatives.subscriber HOW BROKER_PORT WHERE`.

HOW is `commit` (PostgreSQL, each message committed before it is acknowledged to the broker), `batch` (PostgreSQL,
many messages together, without waiting for the disk) or `influx` (line protocol, many messages together). WHERE is the
URL of the database. It is what tutorials show: no check of what comes, no tenants, no device of its own right.
"""

import json
import queue
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import psycopg
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

_AT_ONCE = 1_000
_EVERY_S = 0.1

Row = tuple[str, str, datetime, float]
Write = Callable[[list[Row]], None]

_TABLE = "CREATE TABLE reading (device text, sensor text, at timestamptz, value double precision)"
_INDEX = "CREATE INDEX ON reading (device, at)"


def main() -> None:
    """Print a line when it hears; until killed."""
    how, port, where = sys.argv[1:]
    client = Client(CallbackAPIVersion.VERSION2, client_id="subscriber", clean_session=True)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    if how == "commit":
        write = _into_postgres(where, durable=True)
        client.on_message = lambda _, __, message: write(_rows(message))
    else:
        client.on_message = _in_batches(
            _into_influx(where) if how == "influx" else _into_postgres(where, durable=False)
        )
    client.connect("127.0.0.1", int(port))
    client.subscribe("#", qos=1)
    client.loop_forever()


def _rows(message: MQTTMessage) -> list[Row]:
    device = message.topic.split("/")[-2]
    return [
        (device, item["sensorId"], datetime.fromisoformat(item["timestamp"]), item["value"])
        for item in json.loads(message.payload)
    ]


def _in_batches(write: Write) -> Callable[[Any, Any, MQTTMessage], None]:
    waiting: queue.SimpleQueue[MQTTMessage] = queue.SimpleQueue()

    def work() -> None:
        while True:
            messages = [waiting.get()]
            until = time.monotonic() + _EVERY_S
            while len(messages) < _AT_ONCE and (left := until - time.monotonic()) > 0:
                try:
                    messages.append(waiting.get(timeout=left))
                except queue.Empty:
                    break
            write([row for message in messages for row in _rows(message)])

    threading.Thread(target=work, daemon=True).start()
    return lambda _, __, message: waiting.put(message)


def _into_postgres(url: str, *, durable: bool) -> Write:
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(_TABLE)
    connection.execute(_INDEX)
    connection.execute(f"SET synchronous_commit = {'on' if durable else 'off'}")

    def write(rows: list[Row]) -> None:
        with connection.cursor() as cursor, cursor.copy("COPY reading FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    return write


def _into_influx(url: str) -> Write:
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port)

    def write(rows: list[Row]) -> None:
        lines = (
            f"reading,device={device},sensor={sensor} value={value} {int(at.timestamp() * 1000)}"
            for device, sensor, at, value in rows
        )
        connection.request("POST", f"/write?{place.query}&precision=ms", "\n".join(lines).encode())
        answer = connection.getresponse()
        answer.read()
        if answer.status != 204:
            raise OSError(f"InfluxDB answers {answer.status}")

    return write


if __name__ == "__main__":
    main()
