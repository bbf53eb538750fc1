"""What a generator process counts between two marks."""

import time

from bench.histogram import Histogram
from bench.load.plan import Tally


class Counter:
    """Numbers since the last tally."""

    def __init__(self) -> None:
        self.sent = 0
        self.done = 0
        self.failed = 0
        self.problem = ""
        self._latency = Histogram()
        self.add = self._latency.add
        """Counts a latency: microseconds, how many times."""
        self._since = time.perf_counter()
        self._cpu_since = time.process_time()

    def fail(self, problem: str, count: int = 1) -> None:
        """Something did not work."""
        self.failed += count
        self.problem = self.problem or problem

    def tally(self, acknowledged: list[int] | None = None) -> Tally:
        """Sum up and begin anew."""
        now, cpu = time.perf_counter(), time.process_time()
        tally = Tally(
            seconds=now - self._since,
            sent=self.sent,
            done=self.done,
            failed=self.failed,
            cpu_s=cpu - self._cpu_since,
            latency=self._latency.pairs(),
            longest=self._latency.longest,
            problem=self.problem,
            acknowledged=acknowledged or [],
        )
        self.sent = self.done = self.failed = 0
        self.problem = ""
        self._latency = Histogram()
        self.add = self._latency.add
        self._since, self._cpu_since = now, cpu
        return tally
