"""What every row is handed."""

from pathlib import Path

import msgspec


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often to measure, and where."""

    directory: Path
    """On the disk that counts."""
    seconds: float = 10.0
    """Of one run."""
    runs: int = 3
    generators: int = 2
    """Processes of the load generator."""
    gateways: int = 1
    """Gateway processes of the platform."""
    size: float = 1.0
    """Share of the full numbers of devices and points, for a quick look."""

    @property
    def warm_up_s(self) -> float:
        """Before the first run counts."""
        return min(max(self.seconds / 3, 1.0), 5.0)

    def scaled(self, count: int) -> int:
        """A full number, made smaller."""
        return max(round(count * self.size), 1)
