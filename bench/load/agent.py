"""One process of the load generator: takes a plan and orders on standard input, answers with tallies."""

import asyncio
import gc
import os
import sys
from typing import Protocol

import msgspec
import uvloop

from bench.load.commands import CommandLoad
from bench.load.connects import ConnectLoad
from bench.load.http import HttpLoad
from bench.load.live import LiveLoad
from bench.load.mqtt import MqttLoad
from bench.load.plan import (
    CommandPlan,
    ConnectPlan,
    HttpPlan,
    LivePlan,
    MqttPlan,
    Order,
    Plan,
    Tally,
    UplinkPlan,
    as_lines,
)
from bench.load.uplinks import UplinkLoad

_LONGEST_LINE = 1 << 28


class Load(Protocol):
    """A kind of load."""

    async def open(self) -> Tally:
        """Prepare everything that is not to be measured."""

    async def begin(self, at: float) -> Tally:
        """Load, until `stop`. `at`: from when on an open loop counts, by `time.perf_counter`."""

    async def mark(self) -> Tally:
        """What happened since the last mark."""

    async def stop(self) -> Tally:
        """Wait for what is under way, and end."""


def _load_of(plan: Plan) -> Load:
    match plan:
        case MqttPlan():
            return MqttLoad(plan)
        case ConnectPlan():
            return ConnectLoad(plan)
        case HttpPlan():
            return HttpLoad(plan)
        case LivePlan():
            return LiveLoad(plan)
        case CommandPlan():
            return CommandLoad(plan)
        case UplinkPlan():
            return UplinkLoad(plan)


async def run() -> None:
    """Until told to stop, or the pipe is closed."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print must not come between tallies
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    plan: Plan = msgspec.json.decode(await reader.readline(), type=Plan)
    load = _load_of(plan)
    _answer(answers, await load.open())
    gc.collect()
    gc.freeze()
    gc.disable()  # pauses of the generator must not look like those of the platform
    while line := await reader.readline():
        order = msgspec.json.decode(line, type=Order)
        match order.do:
            case "begin":
                _answer(answers, await load.begin(order.at))
            case "mark":
                _answer(answers, await load.mark())
            case "stop":
                _answer(answers, await load.stop())
                return


def _answer(descriptor: int, tally: Tally) -> None:
    data = as_lines(tally)
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    uvloop.run(run())
