"""The vendor's MQTT client for Python, driven line by line: JSON on standard input and output.

Runs with the client's own packages (`requirements.txt` beside it), so it knows nothing of ours. Arguments: host, port,
transport, device id, access key, secret.
"""

import json
import queue
import sys
import threading
from typing import Any

from losantmqtt import Device
from paho.mqtt import client as mqtt


def tell(kind: str, **fields: Any) -> None:
    """Say what has happened."""
    print(json.dumps({"event": kind, **fields}, default=str), flush=True)


def read(wanted: "queue.Queue[dict[str, Any]]") -> None:
    """What it is told to do."""
    for line in sys.stdin:
        wanted.put(json.loads(line))


def main() -> None:
    """Until told to close."""
    host, port, transport, device_id, key, secret = sys.argv[1:]

    class Client(mqtt.Client):
        """Goes where it is told: the ports of the vendor's client are those of the vendor's broker."""

        def connect(self, _host: str, _port: int, keepalive: int) -> Any:  # type: ignore[override]
            return super().connect(host, int(port), keepalive)

    mqtt.Client = Client  # type: ignore[misc]
    device = Device(device_id, key, secret, secure=False, transport=transport)
    device.add_event_observer("connect", lambda _: tell("connect"))
    device.add_event_observer("reconnect", lambda _: tell("reconnect"))
    device.add_event_observer("close", lambda _: tell("close"))
    device.add_event_observer("command", lambda _, command: tell("command", command=command))
    wanted: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=read, args=[wanted], daemon=True).start()
    try:
        device.connect(blocking=False)
        while True:
            device.loop(timeout=0.02)
            if not wanted.empty():
                order = wanted.get()
                if order["do"] == "close":
                    device.close()
                    device.loop(timeout=0.1)
                    return
                tell("sent", accepted=device.send_state(order["state"], order.get("time")) is not False)
    except Exception as error:
        tell("failed", reason=str(error))


main()
