"""TCP ports: whether those that are asked for are free, and free ones for private use."""

import errno
import socket
from collections.abc import Sequence
from pathlib import Path
from secrets import SystemRandom, token_urlsafe

import msgspec
import psutil

from roadstead.settings import Settings
from roadstead.supervisor.account import Account, own_file
from roadstead.supervisor.failures import StartError

LOOPBACK = "127.0.0.1"

# Below the range from which the kernel hands out ports for outgoing connections (32768 and up), so that nobody's
# connection sits on a server's port while that server is down for a moment.
_PRIVATE_PORTS = range(20_000, 30_000)


class Door(msgspec.Struct, frozen=True):
    """A port that the outside may reach, and the settings that decide on it."""

    title: str
    port: int
    port_variable: str
    host: str
    host_variable: str


def public_doors(settings: Settings) -> list[Door]:
    """Every port that is turned on."""
    http = (settings.http.host, "ROADSTEAD_HTTP_HOST")
    mqtt = (settings.mqtt.host, "ROADSTEAD_MQTT_HOST")
    doors = [
        Door("the API", settings.http.port, "ROADSTEAD_HTTP_PORT", *http),
        Door("the API over TLS", settings.https.port, "ROADSTEAD_HTTPS_PORT", *http),
        Door("MQTT", settings.mqtt.port, "ROADSTEAD_MQTT_PORT", *mqtt),
        Door("MQTT over TLS", settings.mqtts.port, "ROADSTEAD_MQTTS_PORT", *mqtt),
        Door("MQTT over WebSocket", settings.mqtt_websocket.port, "ROADSTEAD_MQTT_WEBSOCKET_PORT", *mqtt),
    ]
    return [door for door in doors if door.port]


def check_doors(doors: Sequence[Door]) -> None:
    """Raises `StartError`, naming the setting to change, when one of them cannot be listened on or two are the same."""
    seen: dict[int, Door] = {}
    for door in doors:
        if door.port in seen:
            first = seen[door.port].port_variable
            raise StartError(f"{first} and {door.port_variable} are both {door.port}: choose two ports")
        seen[door.port] = door
        if (error := _try(door)) is not None:
            raise _explain(door, error) from error


def _try(door: Door) -> OSError | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            door.host or None, door.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: connections of an earlier run that linger in TIME_WAIT are no reason to refuse.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def _explain(door: Door, error: OSError) -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(
            f"port {door.port} for {door.title} is in use{_holder(door.port)}: set {door.port_variable} to a free port"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return StartError(
            f"this account may not listen on port {door.port} for {door.title}: set {door.port_variable} above 1023"
        )
    return StartError(f"cannot listen on {door.host} for {door.title} ({error.strerror}): set {door.host_variable}")


def _holder(port: int) -> str:
    holder = find_holder(port)
    try:
        return f" by {holder.name()} (process {holder.pid})" if holder else ""
    except psutil.Error:
        return ""


def find_holder(port: int) -> psutil.Process | None:
    """Who listens there, as far as this account may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr or not connection.pid:
                continue
            if connection.laddr.port == port:
                return psutil.Process(connection.pid)
    except (psutil.Error, OSError):
        return None
    return None


def is_free(port: int) -> bool:
    """Whether this loopback port can be listened on now."""
    return _try(Door("", port, "", LOOPBACK, "")) is None


class Access(msgspec.Struct, frozen=True):
    """How to reach a private server on this machine."""

    port: int
    password: str


def find_access(path: Path) -> Access | None:
    """What was remembered in this file; None when there is nothing or nothing of use."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Access)
    except (OSError, msgspec.MsgspecError):
        return None


def remember_access(path: Path, account: Account | None) -> Access:
    """The port and password of last time, or new ones when there was none or the port is taken now."""
    access = find_access(path)
    if access is None or not is_free(access.port):
        access = Access(_free_port(), access.password if access else token_urlsafe(32))
        own_file(path, msgspec.json.encode(access).decode(), account)
    return access


def _free_port() -> int:
    for port in SystemRandom().sample(_PRIVATE_PORTS, len(_PRIVATE_PORTS)):
        if is_free(port):
            return port
    raise StartError(f"no free loopback port between {_PRIVATE_PORTS.start} and {_PRIVATE_PORTS.stop - 1}")
