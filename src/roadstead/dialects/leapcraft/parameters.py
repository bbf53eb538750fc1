"""Query parameters, read by hand: every mistake is a 400 that names it. Those of no meaning here are not looked at."""

from datetime import UTC, datetime

from roadstead.kernel.errors import Invalid
from roadstead.web.edge import AnyRequest

ALL = -1
"""The limit that means everything."""


def read_number(
    request: AnyRequest, name: str, default: int, *, least: int, most: int, everything: bool = False
) -> int:
    """A whole number from `least` to `most`; with `everything` also -1. Raises `Invalid`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    digits = text[1:] if text[:1] in "+-" else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < 12):
        raise _wrong(name, f"'{text[:40]}' is not a whole number")
    number = int(text)
    if everything and number == ALL:
        return ALL
    if not least <= number <= most:
        raise _wrong(name, f"must lie between {least} and {most}" + (", or be -1 for everything" if everything else ""))
    return number


def read_choice(request: AnyRequest, name: str, choices: dict[str, str]) -> str:
    """What the parameter stands for. Raises `Invalid` when it is missing or another."""
    text = request.query_params.get(name)
    if text is None:
        raise _wrong(name, "is required")
    if text not in choices:
        raise _wrong(name, f"'{text[:40]}' is none of {', '.join(choices)}")
    return choices[text]


def read_time(request: AnyRequest, name: str) -> datetime:
    """An instant, UTC when the text names no zone. Raises `Invalid` when it is missing or none."""
    text = request.query_params.get(name)
    if text is None:
        raise _wrong(name, "is required")
    try:
        # In a query, the plus of an offset arrives as a space when it was not escaped.
        instant = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
    except ValueError:
        raise _wrong(name, f"'{text[:40]}' is not a time") from None
    instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise _wrong(name, f"'{text[:40]}' is out of range") from None


def _wrong(name: str, detail: str) -> Invalid:
    return Invalid.field(name, detail, place="query")
