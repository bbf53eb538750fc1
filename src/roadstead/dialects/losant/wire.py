"""What devices of this dialect say about their state, in JSON (contract section 9). Pure: from bytes to values."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from roadstead.core.messages import Uplink
from roadstead.core.ports import Decoded, Glance, Refusal, RefusalReason, Reported
from roadstead.dialects.losant.times import read_time

DIALECT = "losant"
STATE = "state"
"""The channel: a state, or a list of states."""
OLDEST, AHEAD = timedelta(days=30), timedelta(days=1)
"""How old a state may be, and how far ahead of our clock."""

_MOST_META_BYTES = 10_240
_LONGEST_NAME = 255
_MEMBERS = frozenset({"meta", "flowVersion"})
_MS = timedelta(milliseconds=1)


class _Plain(msgspec.Struct, rename="camel", gc=False):
    """A state like nearly all are."""

    data: dict[str, float | int | bool | str]
    time: Any = None
    meta: Raw | UnsetType = UNSET
    flow_version: Raw | UnsetType = UNSET


class _State(msgspec.Struct, rename="camel", gc=False):
    """A state of which anything may be wrong but that it has data."""

    data: dict[str, Any]
    time: Any = None
    meta: Any = UNSET
    flow_version: Any = None


_plain = msgspec.json.Decoder(list[_Plain] | _Plain).decode
_state = msgspec.json.Decoder(_State).decode
_raw_items = msgspec.json.Decoder(list[Raw]).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


class LosantCodec:
    """The codec of this dialect."""

    is_lenient = True

    def __init__(self, *, oldest: timedelta = OLDEST, ahead: timedelta = AHEAD) -> None:
        """States that are older, or further ahead of the time of receipt, are dropped."""
        self._oldest_ms = oldest // _MS
        self._ahead_ms = ahead // _MS

    def glance(self, uplink: Uplink) -> Glance | None:
        """See `Codec.glance`."""
        if uplink.channel != STATE:
            return None
        try:
            said = _plain(uplink.payload)
        except _UNREADABLE:
            return None
        states = said if isinstance(said, list) else [said]
        names: list[str] = []
        times: list[int] = []
        values: list[Any] = []
        for state in states:
            at = read_time(state.time, uplink.received)
            if state.meta is not UNSET or state.flow_version is not UNSET or not self._is_timely(at, uplink):
                return None
            names += state.data
            times += [at] * len(state.data)
            values += state.data.values()
        if len(states) > 1 and len(set(zip(names, times, strict=True))) < len(names):
            return None  # said twice: the last one counts
        if not names:
            return None
        return tuple(names), times if len(set(times)) > 1 else times[0], tuple(values)

    def decode(self, uplink: Uplink) -> Decoded:
        """See `Codec.decode`."""
        if uplink.channel != STATE:
            return _refused(uplink, f"there is no channel {uplink.channel}")
        try:
            text = uplink.payload.lstrip()
            texts = [bytes(raw) for raw in _raw_items(text)] if text.startswith(b"[") else [text]
        except _UNREADABLE as error:
            return _refused(uplink, str(error))
        decoded = Decoded([], [], [])
        for index, item in enumerate(texts):
            self._take(uplink, index, item, decoded)
        return decoded

    def _take(self, uplink: Uplink, index: int, text: bytes, decoded: Decoded) -> None:
        try:
            state = _state(text)
        except _UNREADABLE as error:
            decoded.refused.append(_refuse(text, index, RefusalReason.MALFORMED, str(error)))
            return
        at = read_time(state.time, uplink.received)
        if not self._is_timely(at, uplink):
            detail = f"a state may be {self._oldest_ms} ms old, and {self._ahead_ms} ms ahead of its receipt"
            decoded.refused.append(_refuse(text, index, RefusalReason.BAD_TIMESTAMP, detail))
            return
        meta = spell_meta(state.meta, state.flow_version)
        if len(meta.encode()) > _MOST_META_BYTES:
            detail = f"meta may have {_MOST_META_BYTES} bytes: the values were taken without it"
            decoded.refused.append(_refuse(text, index, RefusalReason.TOO_LARGE, detail))
            meta = ""
        for name, value in state.data.items():
            if len(name) > _LONGEST_NAME:
                detail = f"a name may have {_LONGEST_NAME} characters: {name[:_LONGEST_NAME]}"
                decoded.refused.append(_refuse(text, index, RefusalReason.TOO_LARGE, detail))
            else:
                decoded.reported.append(Reported(name, at, value, meta))

    def _is_timely(self, at: int, uplink: Uplink) -> bool:
        return max(uplink.received - self._oldest_ms, 0) <= at <= uplink.received + self._ahead_ms


def spell_meta(meta: Any, flow_version: Any = None) -> str:
    """As metadata of readings, which is an object: `meta` itself if it is one, else what came by name.

    A flow version that cannot be one counts for nothing.
    """
    named = {} if meta is UNSET else {"meta": meta}
    if _is_version(flow_version):
        named["flowVersion"] = flow_version
    elif isinstance(meta, dict) and not _is_named(meta):
        named = meta
    return msgspec.json.encode(named).decode() if named or meta == {} else ""


def read_meta(metadata: dict[str, Any] | None) -> dict[str, Any]:
    """The members `meta` and `flowVersion` of a state, as far as it has them."""
    if metadata is None:
        return {}
    return metadata if _is_named(metadata) else {"meta": metadata}


def _is_named(metadata: dict[str, Any]) -> bool:
    """Whether its members are those of a state, and not those of something that was `meta` as a whole."""
    if not metadata or not metadata.keys() <= _MEMBERS:
        return False
    return "flowVersion" not in metadata or _is_version(metadata["flowVersion"])


def _is_version(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= _LONGEST_NAME


def split_states(states: Sequence[Any], most_bytes: int) -> list[bytes]:
    """Lists of states as JSON, of about so many bytes each; a state that has more is alone."""
    lists: list[list[bytes]] = [[]]
    size = 0
    for state in states:
        text = msgspec.json.encode(state)
        if size + len(text) > most_bytes and lists[-1]:
            lists.append([])
            size = 0
        lists[-1].append(text)
        size += len(text) + 1
    return [b"[" + b",".join(one) + b"]" for one in lists if one]


def _refused(uplink: Uplink, detail: str) -> Decoded:
    return Decoded([], [], [_refuse(uplink.payload, 0, RefusalReason.MALFORMED, detail)])


def _refuse(state: bytes, index: int, reason: RefusalReason, detail: str) -> Refusal:
    """A state that is dropped; alone it is a message as well."""
    return Refusal(reason, detail, state, index=index, whole=True)
