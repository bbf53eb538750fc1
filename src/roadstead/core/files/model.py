"""What a signed URL says, and how it is signed: pure functions of a secret."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec

from roadstead.kernel.ids import TenantId, UploadId

ALGORITHM = "RS1-HMAC-SHA256"
LONGEST_VALIDITY = timedelta(days=7)
DOWNLOAD, UPLOAD = "GET", "PUT"
_DATE = "%Y%m%dT%H%M%SZ"


class SignedUrl(msgspec.Struct, frozen=True, kw_only=True):
    """What a request for a signed URL says; nothing of it is believed before `check_signature`."""

    method: str
    """`GET` (which allows HEAD) or `PUT`."""
    bucket: str
    """The organization's id."""
    name: str
    """The file within it."""
    query: Mapping[str, str]

    @property
    def key_id(self) -> str:
        """Which key it says has signed it."""
        return self.query.get("X-Amz-Credential", "")

    @property
    def signed_at(self) -> datetime | None:
        """When it says it was signed."""
        try:
            return datetime.strptime(self.query.get("X-Amz-Date", ""), _DATE).replace(tzinfo=UTC)
        except ValueError:
            return None

    @property
    def validity(self) -> timedelta:
        """How long it says it is good for."""
        text = self.query.get("X-Amz-Expires", "")
        return timedelta(seconds=int(text)) if re.fullmatch(r"[0-9]{1,6}", text) else timedelta()

    def is_signed_with(self, secret: bytes) -> bool:
        """Whether all of it was signed with this secret."""
        return hmac.compare_digest(self._signature(secret), self.query.get("X-Amz-Signature", ""))

    def is_valid(self, at: datetime) -> bool:
        """Whether its time has not run out."""
        signed_at = self.signed_at
        return signed_at is not None and self.validity <= LONGEST_VALIDITY and at < signed_at + self.validity

    def _signature(self, secret: bytes) -> str:
        rest = sorted((name, value) for name, value in self.query.items() if name != "X-Amz-Signature")
        text = "\n".join([ALGORITHM, self.method, self.bucket, self.name, urlencode(rest, quote_via=quote)])
        return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()

    def spell(self, secret: bytes, base: str) -> str:
        """The signed URL below `base`."""
        query = urlencode({**self.query, "X-Amz-Signature": self._signature(secret)}, quote_via=quote)
        return f"{base}/storage/{self.bucket}/{self.name}?{query}"


def terms(key_id: UUID, at: datetime, valid_until: datetime, **more: str) -> dict[str, str]:
    """The query of a URL that is good from now on until then, at most for `LONGEST_VALIDITY`."""
    at = at.replace(microsecond=0)
    seconds = max(0, min((valid_until - at) // timedelta(seconds=1), LONGEST_VALIDITY // timedelta(seconds=1)))
    return {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": str(key_id),
        "X-Amz-Date": at.strftime(_DATE),
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


def disposition(filename: str) -> str:
    """A Content-Disposition that makes a browser save the file under this name, and never show it (RFC 6266)."""
    plain = re.sub(r"[^\w. -]", "_", filename, flags=re.ASCII) or "file"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file that somebody was asked to bring."""

    tenant_id: TenantId
    id: UploadId
    area: str
    content_type: str
    max_bytes: int
    wanted_sha256: bytes | None
    attempt: UUID | None
    size_bytes: int | None
    """None, as its checksum, until all of it is there."""
    sha256: bytes | None
    created_at: datetime
    due_at: datetime

    @property
    def name(self) -> str:
        """Of its file within the organization."""
        return f"{self.area}/{self.id}.{self.attempt}"


class UploadUrl(msgspec.Struct, frozen=True, kw_only=True):
    """How a file can be brought: PUT to the URL, with these headers."""

    url: str
    headers: dict[str, str]
    upload_id: UploadId
    expires_at: datetime


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was brought and now belongs to a room."""

    name: str
    size_bytes: int
    sha256: bytes
    content_type: str


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """A file that somebody may read."""

    key: str
    size_bytes: int
    etag: str
    modified_at: datetime
    content_type: str
    disposition: str


# --- jobs that make files --------------------------------------------------------------------------------------------


class JobClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A job that a worker has taken on."""

    tenant_id: TenantId
    organization_id: UUID
    id: UUID
    lease: UUID
    """Names the file of this try: each has its own, so a worker that comes too late spoils nothing."""
    tries: int
    """This one counted."""
    created_at: datetime


class DueJob(msgspec.Struct, frozen=True):
    """A job whose timer has run out."""

    tenant_id: TenantId
    organization_id: UUID
    id: UUID
    status: str


class CannotBeMade(Exception):
    """What was asked for cannot be made, however often it is tried. `str(error)` is for whoever asked."""
