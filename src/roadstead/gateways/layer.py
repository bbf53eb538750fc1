"""A layer between a transport and a protocol: to the one below a protocol, to the one above a transport."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

ProtocolFactory = Callable[[], asyncio.Protocol]


class Layer(asyncio.Protocol, asyncio.Transport):
    """Passes everything on. A subclass translates bytes on their way up and down and says when the layer is `open`."""

    def __init__(self, factory: ProtocolFactory, *, handshake_s: float) -> None:
        """`handshake_s`: how long the handshake of this layer may take."""
        super().__init__()
        self._factory = factory
        self._handshake_s = handshake_s
        self._timer: asyncio.TimerHandle | None = None
        self._above: asyncio.BaseProtocol | None = None
        self._is_closing = False
        self._is_congested = False

    def open(self) -> None:
        """The handshake of this layer is done: the protocol above begins."""
        self.stop_timer()
        above = self._factory()
        self._above = above
        above.connection_made(self)
        if self._is_congested:
            above.pause_writing()

    def pass_up(self, data: bytes) -> None:
        """Hand bytes to the protocol above, unless it has closed."""
        if data and not self._is_closing and isinstance(self._above, asyncio.Protocol):
            self._above.data_received(data)

    def give_up(self) -> None:
        """The handshake took too long."""
        self.abort()

    def stop_timer(self) -> None:
        """The handshake has ended, one way or the other."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- a protocol, for the transport below --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an instance of it when it is uvloop's, though it does all that one does.
        self._below = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(self._handshake_s, self.give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_timer()
        self._is_closing = True
        if self._above is not None:
            self._above.connection_lost(exc)

    def eof_received(self) -> None:
        """The transport below closes itself."""

    def pause_writing(self) -> None:
        self._is_congested = True
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        self._is_congested = False
        if self._above is not None:
            self._above.resume_writing()

    # --- a transport, for the protocol above --------------------------------------------------------------------------

    def is_closing(self) -> bool:
        return self._is_closing or self._below.is_closing()

    def abort(self) -> None:
        self._is_closing = True
        self._below.abort()

    def pause_reading(self) -> None:
        if not self._below.is_closing():
            self._below.pause_reading()

    def resume_reading(self) -> None:
        if not self._below.is_closing():
            self._below.resume_reading()

    def is_reading(self) -> bool:
        return self._below.is_reading()

    def get_write_buffer_size(self) -> int:
        return self._below.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._below.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._below.set_write_buffer_limits(high, low)

    def can_write_eof(self) -> bool:
        return False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._above = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._above is not None
        return self._above

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._below.get_extra_info(name, default)
