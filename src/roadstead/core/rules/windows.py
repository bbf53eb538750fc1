"""Sliding windows of bounded size: what the readings of the last minutes or days boil down to."""

from bisect import bisect_right
from collections.abc import Callable
from enum import StrEnum
from math import fsum, sqrt
from typing import Any

PANES = 64
"""Into how many parts a window is cut. Readings of one part leave the window together, with the last of them."""


class WindowFunction(StrEnum):
    """What a window is boiled down to. STDDEV is that of a sample; DELTA the last value less the first."""

    AVG = "AVG"
    MIN = "MIN"
    MAX = "MAX"
    COUNT = "COUNT"
    SUM = "SUM"
    LAST = "LAST"
    STDDEV = "STDDEV"
    DELTA = "DELTA"
    RATE = "RATE"
    """DELTA by the time between the two, in units a millisecond."""


class Fold:
    """How one function boils readings down: first each part of a window, then the whole."""

    __slots__ = ("begin", "finish", "go_on", "least")

    def __init__(
        self,
        begin: Callable[[int, Any], Any],
        go_on: Callable[[Any, int, Any], Any],
        finish: Callable[[list[int], list[Any]], Any],
        least: int = 1,
    ) -> None:
        """`least`: how many readings it takes at any rate."""
        self.begin = begin
        self.go_on = go_on
        self.finish = finish
        self.least = least


def _deviate(part: tuple[int, float, float], _at: int, value: float) -> tuple[int, float, float]:
    count, mean, squares = part
    count += 1
    step = value - mean
    mean += step / count
    return count, mean, squares + step * (value - mean)


def _deviation(_counts: list[int], parts: list[tuple[int, float, float]]) -> float:
    # Chan, Golub and LeVeque: means and squared deviations of parts add up without loss.
    count, mean, squares = parts[0]
    for more, its_mean, its_squares in parts[1:]:
        step = its_mean - mean
        total = count + more
        squares += its_squares + step * step * count * more / total
        mean += step * more / total
        count = total
    return sqrt(squares / (count - 1))


def _rate(_counts: list[int], parts: list[tuple[int, float, int, float]]) -> float | None:
    first_at, first, _, _ = parts[0]
    _, _, last_at, last = parts[-1]
    return (last - first) / (last_at - first_at) if last_at > first_at else None


def _itself(_at: int, value: Any) -> Any:
    return value


def _number(_at: int, value: float) -> float:
    return float(value)


FOLDS = {
    WindowFunction.COUNT: Fold(lambda _, __: None, lambda _, __, ___: None, lambda counts, _: sum(counts), least=0),
    WindowFunction.SUM: Fold(_number, lambda part, _, value: part + value, lambda _, sums: fsum(sums)),
    WindowFunction.AVG: Fold(
        _number, lambda part, _, value: part + value, lambda counts, sums: fsum(sums) / sum(counts)
    ),
    WindowFunction.MIN: Fold(_itself, lambda part, _, value: min(part, value), lambda _, parts: min(parts)),
    WindowFunction.MAX: Fold(_itself, lambda part, _, value: max(part, value), lambda _, parts: max(parts)),
    WindowFunction.LAST: Fold(_itself, lambda _, __, value: value, lambda _, parts: parts[-1]),
    WindowFunction.DELTA: Fold(
        lambda _, value: (value, value),
        lambda part, _, value: (part[0], value),
        lambda _, ends: ends[-1][1] - ends[0][0],
        least=2,
    ),
    WindowFunction.RATE: Fold(
        lambda at, value: (at, value, at, value),
        lambda part, at, value: (part[0], part[1], at, value),
        _rate,
        least=2,
    ),
    WindowFunction.STDDEV: Fold(lambda _, value: (1, float(value), 0.0), _deviate, _deviation, least=2),
}


class Window:
    """The readings of the last `length_ms`, at most `PANES` + 1 parts of them. They come in order of their times."""

    __slots__ = ("_counts", "_ends", "_fold", "_length_ms", "_numbers", "_pane_ms", "_parts")

    def __init__(self, length_ms: int, fold: Fold, kept: list[list[Any]] | None = None) -> None:
        """`kept`: what `keep` gave."""
        self._length_ms = length_ms
        self._pane_ms = max(length_ms // PANES, 1)
        self._fold = fold
        numbers, ends, counts, parts = kept or ([], [], [], [])
        self._numbers: list[int] = numbers
        """Which stretch of time each part is."""
        self._ends: list[int] = ends
        """The time of its last reading."""
        self._counts: list[int] = counts
        self._parts: list[Any] = parts
        """What its readings boil down to."""

    def add(self, at: int, value: Any) -> None:
        """A reading that is newer than all before."""
        number = at // self._pane_ms
        if self._numbers and self._numbers[-1] == number:
            self._ends[-1] = at
            self._counts[-1] += 1
            self._parts[-1] = self._fold.go_on(self._parts[-1], at, value)
        else:
            self._numbers.append(number)
            self._ends.append(at)
            self._counts.append(1)
            self._parts.append(self._fold.begin(at, value))
            if len(self._numbers) > PANES + 1:
                self.trim(at)

    def trim(self, now: int) -> None:
        """Let go of what is as old as the window is long, or older."""
        gone = bisect_right(self._ends, now - self._length_ms)
        if gone:
            del self._numbers[:gone], self._ends[:gone], self._counts[:gone], self._parts[:gone]

    def result(self, least: int) -> Any:
        """What the readings boil down to; None when there are fewer than `least`, or than the function takes."""
        needed = max(least, self._fold.least)
        if needed and sum(self._counts) < needed:
            return None
        return self._fold.finish(self._counts, self._parts)

    def keep(self) -> list[list[Any]]:
        """All that it knows, as plain lists."""
        return [self._numbers, self._ends, self._counts, self._parts]
