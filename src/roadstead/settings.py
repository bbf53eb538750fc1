"""Settings: one tree of structs, from defaults, then a TOML file, then the environment. Read once, handed down."""

import os
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import msgspec

PREFIX = "ROADSTEAD_"


class Help(msgspec.Struct, frozen=True):
    """One line of help for a setting."""

    text: str
    secret: bool = False


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where programs knock."""

    host: Annotated[str, Help("address the API listens on")] = "0.0.0.0"
    port: Annotated[int, Help("port of the API and the console")] = 8080
    max_body_bytes: Annotated[int, Help("largest request body; device data has its own, smaller limits")] = 10_485_760
    trusted_proxies: Annotated[str, Help("addresses of proxies whose X-Forwarded-For is believed, by comma")] = ""
    metrics_from: Annotated[
        str,
        Help("addresses and networks that may read /metrics, by comma; 0.0.0.0/0,::/0: everybody, empty: nobody"),
    ] = "127.0.0.1,::1"


class HttpsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where devices reach the API with their certificate."""

    port: Annotated[int, Help("port of the API over TLS, client certificates welcome; 0 turns it off")] = 8443


class MqttSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where devices knock."""

    host: Annotated[str, Help("address the MQTT gateway listens on")] = "0.0.0.0"
    port: Annotated[int, Help("port of MQTT over TCP; 0 turns it off")] = 1883
    processes: Annotated[int, Help("gateway processes that share the ports")] = 1
    max_packet_bytes: Annotated[int, Help("largest MQTT packet taken from a device")] = 1_048_576
    pack_ms: Annotated[int, Help("how long messages are collected before they are written to the log together")] = 10
    max_unacknowledged_bytes: Annotated[
        int, Help("device data that may wait for the log in one process before sockets are no longer read")
    ] = 33_554_432


class MqttsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """MQTT over TLS."""

    port: Annotated[int, Help("port of MQTT over TLS; 0 turns it off")] = 8883


class MqttWebsocketSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """MQTT over WebSocket."""

    port: Annotated[int, Help("port of MQTT over WebSocket, path /mqtt; 0 turns it off")] = 8083


class MailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Outgoing mail."""

    smtp_url: Annotated[
        str,
        Help(
            "smtp://user:password@host:587 or smtps://...; empty: mail becomes files in <data dir>/mail",
            secret=True,
        ),
    ] = ""
    sender: Annotated[str, Help("From address of the platform's mail")] = "roadstead@localhost"


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the platform one caller may use."""

    requests_per_minute: Annotated[int, Help("API requests a minute for each key or user; 0: no limit")] = 6000
    sign_ins_per_minute: Annotated[int, Help("sign-in requests a minute for each address; 0: no limit")] = 60


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    data_dir: Annotated[Path, Help("one directory for everything the embedded servers keep")] = Path(".roadstead")
    public_url: Annotated[str, Help("where programs reach the API; empty: http://localhost:<http port>")] = ""
    public_host: Annotated[
        str, Help("host name that devices are told to connect to; empty: that of the public URL")
    ] = ""
    database_url: Annotated[str, Help("an existing PostgreSQL (>= 16) instead of the embedded one", secret=True)] = ""
    nats_url: Annotated[str, Help("an existing NATS with JetStream instead of the embedded one", secret=True)] = ""
    clickhouse_url: Annotated[str, Help("an existing ClickHouse instead of the embedded store", secret=True)] = ""
    master_key: Annotated[
        str, Help("base64 of 32 bytes that seal secrets; empty: <data dir>/master.key", secret=True)
    ] = ""
    log_level: Annotated[str, Help("debug, info, warning or error")] = "info"
    expose_api_docs: Annotated[bool, Help("serve the OpenAPI document and the reference page")] = True
    http: HttpSettings = HttpSettings()
    https: HttpsSettings = HttpsSettings()
    mqtt: MqttSettings = MqttSettings()
    mqtts: MqttsSettings = MqttsSettings()
    mqtt_websocket: MqttWebsocketSettings = MqttWebsocketSettings()
    mail: MailSettings = MailSettings()
    limits: LimitSettings = LimitSettings()

    @property
    def url(self) -> str:
        """The public URL without a slash at the end."""
        return (self.public_url or f"http://localhost:{self.http.port}").rstrip("/")


class SettingsError(Exception):
    """A setting is wrong; the message names it."""


class Setting(msgspec.Struct, frozen=True):
    """One leaf of the tree, for help and printing."""

    path: tuple[str, ...]
    kind: type
    default: Any
    help: Help

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + "_".join(self.path).upper()


def all_settings() -> Iterator[Setting]:
    """Every setting there is, in order."""
    yield from _leaves(Settings, ())


def _leaves(struct: type[msgspec.Struct], above: tuple[str, ...]) -> Iterator[Setting]:
    hints = typing.get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        path = (*above, field.name)
        hint = hints[field.name]
        if get_origin(hint) is Annotated:
            kind, help_ = get_args(hint)
            yield Setting(path, kind, field.default, help_)
        else:
            yield from _leaves(hint, path)


def read_settings(environment: Mapping[str, str] | None = None, *, file: Path | None = None) -> Settings:
    """Defaults, overlaid by the TOML file (`ROADSTEAD_CONFIG` or `file`), overlaid by `ROADSTEAD_*`.

    Raises `SettingsError` that names the variable or the key that is wrong or unknown.
    """
    environment = os.environ if environment is None else environment
    file = file or (Path(environment[PREFIX + "CONFIG"]) if environment.get(PREFIX + "CONFIG") else None)
    tree: dict[str, Any] = {}
    if file is not None:
        try:
            tree = tomllib.loads(file.read_text())
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{file}: {error}") from error
    for setting in all_settings():
        text = environment.get(setting.variable)
        if text is None:
            continue
        branch = tree
        for name in setting.path[:-1]:
            branch = branch.setdefault(name, {})
        branch[setting.path[-1]] = _parse(setting, text)
    try:
        return msgspec.convert(tree, Settings, dec_hook=_from_text)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file or 'settings'}: {error}") from error


def _parse(setting: Setting, text: str) -> Any:
    try:
        return msgspec.convert(text, setting.kind, strict=False, dec_hook=_from_text)
    except (msgspec.ValidationError, ValueError) as error:
        raise SettingsError(f"{setting.variable}={text!r}: expected {setting.kind.__name__}") from error


def _from_text(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)
