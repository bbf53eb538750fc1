"""Releases: semantic versions (semver.org 2.0.0), and how they sort."""

import re

from roadstead.kernel.errors import FieldProblem

_NUMBER = r"(?:0|[1-9]\d*)"
_IDENTIFIER = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_LONGEST = 64
"""As much as a device may report (contract operation `provision.exchange`)."""


def check_release(release: str, pointer: str) -> list[FieldProblem]:
    """What is wrong with a semantic version."""
    if len(release) > _LONGEST or not _SEMVER.fullmatch(release):
        detail = f"is not a semantic version of at most {_LONGEST} characters, for instance 1.4.2 or 2.0.0-rc.1"
        return [FieldProblem(pointer, "invalid", detail)]
    return []


def order_of(release: str) -> str | None:
    """A text that compares, byte by byte, as semantic versions do; None for what is none. Build metadata do not count.

    `1.9.0` is before `1.10.0`, and `2.0.0-rc.1` before `2.0.0`.
    """
    match = _SEMVER.fullmatch(release)
    if match is None or len(release) > _LONGEST:
        return None
    core = ".".join(_number(part) for part in match.groups()[:3])
    if match[4] is None:
        return f"{core}~"
    # A space comes before all that an identifier is made of, so fewer identifiers come before more.
    return f"{core}-" + " ".join(_identifier(part) for part in match[4].split("."))


def is_newer(release: str, than: str) -> bool:
    """Whether one semantic version comes after another; what is none is never newer."""
    one, other = order_of(release), order_of(than)
    return one is not None and other is not None and one > other


def _number(digits: str) -> str:
    # Its length first: no number of at most 64 digits needs padding then.
    return f"{len(digits):02d}{digits}"


def _identifier(text: str) -> str:
    return f"0{_number(text)}" if text.isdigit() else f"1{text}"
