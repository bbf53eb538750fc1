"""What an operator may choose about this dialect."""

from typing import Literal

import msgspec


class Terms(msgspec.Struct, frozen=True):
    """Where the original is silent or contradicts itself."""

    averages_shape: Literal["array", "object"] = "array"
    """`array`: a list of buckets; `object`: the newest bucket alone (contract section 4, open question)."""
    things_path: str = "/v1/things"
    """The path of the list of things, which no source prints."""
