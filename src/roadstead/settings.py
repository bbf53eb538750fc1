"""Settings: one tree of structs, from defaults, then a TOML file, then the environment. Read once, handed down."""

import difflib
import os
import re
import tomllib
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from roadstead.web.addresses import read_networks

PREFIX = "ROADSTEAD_"

_NO_SETTINGS = {"CONFIG", "URL", "API_KEY", "NOTIFY_FD", "STORE_PORT", "STORE_PASSWORD"}
"""Variables that mean something here and are no settings: for the command line, and from a supervisor to a role."""

# What Kubernetes and Docker tell about a service or container that is called roadstead.
_OF_OTHERS = re.compile(r"ROADSTEAD_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP)(_\w+)?|NAME|ENV_\w+)")

Port = Annotated[int, Meta(ge=0, le=65_535)]
Count = Annotated[int, Meta(ge=0)]


class Help(msgspec.Struct, frozen=True):
    """One line of help for a setting, and what its type does not say about it."""

    text: str
    secret: bool = False
    check: Callable[[str], object] | None = None
    """Raises `ValueError` for a value that cannot be."""


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where programs knock."""

    host: Annotated[str, Help("address the API listens on")] = "0.0.0.0"
    port: Annotated[int, Meta(ge=1, le=65_535), Help("port of the API and the console")] = 8080
    max_body_bytes: Annotated[
        int, Meta(ge=1_024), Help("largest request body; device data has its own, smaller limits")
    ] = 10_485_760
    trusted_proxies: Annotated[
        str, Help("addresses of proxies whose X-Forwarded-For is believed, by comma", check=read_networks)
    ] = ""
    metrics_from: Annotated[
        str,
        Help(
            "addresses and networks that may read /metrics, by comma; 0.0.0.0/0,::/0: everybody, empty: nobody",
            check=read_networks,
        ),
    ] = "127.0.0.1,::1"


class HttpsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where devices reach the API with their certificate."""

    port: Annotated[Port, Help("port of the API over TLS, client certificates welcome; 0 turns it off")] = 8443


class MqttSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where devices knock."""

    host: Annotated[str, Help("address the MQTT gateway listens on")] = "0.0.0.0"
    port: Annotated[Port, Help("port of MQTT over TCP; 0 turns it off")] = 1883
    processes: Annotated[int, Meta(ge=1, le=64), Help("gateway processes that share the ports")] = 1
    max_packet_bytes: Annotated[int, Meta(ge=1_024, le=4_194_304), Help("largest MQTT packet taken from a device")] = (
        1_114_112
    )
    pack_ms: Annotated[
        int,
        Meta(ge=0, le=1_000),
        Help("how long messages are collected before they are written to the log together"),
    ] = 10
    max_unacknowledged_bytes: Annotated[
        int,
        Meta(ge=65_536),
        Help("device data that may wait for the log in one process before sockets are no longer read"),
    ] = 33_554_432
    max_tenant_bytes: Annotated[
        int, Meta(ge=65_536), Help("of that, of one organization, while others are connected to the process too")
    ] = 2_097_152


class MqttsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """MQTT over TLS."""

    port: Annotated[Port, Help("port of MQTT over TLS; 0 turns it off")] = 8883


class MqttWebsocketSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """MQTT over WebSocket."""

    port: Annotated[Port, Help("port of MQTT over WebSocket, path /mqtt; 0 turns it off")] = 8083


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


class OutgoingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests to servers of others: webhooks, chat services."""

    allow_networks: Annotated[
        str,
        Help(
            "private addresses and networks that webhooks and chat services may reach all the same, by comma",
            check=read_networks,
        ),
    ] = ""
    plain_http: Annotated[bool, Help("let webhooks have http:// URLs, too")] = False
    services: Annotated[
        str, Help("chat and SMS services that channels may use: schemas of apprise, by comma; empty: none")
    ] = (
        "slack,discord,tgram,gchat,workflows,webex,zulip,ntfys,gotifys,mmosts,rockets,matrixs,pover,pbul,line,ifttt,"
        "pagerduty,opsgenie,splunk,signl4,squadcast,ilert,incidentio,betterstack,twilio,vonage,sinch,msgbird,clicksend,"
        "bulksms,plivo,telnyx,seven,threema,signals,whatsapp"
    )
    at_a_time: Annotated[
        int, Meta(ge=4, le=1_024), Help("notifications of one kind that a worker sends at the same time")
    ] = 64


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the platform one caller may use."""

    requests_per_minute: Annotated[Count, Help("API requests a minute for each key or user; 0: no limit")] = 6000
    ingest_bytes_per_second: Annotated[
        Count, Help("device data taken from one organization, by each process; 0: no limit")
    ] = 0
    backlog_bytes: Annotated[
        Count, Help("device data in the log that is not stored yet, before senders are slowed down; 0: all it holds")
    ] = 1_073_741_824
    sign_ins_per_minute: Annotated[Count, Help("sign-in requests a minute for each address; 0: no limit")] = 60


def _check_path(text: str) -> None:
    if not text.startswith("/") or text.endswith("/"):
        raise ValueError("begins with a slash and does not end with one")


def _check_url(text: str) -> None:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname or text.endswith("/")):
        raise ValueError("begins with https:// or http:// and does not end with a slash")


def read_uris(text: str) -> tuple[str, ...]:
    """Absolute URIs without a fragment, by comma. Raises `ValueError` that names what is none."""
    uris = tuple(part.strip() for part in text.split(",") if part.strip())
    for uri in uris:
        if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9+.-]*:[^\s#\\]+", uri):
            raise ValueError(f"'{uri}' is no absolute URI without a fragment")
    return uris


class LeapcraftSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Leapcraft dialect."""

    hosts: Annotated[str, Help("host names under which it is served without the prefix /leapcraft, by comma")] = ""
    averages_shape: Annotated[
        Literal["array", "object"], Help("averages as an array of buckets, or the newest bucket alone as an object")
    ] = "array"
    things_path: Annotated[str, Help("path of the list of things", check=_check_path)] = "/v1/things"


class LightelligenceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Lightelligence dialect."""

    hosts: Annotated[str, Help("host names under which it is served without the prefix /lightelligence, by comma")] = ""
    identity_url: Annotated[
        str,
        Help(
            "where its identity provider is, without /v1/id/auth/realms/olt; empty: <public URL>/lightelligence;"
            " tokens name it as their issuer",
            check=_check_url,
        ),
    ] = ""
    portal_redirect_uris: Annotated[
        str,
        Help("where programs with the built-in client olt-portal have people sent back to, by comma", check=read_uris),
    ] = ""
    strict_gateways: Annotated[
        bool, Help("a device may speak for another one only if that one is connected by it; else for all of its tenant")
    ] = False


class LeveregeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Leverege dialect."""

    hosts: Annotated[str, Help("host names under which it is served without the prefix /leverege, by comma")] = ""
    strict_audience: Annotated[
        bool, Help("tokens of API access must name this platform as their audience; else any, for the sake of old ones")
    ] = False


class LosantSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Losant dialect."""

    hosts: Annotated[str, Help("host names under which it is served without the prefix /losant, by comma")] = ""
    device_messages: Annotated[
        Count, Help("messages of one kind for each device within losant.device_messages_s; 0: no limit")
    ] = 30
    device_messages_s: Annotated[int, Meta(ge=1, le=3_600), Help("seconds in which those are counted")] = 15
    events: Annotated[Count, Help("events made for each application within losant.events_s; 0: no limit")] = 15
    events_s: Annotated[int, Meta(ge=1, le=3_600), Help("seconds in which those are counted")] = 15
    oldest_state_days: Annotated[int, Meta(ge=1, le=3_660), Help("older states of devices are dropped")] = 30
    state_ahead_hours: Annotated[
        int, Meta(ge=1, le=8_784), Help("states of devices that are further ahead of our clock are dropped")
    ] = 24


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    data_dir: Annotated[Path, Help("one directory for everything the embedded servers keep")] = Path(".roadstead")
    public_url: Annotated[str, Help("where programs reach the API; empty: http://localhost:<http port>")] = ""
    public_host: Annotated[
        str, Help("host name that devices are told to connect to; empty: that of the public URL")
    ] = ""
    database_url: Annotated[str, Help("an existing PostgreSQL (>= 16) instead of the embedded one", secret=True)] = ""
    nats_url: Annotated[str, Help("an existing NATS with JetStream instead of the embedded one", secret=True)] = ""
    nats_system_url: Annotated[
        str, Help("the existing NATS as a user of its system account, to see whether it syncs", secret=True)
    ] = ""
    nats_replicas: Annotated[
        int, Meta(ge=1, le=5), Help("how many servers of an existing NATS cluster keep each stream")
    ] = 1
    clickhouse_url: Annotated[str, Help("an existing ClickHouse instead of the embedded store", secret=True)] = ""
    blobs_url: Annotated[
        str,
        Help(
            "where files are kept: file:///path, s3://bucket/prefix?region=...&endpoint=..., gs://bucket, az://container;"
            " empty: <data dir>/blobs",
            secret=True,
        ),
    ] = ""
    master_key: Annotated[
        str, Help("base64 of 32 bytes that seal secrets; empty: <data dir>/master.key", secret=True)
    ] = ""
    unsafe: Annotated[bool, Help("start also on servers that can lose what they acknowledged; for experiments")] = False
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Help("debug, info, warning or error")] = "info"
    deleted_device_days: Annotated[
        int, Meta(ge=1, le=3_660), Help("how long deleted devices can be restored; then they are gone for good")
    ] = 30
    connection_log_days: Annotated[
        int, Meta(ge=1, le=3_660), Help("days for which it is kept when devices came and went")
    ] = 30
    expose_api_docs: Annotated[bool, Help("serve the OpenAPI document and the reference page")] = True
    http: HttpSettings = HttpSettings()
    https: HttpsSettings = HttpsSettings()
    mqtt: MqttSettings = MqttSettings()
    mqtts: MqttsSettings = MqttsSettings()
    mqtt_websocket: MqttWebsocketSettings = MqttWebsocketSettings()
    mail: MailSettings = MailSettings()
    outgoing: OutgoingSettings = OutgoingSettings()
    limits: LimitSettings = LimitSettings()
    leapcraft: LeapcraftSettings = LeapcraftSettings()
    lightelligence: LightelligenceSettings = LightelligenceSettings()
    leverege: LeveregeSettings = LeveregeSettings()
    losant: LosantSettings = LosantSettings()

    @property
    def url(self) -> str:
        """The public URL without a slash at the end."""
        return (self.public_url or f"http://localhost:{self.http.port}").rstrip("/")


class SettingsError(Exception):
    """Settings are wrong; each of `problems` names one and says what it should be."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class Setting(msgspec.Struct, frozen=True):
    """One leaf of the tree, for help and printing."""

    path: tuple[str, ...]
    kind: Any
    """Its type, with bounds where there are some."""
    default: Any
    help: Help

    @property
    def name(self) -> str:
        """Its name in a settings file."""
        return ".".join(self.path)

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
            help_ = next(word for word in hint.__metadata__ if isinstance(word, Help))
            yield Setting(path, hint, field.default, help_)
        else:
            yield from _leaves(hint, path)


