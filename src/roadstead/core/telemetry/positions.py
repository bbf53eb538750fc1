"""Places on earth, from the ways in which devices spell them. Pure."""

import math
import re
from collections.abc import Sequence

_NUMBER = r"[+-]?\d{1,3}(?:\.\d{1,20})?"
_PAIR = re.compile(rf"\s*({_NUMBER})\s*,\s*({_NUMBER})\s*")
_ANGLE = (
    r"([NSEW]?)\s*([+-]?\d{1,3}(?:\.\d{1,20})?)\s*(?:°|º|d|deg|:|\s)\s*"
    r"(?:(\d{1,2}(?:\.\d{1,20})?)\s*(?:'|′|’|m|min|:|\s)?\s*)?"
    r"(?:(\d{1,2}(?:\.\d{1,20})?)\s*(?:\"|″|”|''|s|sec)?\s*)?"
    r"([NSEW]?)"
)
_ANGLES = re.compile(rf"\s*{_ANGLE}\s*[,;\s]\s*{_ANGLE}\s*", re.IGNORECASE)
_SENTENCE = re.compile(r"\s*\$(GP(?:GLL|GGA),[^*]{5,100})(?:\*([0-9A-Fa-f]{2}))?\s*")
_DEGREES_MINUTES = re.compile(r"(\d{1,3})(\d{2}(?:\.\d{1,20})?)")
_DIGITS = 7
"""Of a degree: about a centimetre."""


def read_place(text: str) -> str | None:
    """The place as `latitude,longitude` in degrees; None when it cannot be read, or says that there is none.

    Decimal degrees stay as they are spelled. Degrees, minutes and seconds may have hemispheres before or behind them;
    of NMEA 0183 the sentences `$GPGLL` and `$GPGGA` are known.
    """
    pair = _PAIR.fullmatch(text)
    if pair is not None:
        latitude, longitude = pair.groups()
        return f"{latitude},{longitude}" if _is_on_earth(float(latitude), float(longitude)) else None
    place = _read_sentence(text) if text.lstrip().startswith("$") else _read_angles(text)
    if place is None or not _is_on_earth(*place):
        return None
    return f"{_spell(place[0])},{_spell(place[1])}"


def _read_angles(text: str) -> tuple[float, float] | None:
    found = _ANGLES.fullmatch(text)
    if found is None:
        return None
    first, second = _read_angle(found.groups()[:5]), _read_angle(found.groups()[5:])
    if first is None or second is None:
        return None
    (latitude, one), (longitude, other) = first, second
    if one in ("E", "W") and other in ("N", "S"):
        return longitude, latitude
    if one in ("E", "W") or other in ("N", "S"):
        return None
    return latitude, longitude


def _read_angle(parts: Sequence[str | None]) -> tuple[float, str] | None:
    """The angle and its hemisphere; None for one that is none."""
    before, degrees, minutes, seconds, behind = (part or "" for part in parts)
    hemisphere = (before or behind).upper()
    if before and behind:
        return None
    fine = float(minutes or 0), float(seconds or 0)
    if max(fine) >= 60 or ("." in degrees and minutes):
        return None
    size = abs(float(degrees)) + fine[0] / 60 + fine[1] / 3600
    is_below = degrees.startswith("-")
    if is_below and hemisphere:
        return None
    return -size if is_below or hemisphere in ("S", "W") else size, hemisphere


def _read_sentence(text: str) -> tuple[float, float] | None:
    found = _SENTENCE.fullmatch(text)
    if found is None:
        return None
    body, checksum = found.groups()
    if checksum is not None and int(checksum, 16) != _checksum(body):
        return None
    kind, *fields = body.split(",")
    if kind == "GPGLL":
        if len(fields) > 5 and fields[5] == "V":
            return None  # the receiver says that it does not know
        place = fields[:4]
    else:
        if len(fields) > 5 and fields[5] == "0":
            return None
        place = fields[1:5]
    if len(place) < 4 or place[1] not in ("N", "S") or place[3] not in ("E", "W"):
        return None
    latitude, longitude = _read_nmea(place[0]), _read_nmea(place[2])
    if latitude is None or longitude is None:
        return None
    return -latitude if place[1] == "S" else latitude, -longitude if place[3] == "W" else longitude


def _read_nmea(text: str) -> float | None:
    """`ddmm.mmm` as degrees."""
    found = _DEGREES_MINUTES.fullmatch(text)
    if found is None or float(found[2]) >= 60:
        return None
    return int(found[1]) + float(found[2]) / 60


def _checksum(body: str) -> int:
    checksum = 0
    for letter in body:
        checksum ^= ord(letter)
    return checksum


def _is_on_earth(latitude: float, longitude: float) -> bool:
    return math.fabs(latitude) <= 90 and math.fabs(longitude) <= 180


def _spell(degrees: float) -> str:
    return f"{degrees:.{_DIGITS}f}".rstrip("0").rstrip(".")
