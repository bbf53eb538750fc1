"""How much of something may be had in a time."""

import time
from collections.abc import Callable


class Pace:
    """So much a second. A second's worth may be had at once; what is taken beyond that is owed."""

    def __init__(self, per_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`per_s` 0: as much as you like."""
        self._per_s = per_s
        self._clock = clock
        self._full_at = 0.0

    @property
    def owed_s(self) -> float:
        """How long it takes until nothing is owed any more; 0 when something may be taken."""
        return max(self._full_at - self._clock() - 1.0, 0.0)

    def take(self, amount: float) -> float:
        """Take it, whatever is owed already; how long to take nothing more."""
        if not self._per_s:
            return 0.0
        self._full_at = max(self._full_at, self._clock()) + amount / self._per_s
        return self.owed_s
