"""The configuration of channels: what each type takes, what of it is shown, and what is sealed."""

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from roadstead.core.notify.model import ChannelType, Secrets
from roadstead.core.notify.templates import find_unknown
from roadstead.core.ports import Ports
from roadstead.core.work import HIDDEN
from roadstead.kernel.errors import Invalid

T = TypeVar("T")

_MOST_RECIPIENTS = 100
_MOST_HEADERS = 20
_MOST_TEMPLATE_BYTES = 16_384
_LEAST_SECRET, _MOST_SECRET = 16, 256
_ADDRESS = re.compile(r"[^@\s,;<>\"()\[\]\\:\x00-\x1f\x7f]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_OWN_HEADERS = {
    "connection", "content-encoding", "content-length", "content-type", "expect", "host", "idempotency-key",
    "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "x-signature", "x-signature-timestamped",
    "x-timestamp",
}  # fmt: skip


class _Email(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    recipients: list[str]
    subject_template: Annotated[str, Meta(max_length=200)] | None = None


class _Webhook(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    url: Annotated[str, Meta(max_length=2_000)]
    secret: str | UnsetType | None = UNSET
    headers: Annotated[dict[str, str], Meta(max_length=_MOST_HEADERS)] = {}
    template: Any = None


class _Apprise(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    url: Annotated[str, Meta(max_length=2_000)] | None = None
    service: str | None = None
    """Shown, and sent back by those who read before they write."""


class Config(msgspec.Struct, frozen=True):
    """A configuration that was checked."""

    shown: dict[str, Any]
    secrets: Secrets
    made: str | None = None
    """A signing secret that was made just now."""


def read_config(ports: Ports, type_: ChannelType, given: Mapping[str, Any], known: Secrets) -> Config:
    """Check a configuration. What is sealed and not sent stays as it is `known`; what is hidden and comes back too.

    Raises `Invalid` that names the field.
    """
    match type_:
        case ChannelType.EMAIL:
            return _read_email(_convert(given, _Email))
        case ChannelType.WEBHOOK:
            return _read_webhook(ports, _convert(given, _Webhook), known, sends_secret="secret" in given)
        case ChannelType.APPRISE:
            return _read_apprise(ports, _convert(given, _Apprise), known)


_PATH = re.compile(r" - at `\$\.?(.*)`")
_FIELD = re.compile(r"(?:unknown|required) field `(.*)`")


def _convert(given: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        path, field = _PATH.search(str(error)), _FIELD.search(str(error))
        steps = path.group(1).replace("[...]", "").split(".") if path else []
        pointer = "/".join(["/config", *filter(None, [*steps, field.group(1) if field else ""])])
        code, detail = "invalid", _PATH.sub("", str(error))
        if field:
            unknown = "unknown" in field.group(0)
            code, detail = ("unknown-field", "is not a field we know") if unknown else ("required", "is required")
        raise Invalid.field(pointer, detail, code=code) from error


def check_recipients(recipients: Sequence[str], pointer: str) -> None:
    """Raises `Invalid` that names what is no mail address."""
    if not 1 <= len(recipients) <= _MOST_RECIPIENTS:
        raise Invalid.field(pointer, f"takes 1 to {_MOST_RECIPIENTS} mail addresses")
    for index, address in enumerate(recipients):
        if not _ADDRESS.fullmatch(address):
            raise Invalid.field(f"{pointer}/{index}", "is not a mail address")
    if len({address.lower() for address in recipients}) < len(recipients):
        raise Invalid.field(pointer, "names somebody twice")


def _read_email(config: _Email) -> Config:
    check_recipients(config.recipients, "/config/recipients")
    _check_template("/config/subjectTemplate", config.subject_template)
    shown: dict[str, Any] = {"recipients": config.recipients}
    return Config(_with(shown, subjectTemplate=config.subject_template), Secrets())


def _read_webhook(ports: Ports, config: _Webhook, known: Secrets, *, sends_secret: bool) -> Config:
    wrong = ports.outgoing.check_url(config.url)
    if wrong is not None:
        raise Invalid.field("/config/url", wrong)
    _check_template("/config/template", config.template)
    headers = _read_headers(config.headers, known.headers)
    secret = config.secret if sends_secret else known.secret
    made = None
    if not isinstance(secret, str):
        secret = made = "whsec_" + secrets.token_urlsafe(32)
    if not (_LEAST_SECRET <= len(secret) <= _MOST_SECRET and secret.isascii() and secret.isprintable()):
        detail = f"takes {_LEAST_SECRET} to {_MOST_SECRET} printable ASCII characters"
        raise Invalid.field("/config/secret", detail)
    shown = _with({"url": config.url}, headers=dict.fromkeys(headers, HIDDEN) or None, template=config.template)
    return Config(shown, Secrets(secret=secret, headers=headers), made)


def _read_headers(given: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    headers = {}
    for name, value in given.items():
        pointer = f"/config/headers/{name.replace('~', '~0').replace('/', '~1')}"
        if not _HEADER.fullmatch(name) or name.lower() in _OWN_HEADERS:
            raise Invalid.field(pointer, "is not a header that can be set here")
        if value == HIDDEN and name in known:
            value = known[name]  # noqa: PLW2901
        if not (1 <= len(value) <= 1_000 and value.isascii() and value.isprintable()) or value != value.strip():
            raise Invalid.field(pointer, "takes 1 to 1000 printable ASCII characters")
        headers[name] = value
    if len({name.lower() for name in headers}) < len(headers):
        raise Invalid.field("/config/headers", "has a header twice")
    return headers


def _read_apprise(ports: Ports, config: _Apprise, known: Secrets) -> Config:
    url = config.url if config.url is not None else known.url
    if url is None:
        raise Invalid.field("/config/url", "is required", code="required")
    try:
        service = ports.chat.find_service(url)
    except ValueError as error:
        raise Invalid.field("/config/url", str(error)) from error
    if config.service is not None and config.service != service:
        raise Invalid.field("/config/service", "follows from the URL and cannot be set")
    return Config({"service": service}, Secrets(url=url))


def _check_template(pointer: str, template: Any) -> None:
    content = msgspec.json.encode(template)
    if len(content) > _MOST_TEMPLATE_BYTES or b"\\u0000" in content:
        raise Invalid.field(pointer, f"takes at most {_MOST_TEMPLATE_BYTES} bytes, and no NUL")
    unknown = find_unknown(template)
    if unknown is not None:
        raise Invalid.field(pointer, f"there is nothing that {{{{{unknown}}}}} stands for")


def _with(shown: dict[str, Any], **more: Any) -> dict[str, Any]:
    return shown | {name: value for name, value in more.items() if value is not None}
