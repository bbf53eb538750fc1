"""Which values of a device are over when it gets others: objects are merged, all else is replaced. Pure."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from roadstead.core.types import Section, Step, split_path

_Way = tuple[Step, ...]


def find_removed(removed: Iterable[Sequence[str]], said: Iterable[str], known: Sequence[str]) -> list[str]:
    """Those of the known paths whose values are over, in their order.

    They lie at or below a way that is removed; or at, above or below a value that is said; or they are members of what
    is a list now, items of what is an object now, or items that a shorter list has no longer.
    """
    gone = {tuple(way) for way in removed}
    values = {_split(path) for path in said}
    steps: dict[_Way, type] = {}
    """For all on the way to a value: whether it has members or items now."""
    for value in values:
        for depth, step in enumerate(value[1:], 1):
            steps[value[:depth]] = type(step)
    return [path for path in known if _is_over(_split(path), gone, values, steps)]


def _is_over(way: _Way, gone: set[tuple[str, ...]], values: set[_Way], steps: dict[_Way, type]) -> bool:
    """Values themselves are not: what is said holds."""
    if way in values:
        return False
    for depth in range(1, len(way) + 1):
        above = way[:depth]
        if above in gone or above in values:
            return True
        kind = steps.get(above)
        if kind is None:
            continue
        if depth == len(way) or kind is int or type(way[depth]) is not kind:
            return True
    return False


@lru_cache(maxsize=65_536)
def _split(path: str) -> _Way:
    section, steps = split_path(path)
    # No attribute begins with a number, so nothing that is said of attributes replaces configuration.
    return steps if section is Section.ATTRIBUTES else (0, *steps)
