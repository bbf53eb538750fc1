"""Tables for people, JSON for programs."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

console = Console(highlight=False)

AsJson = Annotated[
    bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON instead of a table.")
]

_UNBOUNDED = 100_000
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{3})\d*)?Z")


def show_list(items: Iterable[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool, empty: str) -> None:
    """A row for every item; `columns` has a path such as `latest.value` for each title. JSON has everything.

    Nothing is folded or cut: what is in a table can be copied. `empty` is what is said when there is no item.
    """
    rows = list(items)
    if as_json:
        show_json(rows)
    elif not rows:
        say(empty)
    else:
        table = Table(*columns, box=None, header_style="bold", pad_edge=False)
        for row in rows:
            table.add_row(*(Text(spell(_look_up(row, path))) for path in columns.values()))
        show_table(table)


def show_one(item: Mapping[str, Any], *, as_json: bool) -> None:
    """Every field of one thing that has a value."""
    if as_json:
        show_json(item)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in item.items():
        if text := spell(value):
            table.add_row(name, Text(text))
    show_table(table)


def show_table(table: Table, *, folds: bool = False) -> None:
    """As wide as it is. `folds`: at a terminal its last column, which is prose, is folded into what room there is."""
    natural = Measurement.get(console, console.options.update(width=_UNBOUNDED), table).maximum
    folds = folds and console.is_terminal
    for column in table.columns[:-1] if folds else table.columns:
        column.no_wrap = True
    table.width = min(natural, console.width) if folds else natural
    console.print(table, crop=False)


def say(text: str | Text) -> None:
    """One line, as long as it is; a string may have markup."""
    console.print(text, soft_wrap=True)


def show_json(value: Any, *, lines: bool = False) -> None:
    """Plain JSON, never folded or coloured into something else. `lines`: one of many, on a line of its own, at once."""
    print(json.dumps(value, indent=None if lines else 2, ensure_ascii=False), flush=lines)


def spell(value: Any) -> str:
    """One value for people."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return spell_number(value)
        case str():
            return _INSTANT.sub(_shorten, value)
        case Mapping():
            return ", ".join(f"{key}={spell(item)}" for key, item in value.items())
        case list():
            return ", ".join(map(spell, value))
        case _:
            return str(value)


def spell_number(value: float) -> str:
    """What was measured, without the dust that binary arithmetic leaves (48.56249999999999)."""
    text = f"{value:.12g}"
    return text if "." in text or "e" in text or not value.is_integer() else f"{text}.0"


def _shorten(match: re.Match[str]) -> str:
    """Milliseconds, where there are some."""
    seconds, millis = match.groups()
    return f"{seconds}.{millis}Z" if millis and millis != "000" else f"{seconds}Z"


def _look_up(row: Mapping[str, Any], path: str) -> Any:
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
