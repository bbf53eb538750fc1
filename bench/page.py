"""The page with figures: `python -m bench.page FILE ...` spells lines that `--json` has written as Markdown.

Of a row that is in them several times the last one counts.
"""

import sys
from pathlib import Path

import msgspec

from bench.machine import Machine
from bench.result import Result
from bench.rows import ROWS

_HEAD = """# Measured

What `python -m bench` has found on one machine; `python -m bench.page` made this page of it. How to measure yours, and
what the rows mean: [performance](performance.md). Load generator and platform share the cores.
"""


class _Line(Result, frozen=True, kw_only=True):
    machine: Machine
    at: str


def spell(lines: list[_Line]) -> str:
    """The page."""
    days = sorted({line.at[:10] for line in lines})
    parts = [_HEAD, f"{', '.join(days)}: {lines[-1].machine.describe()}.\n"]
    parts += ["| row | figure | median (spread) | goal | met | share of the limit |", "|---|---|---|---|---|---|"]
    for line in lines:
        parts += ["| " + " | ".join(cell.replace("\n", "; ") for cell in cells) + " |" for cells in line.lines()]
        if line.costs:
            parts.append(f"| | cpu, µs a {line.cost_of} | {line.spell_costs()} | | | |")
        parts += [f"| | | *{note}* | | | |" for note in line.notes]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Read the files that are named, write to standard output."""
    decode = msgspec.json.Decoder(_Line).decode
    found = {line.row: line for file in sys.argv[1:] for line in map(decode, Path(file).read_text().splitlines())}
    print(spell([found[row] for row in ROWS if row in found]), end="")


if __name__ == "__main__":
    main()
