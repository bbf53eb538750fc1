"""What each organization may have on its way into the log: so that the flood of one is not the others' drought.

Everything here happens once for each portion that is read from a socket, nothing for each message.
"""

import asyncio
from typing import Protocol

from roadstead.gateways.mqtt.door import Uplinks
from roadstead.gateways.mqtt.line import Pause
from roadstead.kernel.ids import TenantId
from roadstead.kernel.pace import Pace

_ROOM = 0.75
"""An organization that was stopped goes on when this share of its part is left."""
_AT_ONCE = 32
"""How many of its sessions go on at the same time: each may bring a whole portion before it can be stopped again."""

_HALVED_S = 10.0
"""What was sent counts half as much so many seconds later, and so on."""
_FADE_EVERY_S = 1.0


class Reader(Protocol):
    """A session, as its organization sees it."""

    def hold(self, held: bool, why: Pause) -> None:
        """Stop reading from the device, or go on."""


class Share:
    """The sessions of one organization in this process. Those that were read longest ago go on first."""

    def __init__(self, shares: "Shares", tenant: TenantId) -> None:
        self.tenant = tenant
        self.waiting_bytes = 0
        """What was read of its devices and is not on the log yet."""
        self.sent = 0.0
        """Bytes that were read of its devices lately."""
        self._shares = shares
        self._pace = Pace(shares.bytes_per_s)
        self._reading: dict[Reader, None] = {}
        self._stopped: dict[Reader, None] = {}
        """In the order in which they go on."""
        self._timer: asyncio.Handle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody needs it any more."""
        return not self._reading and not self._stopped and not self.waiting_bytes

    @property
    def is_modest(self) -> bool:
        """Whether it has sent less than half of an equal part lately: what is too much comes from others."""
        return self.sent * 2 * self._shares.senders <= self._shares.sent

    def enter(self, session: Reader) -> None:
        """A session begins; while others wait for their turn it waits behind them."""
        if self._stopped:
            self._stopped[session] = None
            session.hold(True, Pause.SHARE)
        else:
            self._reading[session] = None

    def leave(self, session: Reader) -> None:
        """It has ended."""
        self._reading.pop(session, None)
        self._stopped.pop(session, None)
        self._shares.tidy(self)

    def take(self, size: int) -> None:
        """So many bytes were read of one of its devices, and what is in them is on its way."""
        if not self.waiting_bytes:
            self._shares.busy += 1
        self.waiting_bytes += size
        self._shares.note(self, size)
        self._shares.uplinks.charge(self, size)
        owed_s = self._pace.take(size)
        if owed_s > 0 or self.waiting_bytes >= self._shares.limit:
            self._stop(owed_s)

    def settled(self, size: int) -> None:
        """The log has so many of its bytes, or never will."""
        self.waiting_bytes -= size
        if not self.waiting_bytes:
            self._shares.busy -= 1
            self._shares.tidy(self)
        if self._stopped and self._timer is None:
            self._go_on()

    def _stop(self, owed_s: float) -> None:
        for session in self._reading:
            session.hold(True, Pause.SHARE)
        self._stopped |= self._reading
        self._reading.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if owed_s > 0:
            self._timer = asyncio.get_running_loop().call_later(owed_s, self._go_on)

    def _go_on(self) -> None:
        """Some of its sessions, and in the next round of the loop the next ones, as long as there is room."""
        self._timer = None
        if self.waiting_bytes and self.waiting_bytes > self._shares.limit * _ROOM:
            return  # the next pack that is stored brings us back
        for session in list(self._stopped)[:_AT_ONCE]:
            del self._stopped[session]
            self._reading[session] = None
            session.hold(False, Pause.SHARE)
        if self._stopped:
            self._timer = asyncio.get_running_loop().call_soon(self._go_on)


class Shares:
    """All organizations with devices in this process."""

    def __init__(self, uplinks: Uplinks, *, bound_bytes: int, tenant_bytes: int, bytes_per_s: int) -> None:
        """`bound_bytes`: what may wait of all; `tenant_bytes`: of one that is not alone; `bytes_per_s` 0: any."""
        self.uplinks = uplinks
        self.bytes_per_s = bytes_per_s
        self.busy = 0
        """How many have something on its way."""
        self.sent = 0.0
        """Bytes that all have sent lately."""
        self.senders = 0
        """How many have sent something lately."""
        self._faded_at = 0.0
        self._bound = bound_bytes
        self._most = min(tenant_bytes, bound_bytes)
        self._shares: dict[TenantId, Share] = {}

    @property
    def limit(self) -> int:
        """What one may have on its way now: all there is when it is the only one, else its part."""
        if len(self._shares) <= 1:
            return self._bound
        return min(self._most, self._bound // max(self.busy, 1))

    def of(self, tenant: TenantId) -> Share:
        """The share of an organization."""
        share = self._shares.get(tenant)
        if share is None:
            share = self._shares[tenant] = Share(self, tenant)
        return share

    def note(self, share: Share, size: int) -> None:
        """An organization has sent so many bytes."""
        now = asyncio.get_running_loop().time()
        if now - self._faded_at >= _FADE_EVERY_S:
            self._fade(0.5 ** ((now - self._faded_at) / _HALVED_S))
            self._faded_at = now
        self.senders += not share.sent
        share.sent += size
        self.sent += size

    def tidy(self, share: Share) -> None:
        """Forget an organization that has nobody and nothing here."""
        if share.is_idle and self._shares.get(share.tenant) is share:
            del self._shares[share.tenant]
            self.senders -= share.sent > 0
            self.sent -= share.sent

    def _fade(self, factor: float) -> None:
        for share in self._shares.values():
            share.sent = share.sent * factor if share.sent * factor >= 1 else 0.0
        self.senders = sum(share.sent > 0 for share in self._shares.values())
        self.sent = sum(share.sent for share in self._shares.values())
