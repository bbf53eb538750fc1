"""`fields=`: answers with only what was asked for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from roadstead.kernel.errors import Invalid


def read_fields(text: str | None, shape: type[msgspec.Struct]) -> list[str] | None:
    """The names of a comma list; `Invalid` for one that the shape does not have. None: everything."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = shape.__struct_encode_fields__
    for name in names:
        if name not in known:
            raise Invalid.field("fields", f"'{name}' is not one of {', '.join(known)}", place="query")
    return names


def pick(shape: msgspec.Struct, names: Sequence[str]) -> dict[str, Any]:
    """Those fields of a shape that are wanted and there."""
    everything: dict[str, Any] = msgspec.to_builtins(shape, builtin_types=(datetime,))
    return {name: everything[name] for name in names if name in everything}
