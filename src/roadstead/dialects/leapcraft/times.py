"""How this dialect spells instants; the two forms of the original must be kept apart (contract section 2)."""

from datetime import UTC, datetime


def spell_time(instant: datetime) -> str:
    """`2022-01-29T05:59:57.000Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def spell_plain_time(instant: datetime) -> str:
    """`2020-12-16 13:51:58`, UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
