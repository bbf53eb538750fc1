"""What timers are, what they do, and what came of it."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.timers.schedules import Schedule
from roadstead.core.work import Change
from roadstead.db import holds_nul
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId, TenantId

MOST_TIMERS = 1_000
MOST_RUNNING = 200
"""Of one organization."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_MOST_BODY_BYTES = 65_536
_MOST_HEADERS = 20
_MOST_URL_LETTERS = 2_000
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_OWN_HEADERS = {
    "connection", "content-encoding", "content-length", "expect", "host", "idempotency-key", "keep-alive", "te",
    "trailer", "transfer-encoding", "upgrade",
}  # fmt: skip


class Query(msgspec.Struct, frozen=True, kw_only=True, tag="QUERY", tag_field="type"):
    """Ask a server of somebody else for something."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = {}
    body: Any = None
    """Text is sent as it is, everything else as JSON; None: nothing."""

    def check(self) -> None:
        """Raises `Invalid` with the member that is wrong; the URL is looked at elsewhere besides."""
        if self.method not in METHODS:
            raise Invalid.field("/action/method", f"is not one of {', '.join(METHODS)}")
        if len(self.url) > _MOST_URL_LETTERS:
            raise Invalid.field("/action/url", f"takes at most {_MOST_URL_LETTERS} letters")
        _check_headers(self.headers)
        if len(self.content()) > _MOST_BODY_BYTES:
            raise Invalid.field("/action/body", f"takes at most {_MOST_BODY_BYTES} bytes")

    def content(self) -> bytes:
        """The body as it is sent."""
        if self.body is None:
            return b""
        return self.body.encode() if isinstance(self.body, str) else msgspec.json.encode(self.body)


class Report(msgspec.Struct, frozen=True, kw_only=True, tag="REPORT", tag_field="type"):
    """Say something in the name of a device, as if it had said it."""

    topic: str
    """Where it is said, in the words of whoever made the timer."""
    device_id: DeviceId
    dialect: str
    channel: str
    message: dict[str, Any]
    """In the spelling of the dialect."""
    instant: str | None = None
    """The member of the message that says when it was said, in ms since 1970: the instant of the run is put there."""
    told: dict[str, Any]
    """The message as whoever made the timer has spelled it."""

    def check(self) -> None:
        """Raises `Invalid` for a message that is too large."""
        if len(msgspec.json.encode(self.message)) > _MOST_BODY_BYTES:
            raise Invalid.field("/action/message", f"takes at most {_MOST_BODY_BYTES} bytes")

    def spell(self, at_ms: int) -> bytes:
        """As it is said at an instant."""
        return msgspec.json.encode(self.message if self.instant is None else {**self.message, self.instant: at_ms})


Action = Query | Report


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """When something shall happen, and what came of it the last time. What it is lies sealed: `open_action`."""

    id: UUID
    name: str
    schedule: Schedule
    sealed: bytes
    notes: dict[str, Any] = {}
    """What only one dialect knows, under its name."""
    running: bool = False
    due_at: datetime | None = None
    """None when it is not running."""
    last_run_at: datetime | None = None
    last_status: int | None = None
    """What a server has answered."""
    last_answer: str | None = None
    """The beginning of what it said."""
    last_error: str | None = None
    """Why the last run failed; None when it went well."""
    created_at: datetime
    updated_at: datetime


class TimerDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A timer to be made."""

    name: str
    schedule: Schedule
    action: Action
    notes: dict[str, Any] = {}

    def check(self, now: datetime) -> None:
        """Raises `Invalid` with the member that is wrong."""
        if not 1 <= len(self.name) <= 255 or "\0" in self.name:
            raise Invalid.field("/name", "takes 1 to 255 characters, and no NUL")
        if holds_nul(self.notes):
            raise Invalid.field("/timer", "takes no NUL")
        self.schedule.check(now)
        self.action.check()


class TimerChange(Change, frozen=True, kw_only=True):
    """What shall be different about a timer."""

    name: str | UnsetType = UNSET
    schedule: Schedule | UnsetType = UNSET
    action: Action | UnsetType = UNSET
    notes: dict[str, Any] | UnsetType = UNSET


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A timer that is due, leased to whoever fires it."""

    tenant_id: TenantId
    organization_id: UUID
    id: UUID
    schedule: Schedule
    sealed: bytes
    due_at: datetime
    lease: UUID
    tries: int
    """For this instant, with this one."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run."""

    status: int | None = None
    answer: str | None = None
    error: str | None = None


def _check_headers(headers: Mapping[str, str]) -> None:
    if len(headers) > _MOST_HEADERS or len({name.lower() for name in headers}) < len(headers):
        raise Invalid.field("/action/header", f"takes at most {_MOST_HEADERS} headers, each once")
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in _OWN_HEADERS:
            raise Invalid.field(f"/action/header/{name}", "is not a header that can be set here")
        if not (len(value) <= 1_000 and value.isascii() and value.isprintable()) or value != value.strip():
            raise Invalid.field(f"/action/header/{name}", "takes at most 1000 printable ASCII characters")
