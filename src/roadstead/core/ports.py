"""The four places where the platform can be plugged into something else, and the bundle an operation is handed."""

import re
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeAlias
from uuid import UUID

import msgspec

from roadstead.core.history import Cell, HistoryQuery
from roadstead.core.messages import Accepted, Reading, Severity, Uplink
from roadstead.core.points import (
    Bucket,
    Curve,
    Function,
    PointPosition,
    PointStatistics,
    RowColumn,
    Series,
    Span,
    StoredPoint,
    TimeAt,
)
from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.ids import ComponentId, DeviceId, TenantId
from roadstead.kernel.time import Duration

__all__ = [
    "BlobInfo",
    "Blobs",
    "Bucket",
    "Chat",
    "Codec",
    "Curve",
    "Decoded",
    "Document",
    "Function",
    "Glance",
    "Mail",
    "Mailer",
    "Notice",
    "Outgoing",
    "PasswordCost",
    "PointColumns",
    "PointPosition",
    "PointStatistics",
    "Ports",
    "Post",
    "Purpose",
    "Refusal",
    "RefusalReason",
    "Reply",
    "Reported",
    "RowColumn",
    "Series",
    "Span",
    "StoredPoint",
    "TelemetryStore",
    "TimeAt",
    "Vault",
    "check_blob_key",
]

# --- telemetry store -------------------------------------------------------------------------------------------------


class PointColumns(Protocol):
    """A batch of points in the making, column by column."""

    count: int

    def add(self, tenant: TenantId, device: bytes, received: int, readings: Sequence[Reading]) -> None:
        """Append readings of a device."""

    def add_message(self, message: Accepted) -> None:
        """Append the readings of a message."""


class TelemetryStore(Protocol):
    """Points by the billion. Every read names its tenant; without one there is no query."""

    def columns(self) -> PointColumns:
        """An empty batch."""

    async def insert(self, columns: PointColumns) -> None:
        """Store a batch, durably. A point that is there already is replaced; repeats do no harm."""

    async def points(
        self,
        tenant: TenantId,
        series: Sequence[Series],
        span: Span,
        *,
        limit: int,
        descending: bool = False,
        after: PointPosition | None = None,
    ) -> list[StoredPoint]:
        """Points of one device's series in order of time, then path."""

    async def device_points(
        self,
        tenant: TenantId,
        device: DeviceId,
        span: Span,
        *,
        prefix: str = "",
        limit: int,
        descending: bool = False,
        after: PointPosition | None = None,
    ) -> list[StoredPoint]:
        """Points of all paths of a device that begin with `prefix`; those with `$` only when the prefix has it."""

    def rows(
        self, tenant: TenantId, devices: Sequence[DeviceId], columns: Sequence[RowColumn], span: Span
    ) -> AsyncIterator[bytes]:
        """What these paths of these devices hold, as rows: one for each device and instant with a point.

        In pieces of some MB, each an Arrow IPC stream of `digits` (24 hex digits, the device), `at` (ms, UTC), one
        column for each of `columns` in its type, named by its position (`0`, `1`, ...), null where there is no point,
        and `metadata`: that of the row's points as a JSON object by `RowColumn.name`, null without any. In order of
        devices (of `digits`), then of time. However many there are, memory holds one piece.
        """

    async def latest(self, tenant: TenantId, series: Sequence[Series]) -> list[StoredPoint]:
        """The newest point of each series that has one."""

    async def buckets(
        self,
        tenant: TenantId,
        series: Sequence[Series],
        span: Span,
        *,
        interval: Duration | None,
        time_zone: str,
        functions: Sequence[Function],
    ) -> list[Bucket]:
        """Non-empty buckets in order of series and time; without an interval the span is one.

        Aligned to the epoch in UTC below a day; to local midnight, first of month or first of January of `time_zone`
        from a day up. A local day has 23 or 25 hours where the clock changes.
        """

    async def curves(
        self,
        tenant: TenantId,
        series: Sequence[Series],
        span: Span,
        *,
        step_ms: int | None,
        function: Function | TimeAt | None,
        newest: int | None = None,
        oldest: int | None = None,
        most: int,
    ) -> list[Curve]:
        """Those of many series that have points, each as one: for programs that draw many at a time.

        Without a function points are as they are, of each series the `newest` or `oldest` so many if that is said. With
        one there is a point for each bucket of `step_ms` with something in it, aligned to the epoch; without a step the
        span is one. `time_weighted_avg`, `duration_true`, `mode`, `rate`, `delta` and `p95` are no functions of this.
        Raises `TooLarge` for more than `most` points altogether.
        """

    async def thinned(self, tenant: TenantId, series: Series, span: Span, *, most: int) -> list[StoredPoint]:
        """At most so many points that keep the look of the curve (largest triangle three buckets)."""

    async def statistics(self, tenant: TenantId, series: Series, span: Span) -> PointStatistics:
        """One row about a span."""

    async def history(
        self, tenant: TenantId, devices: Sequence[DeviceId] | None, span: Span, query: HistoryQuery
    ) -> list[list[Cell]]:
        """Rows of these devices (None: of all of the tenant), a cell for each of the query's columns.

        In the order of the query, then of its groups, or of time and device.
        """

    async def count_history(
        self, tenant: TenantId, devices: Sequence[DeviceId] | None, span: Span, query: HistoryQuery
    ) -> int:
        """How many rows a history query has, all pages together."""

    async def count(self, tenant: TenantId, series: Series) -> int:
        """How many points a series has."""

    async def delete(self, tenant: TenantId, device: DeviceId, path: str | None, span: Span | None) -> int:
        """Delete the points of a range (of all paths without `path`, of all time without `span`); says how many went.

        They are gone for every later read.
        """

    async def delete_before(self, tenant: TenantId, before: datetime) -> None:
        """Delete what is older: the retention of a tenant."""

    async def ready(self) -> None:
        """Raises `Unavailable` when the store cannot be reached."""

    async def close(self) -> None:
        """Let go of connections."""


