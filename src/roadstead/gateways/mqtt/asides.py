"""Messages of a session that do not take the ordinary way to the log, and the order of all its PUBACKs."""

import struct
from collections import deque
from collections.abc import Callable

import msgspec


class _Aside(msgspec.Struct, eq=False):
    gap: int
    """So many ordinary PUBACKs are still to come between it and the one before it."""
    puback: bytes
    is_ready: bool


class Asides:
    """Keeps PUBACKs in the order of their messages [MQTT-4.6.0-2] when these are stored out of order.

    Ordinary messages are stored in order, so they are only counted. What is refused, and what goes to another stream,
    stands aside in its place among them; PUBACKs behind it wait. It is the `Waiter` of what goes to another stream.
    """

    def __init__(self, acknowledge: Callable[[bytes], None], fail: Callable[[list[int]], None]) -> None:
        """`acknowledge` is given PUBACKs to write; `fail` hears that messages were not stored."""
        self._acknowledge = acknowledge
        self._asides: deque[_Aside] = deque()
        self._unstored: deque[_Aside] = deque()
        self._held: list[int] = []
        """Ordinary PUBACKs that wait for one that stands aside."""
        self._gaps = 0
        self.failed = fail

    def __len__(self) -> int:
        return len(self._asides)

    @property
    def is_waiting(self) -> bool:
        """Whether some of these are on their way into the log."""
        return bool(self._unstored)

    def refuse(self, puback: bytes, *, behind: int) -> None:
        """A message that is not taken, behind so many ordinary ones that are not stored yet."""
        self._add(_Aside(behind, puback, True))

    def expect(self, puback: bytes, *, behind: int) -> None:
        """A message that has been added to another stream, behind so many ordinary ones that are not stored yet."""
        aside = _Aside(behind, puback, False)
        self._add(aside)
        self._unstored.append(aside)

    def _add(self, aside: _Aside) -> None:
        aside.gap += len(self._held) - self._gaps
        self._gaps += aside.gap
        self._asides.append(aside)

    def stored(self, tokens: list[int]) -> None:
        """The other stream has so many more messages, in their order."""
        for _ in tokens:
            self._unstored.popleft().is_ready = True
        self._acknowledge(self._release())

    def pass_by(self, tokens: list[int]) -> None:
        """Ordinary messages are stored: acknowledge those whose turn it is."""
        self._held += tokens
        self._acknowledge(self._release())

    def _release(self) -> bytes:
        parts = []
        while self._asides:
            aside = self._asides[0]
            ready = self._held[: aside.gap]
            del self._held[: aside.gap]
            parts.append(_spell(ready))
            aside.gap -= len(ready)
            self._gaps -= len(ready)
            if aside.gap or not aside.is_ready:
                return b"".join(parts)
            parts.append(self._asides.popleft().puback)
        parts.append(_spell(self._held))
        self._held.clear()
        return b"".join(parts)


def _spell(tokens: list[int]) -> bytes:
    return struct.pack(f">{len(tokens)}I", *tokens)
