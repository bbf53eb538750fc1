"""Several dialects on one port: each under a path of its own, and under the host names that its clients are used to."""

from collections.abc import Sequence

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from roadstead.web.edge import MOUNTED_AT

_CONNECTIONS = (ScopeType.HTTP, ScopeType.WEBSOCKET)


class Mount(msgspec.Struct, frozen=True):
    """One dialect and where it is found."""

    prefix: str
    """A path such as `/leapcraft`: what comes after it is the path as the original has it."""
    hosts: frozenset[str]
    """Host names, in lower case, under which paths are just as the original has them."""
    app: ASGIApp


def read_hosts(text: str) -> frozenset[str]:
    """Host names, by comma."""
    return frozenset(name.strip().lower() for name in text.split(",") if name.strip())


class Mounts:
    """Hands each connection to its dialect: by the host it asks for, else by its path, else to the native API."""

    def __init__(self, native: ASGIApp, mounts: Sequence[Mount]) -> None:
        self._native = native
        self._mounts = mounts
        self._by_host = {host: mount.app for mount in mounts for host in mount.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection of any kind."""
        if scope["type"] not in _CONNECTIONS:  # the start and end of the process, which only the native API minds
            await self._native(scope, receive, send)
            return
        app = self._by_host.get(_host_of(scope)) if self._by_host else None
        if app is not None:
            await app(scope, receive, send)
            return
        for mount in self._mounts:
            if scope["path"].startswith(mount.prefix + "/"):
                await mount.app(_below(mount.prefix, scope), receive, send)
                return
        await self._native(scope, receive, send)


def _host_of(scope: Scope) -> str:
    """The host that is asked for, without its port."""
    sent = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
    return sent if sent.endswith("]") else sent.rpartition(":")[0] or sent


def _below(prefix: str, scope: Scope) -> Scope:
    raw = scope.get("raw_path") or scope["path"].encode()
    place = {"path": scope["path"][len(prefix) :], "raw_path": raw[len(prefix) :], MOUNTED_AT: prefix}
    return {**scope, **place}  # type: ignore[return-value]
