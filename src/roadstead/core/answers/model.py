"""What an answer is."""

from datetime import timedelta

import msgspec

KEPT = timedelta(hours=24)


class Answer(msgspec.Struct, frozen=True):
    """What was answered, byte for byte."""

    status: int
    headers: dict[str, str]
    body: bytes
