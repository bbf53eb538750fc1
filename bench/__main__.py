"""The command: `python -m bench` for the rows of the design, `python -m bench ROW ...` for some, `--all` for all."""

import logging
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import structlog
import uvloop
from cyclopts import App, Parameter

from bench.alternatives.servers import NotInstalled
from bench.context import Context
from bench.machine import look_at
from bench.result import Result, show
from bench.rows import DESIGNED, ROWS
from roadstead.kernel import time

_DIRECTORY = Path(tempfile.gettempdir())

app = App(name="bench", help="Measure the platform as it runs on this machine.")


@app.default
def main(
    *rows: str,
    list_: Annotated[bool, Parameter(name="--list", help="Only name the rows.")] = False,
    all_: Annotated[bool, Parameter(name="--all", help="All rows: about half an hour.")] = False,
    seconds: Annotated[float, Parameter(help="Length of one measured run.")] = 5,
    runs: Annotated[int, Parameter(help="How often each is measured; the median counts.")] = 3,
    generators: Annotated[int, Parameter(help="Processes of the load generator.")] = 2,
    gateways: Annotated[int, Parameter(help="Gateway processes of the platform.")] = 1,
    size: Annotated[float, Parameter(help="Share of the full numbers of devices and points, for a quick look.")] = 1,
    directory: Annotated[Path, Parameter(help="Where data goes: on the disk that counts.")] = _DIRECTORY,
    json: Annotated[
        Path | None, Parameter(help="Append one JSON line a row to this file instead of printing it.")
    ] = None,
) -> None:
    """Run the rows that are named, or those that the design has goals for."""
    if list_:
        for name, run in ROWS.items():
            print(f"{name:18} {(run.__doc__ or '').partition(chr(10))[0]}")
        return
    if unknown := [name for name in rows if name not in ROWS]:
        sys.exit(f"there is no row {unknown[0]}; there are {', '.join(ROWS)}")
    machine = look_at(directory)
    context = Context(
        directory=directory, seconds=seconds, runs=runs, generators=generators, gateways=gateways, size=size
    )
    _raise_file_limit()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is stopped
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    results: list[Result] = []
    for name in ROWS if all_ else rows or DESIGNED:
        print(f"{name} ...", file=sys.stderr)
        try:
            result = uvloop.run(ROWS[name](context))
        except NotInstalled as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        results.append(result)
        line = result.as_json(machine, time.spell_instant(time.now()))
        if json is None:
            print(line)
        else:
            with json.open("a") as file:
                file.write(line + "\n")
    show(results, machine)


def _raise_file_limit() -> None:
    """Ten thousand connections need as many files, on both sides; children inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


app()