def read_settings(environment: Mapping[str, str] | None = None, *, file: Path | None = None) -> Settings:
    """Defaults, overlaid by the TOML file (`ROADSTEAD_CONFIG` or `file`), overlaid by `ROADSTEAD_*`.

    Raises `SettingsError` that names every variable and every key that is wrong or unknown.
    """
    environment = os.environ if environment is None else environment
    file = file or (Path(environment[PREFIX + "CONFIG"]) if environment.get(PREFIX + "CONFIG") else None)
    in_file = _read_file(file) if file is not None else {}
    settings = list(all_settings())
    problems = [*_unknown_variables(environment, settings), *_unknown_keys(file, in_file, settings)]
    tree: dict[str, Any] = {}
    for setting in settings:
        try:
            if (text := environment.get(setting.variable)) is not None:
                value = _read(setting, text, f"{setting.variable}={_show(setting, text)}", strict=False)
            elif setting.name in in_file:
                value = in_file[setting.name]
                value = _read(setting, value, f"{file}: {setting.name} = {_show(setting, value)}", strict=True)
            else:
                continue
        except SettingsError as error:
            problems += error.problems
            continue
        branch = tree
        for name in setting.path[:-1]:
            branch = branch.setdefault(name, {})
        branch[setting.path[-1]] = value
    if problems:
        raise SettingsError(problems)
    return msgspec.convert(tree, Settings, dec_hook=_from_text)


def _read_file(file: Path) -> dict[str, Any]:
    """Its values by `section.key`."""
    try:
        return dict(_flatten(tomllib.loads(file.read_text()), ""))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError([f"{file}: {error}"]) from error


def _flatten(tree: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{above}{name}.")
        else:
            yield above + name, value


def _unknown_variables(environment: Mapping[str, str], settings: Sequence[Setting]) -> Iterator[str]:
    known = {setting.variable for setting in settings} | {PREFIX + name for name in _NO_SETTINGS}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or name in known:
            continue
        is_of_others = _OF_OTHERS.fullmatch(name) or (name.endswith("PORT") and value.startswith(("tcp://", "udp://")))
        if not is_of_others:
            yield f"{name} is not a setting{_suggest(name, known, shared=PREFIX)}"


def _unknown_keys(file: Path | None, in_file: Collection[str], settings: Sequence[Setting]) -> Iterator[str]:
    known = {setting.name for setting in settings}
    yield from (f"{file}: {name} is not a setting{_suggest(name, known)}" for name in in_file if name not in known)


def _suggest(name: str, known: Collection[str], *, shared: str = "") -> str:
    """`shared`: how all names begin, which makes none of them alike."""
    endings = sorted(one.removeprefix(shared) for one in known)
    close = difflib.get_close_matches(name.removeprefix(shared), endings, n=1, cutoff=0.7)
    return f" (did you mean {shared}{close[0]}?)" if close else ": 'roadstead settings' names them all"


def _read(setting: Setting, value: Any, where: str, *, strict: bool) -> Any:
    try:
        read = msgspec.convert(value, setting.kind, strict=strict, dec_hook=_from_text)
        if setting.help.check is not None:
            setting.help.check(read)
    except (msgspec.ValidationError, ValueError) as error:
        raise SettingsError([f"{where}: {_expectation(setting, error)}"]) from error
    return read


def _expectation(setting: Setting, error: Exception) -> str:
    """What msgspec says of a value, without its ticks and without the value: that stands before it."""
    kind = setting.kind.__origin__
    if get_origin(kind) is Literal:
        return f"expected one of {', '.join(get_args(kind))}"
    if not isinstance(error, msgspec.ValidationError):
        return str(error)
    return str(error).partition(", got")[0].replace("`", "").replace("Expected", "expected")


def _show(setting: Setting, value: Any) -> str:
    return "..." if setting.help.secret else repr(value)


def _from_text(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise ValueError("expected a path")
