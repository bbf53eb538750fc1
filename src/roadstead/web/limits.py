"""How much one caller may ask for: token buckets per key or person, per address for those we do not know.

Each API process counts for itself and forgets with its end: with four processes behind one address a caller may get up
to four times as much. That is meant to keep one caller from taking all, and is no quota to be billed.
"""

import asyncio
import ipaddress
import math
import time
from collections.abc import Callable

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from roadstead.kernel.errors import TooMany
from roadstead.web.addresses import Network, address_in

_MINUTE_S = 60.0
_MOST_CALLERS = 50_000
_SIGN_INS_AT_ONCE = 4


class Allowance(msgspec.Struct, frozen=True):
    """What a caller has left."""

    limit: int
    remaining: int
    reset_s: int
    """Until all of it is there again."""


class RateLimiter:
    """A bucket for each caller: holds what one may have within a window, a minute by default, and fills evenly."""

    def __init__(self, limit: int, *, window_s: float = _MINUTE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._window_s = window_s
        self._clock = clock
        # When each bucket will be full again: who is not in here, or whose time has passed, has a full one.
        self._full_at: dict[str, float] = {}

    def take(self, caller: str) -> Allowance | None:
        """One request; what is left afterwards, or None when there is no limit. Raises `TooMany` when nothing is."""
        if self._limit <= 0:
            return None
        now, cost = self._clock(), self._window_s / self._limit
        full_at = max(self._full_at.get(caller, now), now) + cost
        # A hair of tolerance: sums of fractions must not cost the last request of a bucket.
        late = full_at - now - self._window_s - 1e-6
        if late > 0:
            window = "a minute" if self._window_s == _MINUTE_S else f"in {self._window_s:g} seconds"
            raise TooMany(f"more than {self._limit} requests {window}", retry_after_s=math.ceil(late))
        self._full_at.pop(caller, None)
        self._full_at[caller] = full_at
        if len(self._full_at) > _MOST_CALLERS:
            self._forget(now)
        return self._left(full_at - now, cost)

    def peek(self, caller: str) -> Allowance | None:
        """What is left, without taking any of it."""
        if self._limit <= 0:
            return None
        now = self._clock()
        return self._left(max(0.0, self._full_at.get(caller, now) - now), self._window_s / self._limit)

    def _left(self, used_s: float, cost: float) -> Allowance:
        return Allowance(self._limit, int((self._window_s - used_s) / cost + 1e-6), math.ceil(used_s))

    def _forget(self, now: float) -> None:
        # Full buckets tell nothing. If that does not help, those go that were not asked of for the longest time.
        self._full_at = {caller: at for caller, at in self._full_at.items() if at > now}
        while len(self._full_at) > _MOST_CALLERS * 3 // 4:
            del self._full_at[next(iter(self._full_at))]


class Limits:
    """The limits of one API process. 0: no limit."""

    def __init__(self, *, requests_per_minute: int = 0, sign_ins_per_minute: int = 0) -> None:
        self.callers = RateLimiter(requests_per_minute)
        """By key or person."""
        self.strangers = RateLimiter(requests_per_minute)
        """By address: requests without a good credential."""
        self.sign_ins = RateLimiter(sign_ins_per_minute)
        """By address: requests that try a password or a token."""
        self.sign_in_places = asyncio.Semaphore(_SIGN_INS_AT_ONCE)
        """Hashing a password takes long; held before a database connection, so that sign-ins never take them all."""


def caller_at(address: str) -> str:
    """Who is counted for an address: itself, or for IPv6 the network of which one machine has all addresses."""
    try:
        place = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((place, 64), strict=False)) if place.version == 6 else address


def note_allowance(scope: Scope, allowance: Allowance | None) -> None:
    """Remember what is to be told in the headers of the answer."""
    scope.setdefault("state", {})["allowance"] = allowance


class RateLimitHeaders:
    """Tells every caller with every answer what they have left."""

    def __init__(self, app: ASGIApp, strangers: RateLimiter, trusted_proxies: tuple[Network, ...]) -> None:
        self._app = app
        self._strangers = strangers
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; other kinds of connection pass through."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return

        async def send_with_allowance(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_headers(self._allowance(scope))]
            await send(message)

        await self._app(scope, receive, send_with_allowance)

    def _allowance(self, scope: Scope) -> Allowance | None:
        state = scope.get("state", {})
        if "allowance" in state:
            noted: Allowance | None = state["allowance"]
            return noted
        # Nobody has counted it: no route was found.
        return self._strangers.peek(caller_at(address_in(scope, self._trusted_proxies)))


def _headers(allowance: Allowance | None) -> list[tuple[bytes, bytes]]:
    if allowance is None:
        return []
    return [
        (b"ratelimit-limit", b"%d" % allowance.limit),
        (b"ratelimit-remaining", b"%d" % allowance.remaining),
        (b"ratelimit-reset", b"%d" % allowance.reset_s),
    ]