# --- device codecs ---------------------------------------------------------------------------------------------------


class RefusalReason(StrEnum):
    """Why a payload is in quarantine (native contract, `quarantine.list`)."""

    UNKNOWN_SENSOR = "UNKNOWN_SENSOR"
    MISSING_PROFILE = "MISSING_PROFILE"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    MISSING_FIELD = "MISSING_FIELD"
    ARRAY_SIZE = "ARRAY_SIZE"
    MALFORMED = "MALFORMED"
    TOO_LARGE = "TOO_LARGE"
    BAD_TIMESTAMP = "BAD_TIMESTAMP"
    FORBIDDEN_TOPIC = "FORBIDDEN_TOPIC"
    UNKNOWN_COMMAND = "UNKNOWN_COMMAND"
    LATE_ANSWER = "LATE_ANSWER"


class Refusal(msgspec.Struct, frozen=True):
    """One item that was not taken, with the reason and the item itself as JSON (or as text when it is none)."""

    reason: RefusalReason
    detail: str
    payload: bytes
    sensor_ref: str = ""
    index: int = 0
    """Which item of its message."""
    component: ComponentId | None = None
    """The component it was meant for, when that is known."""
    problems: tuple[FieldProblem, ...] = ()
    """What is wrong with single fields of a structured payload."""
    whole: bool = False
    """`payload` is the whole message as its dialect spells it; else it is one item as `ReadingInput` of the native
    contract spells it, whatever the dialect: so it can be shown, and read again."""
    device: bytes = b""
    """The 12 free bytes of the id of the device it is about, when that is not the one that sent the message."""


