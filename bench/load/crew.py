"""Several generator processes as one."""

import asyncio
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Self

import msgspec

from bench.histogram import Histogram
from bench.load.plan import Order, Plan, Tally, as_lines

_LONGEST_LINE = 1 << 28
_LONGEST_S = 60.0


class LoadFailed(Exception):
    """The generator could not do what it was told to."""


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """The tallies of all processes as one."""

    seconds: float
    sent: int
    done: int
    failed: int
    cpu_s: float
    latency: Histogram
    problem: str
    acknowledged: list[int]
    """With `stop`: for each device in the order of the plans."""

    @property
    def rate(self) -> float:
        """What was done, a second."""
        return self.done / self.seconds if self.seconds else 0.0

    def plus(self, later: "Sum") -> "Sum":
        """With what happened directly after it."""
        latency = Histogram()
        for part in (self.latency, later.latency):
            latency.merge(part.pairs(), part.longest)
        return Sum(
            seconds=self.seconds + later.seconds,
            sent=self.sent + later.sent,
            done=self.done + later.done,
            failed=self.failed + later.failed,
            cpu_s=self.cpu_s + later.cpu_s,
            latency=latency,
            problem=self.problem or later.problem,
            acknowledged=later.acknowledged,
        )

    def latency_ms(self, share: float) -> float:
        """A percentile in milliseconds."""
        return self.latency.percentile(share) / 1000


class Crew:
    """`async with Crew(plans) as crew:` everybody is connected; then `begin`, `mark` as often as you like, `stop`."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._plans = plans
        self._processes: list[asyncio.subprocess.Process] = []
        self.opened = _sum([])
        """What opening took."""

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [process.pid for process in self._processes]

    async def __aenter__(self) -> Self:
        for plan in self._plans:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench.load.agent",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LONGEST_LINE,
            )  # fmt: skip
            self._processes.append(process)
            assert process.stdin is not None
            process.stdin.write(as_lines(plan))
        self.opened = await self._gather()
        if self.opened.failed:
            raise LoadFailed(f"{self.opened.failed} connections could not be made: {self.opened.problem}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            if process.returncode is None and kind is not None:
                process.kill()
            if process.stdin is not None:
                process.stdin.close()
        await asyncio.gather(*(process.wait() for process in self._processes))

    async def begin(self, at: float | None = None) -> float:
        """Load. Answers from when on open loops count, by `time.perf_counter`: now, or what is given."""
        at = time.perf_counter() if at is None else at
        await self._order("begin", at)
        return at

    async def mark(self) -> Sum:
        """What happened since the last mark."""
        return await self._order("mark")

    async def measure(self, seconds: float, *, least: int = 0) -> Sum:
        """What happens in the next so many seconds; in more of them, until at least so much was done."""
        await self.mark()
        await asyncio.sleep(seconds)
        measured = await self.mark()
        until = time.perf_counter() + _LONGEST_S
        while measured.done < least and time.perf_counter() < until:
            await asyncio.sleep(seconds)
            measured = measured.plus(await self.mark())
        return measured

    async def stop(self) -> Sum:
        """What happened since the last mark, when all that was under way is answered or given up."""
        return await self._order("stop")

    async def _order(self, what: Literal["begin", "mark", "stop"], at: float = 0.0) -> Sum:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(as_lines(Order(what, at)))
        return await self._gather()

    async def _gather(self) -> Sum:
        return _sum(await asyncio.gather(*(_read(process) for process in self._processes)))


async def _read(process: asyncio.subprocess.Process) -> Tally:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise LoadFailed(f"a generator process ended with code {await process.wait()}")
    return msgspec.json.decode(line, type=Tally)


def _sum(tallies: Sequence[Tally]) -> Sum:
    latency = Histogram()
    for tally in tallies:
        latency.merge(tally.latency, tally.longest)
    return Sum(
        seconds=max((tally.seconds for tally in tallies), default=0.0),
        sent=sum(tally.sent for tally in tallies),
        done=sum(tally.done for tally in tallies),
        failed=sum(tally.failed for tally in tallies),
        cpu_s=sum(tally.cpu_s for tally in tallies),
        latency=latency,
        problem=next((tally.problem for tally in tallies if tally.problem), ""),
        acknowledged=[count for tally in tallies for count in tally.acknowledged],
    )
