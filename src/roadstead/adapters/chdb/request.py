"""A request to ClickHouse's HTTP interface, read: which statement, with which data, values and settings."""

import re
import sys
import zlib
from collections.abc import Callable, Mapping
from enum import Enum
from io import BytesIO
from urllib.parse import parse_qsl

import lz4.frame  # type: ignore[import-untyped]  # comes with clickhouse-connect, as zstd does
import msgspec
import multipart  # type: ignore[import-untyped]  # comes with litestar

from roadstead.adapters.clickhouse.transport import StatementFailed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_KEYWORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(\w*)", re.DOTALL)
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_INSERT = re.compile(
    rb"\s*(INSERT\s+INTO\s+(?:TABLE\s+)?[`\"\w.]+\s*(?:\([^()]*\))?)\s*FORMAT\s+(\w+)[ \t]*;?[ \t\r]*\n?", re.IGNORECASE
)
_SETTINGS = re.compile(r"\bsystem\s*\.\s*settings\b", re.IGNORECASE)
"""Clients look here for what they may set with a request; among the readers they would find `readonly` fixed."""

_READS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN"})

_OF_HTTP = frozenset({
    "query", "query_id", "default_format", "user", "password", "database", "buffer_size", "wait_end_of_query",
    "send_progress_in_http_headers", "http_headers_progress_interval_ms", "enable_http_compression",
    "client_protocol_version", "compress", "decompress", "quota_key", "session_timeout", "session_check",
    "session_id", "role", "cancel_http_readonly_queries_on_client_close",
})  # fmt: skip
"""Parameters that are about the exchange and not settings of the query. Answers are never compressed, come at once and
without progress; there are no sessions, so no temporary tables."""


class Kind(Enum):
    """What a statement does."""

    READ = 1
    INSERT = 2
    """Its data came with the request."""
    COMMAND = 3


class Request(msgspec.Struct, frozen=True):
    """One statement."""

    kind: Kind
    sql: str
    """Without FORMAT."""
    format: str
    data: bytes
    parameters: dict[str, str]
    settings: dict[str, str]


def read_request(url_query: bytes, headers: Mapping[bytes, bytes], body: bytes, *, most_bytes: int) -> Request:
    """Raises `StatementFailed` with ClickHouse's number for what is wrong."""
    url = dict(parse_qsl(url_query.decode("latin-1"), keep_blank_values=True))
    if url.get("database", "default") not in {"", "default"}:
        raise StatementFailed(81, f"Database {url['database']} does not exist")
    body = _unpack(body, headers.get(b"content-encoding", b"").decode("latin-1"), most_bytes)
    kind, options = multipart.parse_options_header(headers.get(b"content-type", b"").decode("latin-1"))
    if kind == "multipart/form-data":  # clients put values here that would make the URL too long
        url |= _read_form(body, options.get("boundary", ""))
        body = b""
    parameters = {name[6:]: value for name, value in url.items() if name.startswith("param_")}
    settings = {name: value for name, value in url.items() if not name.startswith("param_") and name not in _OF_HTTP}

    statement = url.get("query", "").encode()
    whole = statement + b"\n" + body if statement and body else statement or body
    readonly = settings.pop("readonly", "0") != "0"
    if match := _INSERT.match(whole):
        if readonly:
            raise StatementFailed(164, "Cannot execute query in readonly mode. (READONLY)")
        sql, format_ = match[1].decode(errors="replace"), match[2].decode()
        return Request(Kind.INSERT, sql, format_, whole[match.end() :], parameters, settings)
    try:
        text = whole.decode().rstrip().rstrip(";").rstrip()
    except UnicodeDecodeError as error:
        raise StatementFailed(62, "Syntax error: the statement is not UTF-8") from error
    if not text:
        raise StatementFailed(62, "Syntax error: Empty query")
    format_ = headers.get(b"x-clickhouse-format", b"").decode("latin-1") or url.get("default_format", "TabSeparated")
    if found := _FORMAT.search(text):
        text, format_ = text[: found.start()], found[1]
    keyword = _KEYWORD.match(text)
    # What asks to be read-only is carried out where nothing else is possible.
    is_read = readonly or (keyword is not None and keyword[1].upper() in _READS and not _SETTINGS.search(text))
    return Request(Kind.READ if is_read else Kind.COMMAND, text, format_, b"", parameters, settings)


def _read_form(body: bytes, boundary: str) -> dict[str, str]:
    try:
        return {part.name: part.value for part in multipart.MultipartParser(BytesIO(body), boundary, len(body))}
    except (multipart.MultipartError, ValueError) as error:
        raise StatementFailed(36, "the form in the body cannot be read") from error


def _unpack(body: bytes, encoding: str, most_bytes: int) -> bytes:
    if encoding in {"", "identity"}:
        return body
    unpack = _UNPACKERS.get(encoding)
    if unpack is None:
        raise StatementFailed(48, f"Content-Encoding {encoding} is not supported, only {', '.join(_UNPACKERS)}")
    try:
        unpacked = unpack(body, most_bytes + 1)
    except (zlib.error, zstd.ZstdError, RuntimeError, EOFError) as error:
        raise StatementFailed(354, f"the body is not {encoding}") from error
    if len(unpacked) > most_bytes:
        raise StatementFailed(307, f"the body has more than {most_bytes} bytes when it is unpacked")
    return unpacked


def _inflate(body: bytes, most: int) -> bytes:
    return zlib.decompressobj(wbits=47).decompress(body, most)  # gzip or zlib, whichever it is


def _unpack_lz4(body: bytes, most: int) -> bytes:
    unpacked: bytes = lz4.frame.LZ4FrameDecompressor().decompress(body, max_length=most)
    return unpacked


def _unpack_zstd(body: bytes, most: int) -> bytes:
    return zstd.ZstdDecompressor().decompress(body, most)


_UNPACKERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _inflate,
    "deflate": _inflate,
    "lz4": _unpack_lz4,
    "zstd": _unpack_zstd,
}