class Reported(msgspec.Struct, frozen=True, gc=False):
    """One value as a device spelled it: `ref` is not yet a path of ours."""

    ref: str
    at: int
    value: Any
    """Whatever JSON can hold."""
    meta: str = ""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What a device says about a whole section of its type: it is taken as a whole or not at all."""

    section: str
    """`attributes`, `configuration` or `events`."""
    value: Any
    """Whatever JSON can hold."""
    at: int
    event: str = ""
    """Which one, of `events`."""
    about: UUID | str | None = None
    """The device it is about, by its id or an alias, when that is not the one that sends it."""
    meta: str = ""
    """JSON object that goes with each value, or nothing."""
    replaces: bool = False
    """Values that these take the place of, and those of `removed`, are taken out of the state."""
    removed: tuple[tuple[str, ...], ...] = ()
    """The ways to what the device has no longer; what `value` says holds none the less."""


class Decoded(msgspec.Struct, frozen=True):
    """What a payload says."""

    reported: list[Reported] = []
    readings: list[Reading] = []
    """Values whose path is ours already (`$health/...`): stored as they are, without a sensor."""
    refused: list[Refusal] = []
    document: Document | None = None
    """Instead of all these, in dialects whose devices speak of sections."""


Glance: TypeAlias = tuple[tuple[str, ...], int | list[int], tuple[Any, ...]]
"""What a device calls its values, when all of them were measured (or when each was), and the values."""


class Codec(Protocol):
    """How one dialect's devices spell their messages. Pure: no database, no clock but the message's own."""

    @property
    def is_lenient(self) -> bool:
        """Whether what it reports names attributes, which are there already, and is fitted into their types.

        Then the codec decides itself which times may be; else they are as the native contract has them.
        """

    def glance(self, uplink: Uplink) -> Glance | None:
        """What `decode` would report, for a message of values without metadata of which nothing is refused.

        Nearly all messages are like that, and this is the quick way. None: ask `decode`.
        """

    def decode(self, uplink: Uplink) -> Decoded:
        """Never raises for what a device sent: what cannot be read is refused with a reason."""


# --- outgoing channels -----------------------------------------------------------------------------------------------


class Mail(msgspec.Struct, frozen=True):
    """A plain text mail."""

    to: str
    """One address, or several by comma."""
    subject: str
    text: str
    id: UUID | None = None
    """Names the mail, so that who gets it twice can tell."""


class Mailer(Protocol):
    """Gets mail out: through SMTP, or as files into a folder."""

    async def send(self, mail: Mail) -> Sequence[str]:
        """Raises `Unavailable` when nobody's copy could be handed over; sending again may repeat it.

        Says for whom it was not taken, when others have got it, each with the reason.
        """


class Post(msgspec.Struct, frozen=True):
    """Something to be sent to a server of somebody else."""

    url: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"
    most_bytes: int = 0
    """How long an answer may be that is wanted as a whole; 0: its beginning is enough."""


class Reply(msgspec.Struct, frozen=True):
    """What it answered."""

    status: int
    beginning: str
    """Of its body, as text."""
    body: bytes = b""
    """The whole, when it was asked for."""


class Outgoing(Protocol):
    """Requests to servers of others. All of them pass one guard."""

    def check_url(self, url: str) -> str | None:
        """What is wrong with a URL, as far as it shows without asking anybody; None: nothing."""

    async def post(self, post: Post) -> Reply:
        """Send it once. Raises `Forbidden` when the guard does not let it pass, `Unavailable` without an answer."""


class Notice(msgspec.Struct, frozen=True):
    """A message to people."""

    title: str
    text: str
    severity: Severity
    good: bool
    """It says that something is over."""


class Chat(Protocol):
    """Chat and SMS services, each by a URL that contains its tokens."""

    def find_service(self, url: str) -> str:
        """The name of the service that a URL is for. Raises `ValueError` that says what is wrong with the URL, and
        repeats nothing of it."""

    async def send(self, url: str, notice: Notice) -> None:
        """Raises `Forbidden` when the guard does not let it pass, `Unavailable` when the service did not take it."""


# --- blobs -----------------------------------------------------------------------------------------------------------


class BlobInfo(msgspec.Struct, frozen=True):
    """What is known of a file without reading it."""

    key: str
    size_bytes: int
    etag: str
    """Changes with the content; without quotes."""
    modified_at: datetime


class Blobs(Protocol):
    """Files by key: a folder, or a bucket of S3, Google or Azure.

    A key is `<organization>/<area>/<name>`: letters, digits, `.`, `_` and `-` between slashes, as
    `check_blob_key` says. Raises `Unavailable` when the store cannot be reached, or is full.
    """

    async def put(self, key: str, content: bytes | AsyncIterable[bytes]) -> BlobInfo:
        """Store, whole or not at all, replacing what was there; durable when it returns.

        Pieces are taken as fast as they can be written. What `content` raises ends the matter: nothing is stored.
        """

    async def head(self, key: str) -> BlobInfo:
        """What is known of it. Raises `NotFound` when there is none."""

    def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The content in pieces of a few MB, from byte `start` to before `end`.

        Raises `NotFound`, at the first piece, when there is none; and at a later one when it was deleted meanwhile.
        """

    async def delete(self, key: str) -> None:
        """Forget it; nothing happens when there is none."""

    def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """All whose key begins with the prefix, which is empty or ends in a slash; in no particular order."""

    async def ready(self) -> None:
        """Raises `Unavailable` when the store cannot be reached."""


_BLOB_KEY = re.compile(r"(?!\.)[\w.-]+(?:/(?!\.)[\w.-]+)+", re.ASCII)


def check_blob_key(key: str) -> None:
    """Raises ValueError when it cannot be the key of a file: whoever makes keys from input checks that input."""
    if len(key) > 500 or not _BLOB_KEY.fullmatch(key):
        raise ValueError(f"{key!r} cannot be the key of a file")


Purpose = Literal[
    "totp",
    "signing-key",
    "ca-key",
    "answer",
    "file-url",
    "channel",
    "realm-key",
    "stream-ticket",
    "api-access",
    "oidc-client",
    "oidc-verifier",
    "timer",
]
"""What a secret was sealed for; it opens for nothing else."""


class Vault(Protocol):
    """Keeps what must be read back, encrypted with the master key."""

    def seal(self, secret: bytes, purpose: Purpose) -> bytes:
        """Encrypted, with the id of the key that did it; only opens for the same purpose."""

    def open(self, sealed: bytes, purpose: Purpose) -> bytes:
        """The secret again."""


class PasswordCost(msgspec.Struct, frozen=True):
    """How hard argon2id makes it to guess a password; a hash of another cost is renewed at the next sign-in."""

    rounds: int = 2
    memory_kib: int = 19_456
    """With two rounds: what OWASP's password storage cheat sheet asks for."""


class Ports(msgspec.Struct, frozen=True):
    """What an operation has at hand beside its transaction."""

    telemetry: TelemetryStore
    blobs: Blobs
    vault: Vault
    public_url: str
    """Where programs and devices reach this platform, without a slash at the end."""
    mailer: Mailer
    outgoing: Outgoing
    chat: Chat
    password_cost: PasswordCost = PasswordCost()
