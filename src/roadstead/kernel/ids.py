"""Ids: 96 free bits (32-bit seconds, 64 random) in a UUIDv8, with pure functions for every other face.

Layout of the UUID, RFC 9562 section 5.8: seconds (32) | random (16) | version 8 (4) | random (12) | variant (2) |
zero (26) | random (36). The twelve bytes that are left when version, variant and zeros are dropped sort by time; the
telemetry store keys devices by them.
"""

import secrets
import time
from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", int)
"""Internal number of a tenant: what every row, message and point carries. Programs see the organization's UUID."""

UserId = NewType("UserId", UUID)
KeyId = NewType("KeyId", UUID)
DeviceId = NewType("DeviceId", UUID)
ComponentId = NewType("ComponentId", UUID)
SensorId = NewType("SensorId", UUID)
SpaceId = NewType("SpaceId", UUID)
SiteId = NewType("SiteId", UUID)
GroupId = NewType("GroupId", UUID)
ProfileId = NewType("ProfileId", UUID)
TypeId = NewType("TypeId", UUID)
UploadId = NewType("UploadId", UUID)
ExportId = NewType("ExportId", UUID)

_FIXED = (8 << 76) | (2 << 62)
_FIXED_MASK = (0xF << 76) | (0b11 << 62) | (((1 << 26) - 1) << 36)
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = {letter: digit for digit, letter in enumerate(_ALPHABET)}


def new_id() -> UUID:
    """A fresh id that sorts after those of earlier seconds."""
    return from_bytes(int(time.time()).to_bytes(4, "big") + secrets.token_bytes(8))


def from_bytes(raw: bytes) -> UUID:
    """The UUID whose free bits are these 12 bytes."""
    if len(raw) != 12:
        raise ValueError("an id has 12 free bytes")
    bits = int.from_bytes(raw, "big")
    high, middle, low = bits >> 48, (bits >> 36) & 0xFFF, bits & 0xFFFFFFFFF
    return UUID(int=(high << 80) | (middle << 64) | low | _FIXED)


def to_bytes(value: UUID) -> bytes:
    """The 12 free bytes of an id. Bits of a foreign UUID that are not ours are dropped: check with `is_ours` first."""
    bits = value.int
    return ((bits >> 80 << 48) | ((bits >> 64 & 0xFFF) << 36) | (bits & 0xFFFFFFFFF)).to_bytes(12, "big")


def is_ours(value: UUID) -> bool:
    """Whether this UUID can have been made here."""
    return value.int & _FIXED_MASK == _FIXED


def parse_uuid(text: str) -> UUID | None:
    """The id that this canonical UUID text names, or None when it cannot be one of ours."""
    if len(text) != 36:
        return None
    try:
        value = UUID(text)
    except ValueError:
        return None
    return value if is_ours(value) else None


def to_hex24(value: UUID) -> str:
    """24 lower-case hex digits (Losant's face)."""
    return to_bytes(value).hex()


def parse_hex24(text: str) -> UUID | None:
    """The id of 24 hex digits, or None."""
    if len(text) != 24:
        return None
    try:
        return from_bytes(bytes.fromhex(text))
    except ValueError:
        return None


def to_base62(value: UUID) -> str:
    """22 digits of Base62 of the whole UUID (Leverege's face)."""
    number, digits = value.int, []
    for _ in range(22):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def parse_base62(text: str) -> UUID | None:
    """The id of 22 Base62 digits, or None."""
    if len(text) != 22:
        return None
    number = 0
    for letter in text:
        digit = _DIGITS.get(letter)
        if digit is None:
            return None
        number = number * 62 + digit
    if number >> 128:
        return None
    value = UUID(int=number)
    return value if is_ours(value) else None
