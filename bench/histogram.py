"""A histogram of durations with buckets that grow with the value: 1.6 % wide, from a microsecond to hours."""

from array import array
from collections.abc import Sequence

_HALF = 64
_BUCKETS = 2_048


class Histogram:
    """Counts durations in microseconds. Adding costs the same whatever was added before."""

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * _BUCKETS))
        self.count = 0
        self.longest = 0
        """In microseconds."""

    def add(self, micros: int, count: int = 1) -> None:
        """Count one duration so many times."""
        shift = micros.bit_length() - 7
        self._counts[micros if shift <= 0 else shift * _HALF + (micros >> shift)] += count
        self.count += count
        self.longest = max(self.longest, micros)

    def merge(self, pairs: Sequence[tuple[int, int]], longest: int) -> None:
        """Add what another one has counted (its `pairs`)."""
        for bucket, count in pairs:
            self._counts[bucket] += count
            self.count += count
        self.longest = max(self.longest, longest)

    def pairs(self) -> list[tuple[int, int]]:
        """Buckets with something in them, and how much."""
        return [(bucket, count) for bucket, count in enumerate(self._counts) if count]

    def percentile(self, share: float) -> float:
        """The duration, in microseconds, that this share of all (0 to 1) does not exceed; 0 when there are none."""
        wanted, seen = share * self.count, 0
        for bucket, count in self.pairs():
            seen += count
            if seen >= wanted:
                return min(_upper_edge(bucket), self.longest)
        return 0.0


def _upper_edge(bucket: int) -> int:
    shift = max(bucket // _HALF - 1, 0)
    return ((bucket - shift * _HALF + 1) << shift) - 1
