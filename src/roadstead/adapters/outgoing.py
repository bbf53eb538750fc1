"""Requests to servers of others, all through one guard: it looks at the address that is really connected to."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any
from urllib.parse import urlsplit

import certifi
import httpcore
import httpx

from roadstead.core.ports import Post, Reply
from roadstead.kernel.errors import Forbidden, Unavailable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a host name; raises `OSError` when there are none."""

_TOTAL_S = 10.0
_CONNECT_S = 5.0
_MOST_HOPS = 3
_MOST_HEADER_BYTES = 16_384
_BEGINNING_BYTES = 1_024
_SHOWN_LETTERS = 200
_REDIRECTS = {307, 308}
"""Those after which the body is sent again. After the others it would not be, so they are no success."""
_MORE_REDIRECTS = {301, 302, 303}
"""Those that change nothing about a request that has no body anyhow."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")


class Guard:
    """Which addresses may be connected to: those of the public internet, and what the operator allows besides."""

    def __init__(self, allowed: Iterable[Network] = (), *, plain_http: bool = False) -> None:
        self._allowed = tuple(allowed)
        self._schemes = ("https", "http") if plain_http else ("https",)

    def check_address(self, text: str) -> None:
        """Raises `Forbidden` for an address that is private, loopback, link-local, multicast or reserved."""
        try:
            address = _unwrap(ipaddress.ip_address(text))
        except ValueError as error:
            raise Forbidden(f"{text} is not an address") from error
        if any(address in network for network in self._allowed):
            return
        local = isinstance(address, IPv6Address) and address.is_site_local
        if local or not address.is_global or address.is_multicast or address.is_reserved:
            raise Forbidden(f"{address} is not on the public internet, and this platform does not allow to reach it")

    def check_url(self, url: str) -> str | None:
        """What is wrong with a URL, as far as it shows without asking anybody; None: nothing."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
            httpx.URL(url)
        except (ValueError, httpx.InvalidURL):
            return "is not a URL"
        if parts.scheme not in self._schemes:
            return f"must begin with {' or '.join(f'{scheme}://' for scheme in self._schemes)}"
        if not host or not url.isprintable() or " " in url:
            return "is not a URL with a host"
        if parts.username is not None or parts.password is not None:
            return "must not contain a user or password; use a header"
        return self._check_host(host)

    def _check_host(self, host: str) -> str | None:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return None  # A name is looked up when it is used: what it means may change.
        try:
            self.check_address(host)
        except Forbidden as error:
            return str(error)
        return None


def _unwrap(address: Address) -> Address:
    """The IPv4 address inside an IPv6 address that stands for one."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return address


async def resolve(host: str) -> Sequence[str]:
    """What the system's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Looks names up by itself and connects to the address that was checked, so nothing can change in between.

    TLS still asks for a certificate of the name: that is done with the URL, above this.
    """

    def __init__(self, guard: Guard, look_up: Resolve) -> None:
        self._guard = guard
        self._look_up = look_up
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        refusal: Exception | None = None
        for address in await self._addresses(host):
            try:
                self._guard.check_address(address)
                return await self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)
            except (Forbidden, httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refusal = refusal or error
        raise refusal or httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109  # the signature is httpcore's
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise Forbidden("sockets of this machine are not reached")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str) -> Sequence[str]:
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        try:
            return await self._look_up(host)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} is not known") from error


class _GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx over connections that the guard has let pass. Proxies of the environment are not used: they would look
    names up on their side."""

    def __init__(self, backend: _GuardedBackend, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        # httpx has no parameter for the network below it; its pool of connections has. Who calls says how many requests
        # are on their way at a time: a limit here would make one wait for another's dead server.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls, max_connections=None, max_keepalive_connections=0, network_backend=backend
        )


class GuardedClient:
    """Sends requests to servers of others: at most 10 s each, redirects included, and little of the answer is read."""

    def __init__(
        self, guard: Guard, *, look_up: Resolve = resolve, tls: ssl.SSLContext | None = None, total_s: float = _TOTAL_S
    ) -> None:
        self._guard = guard
        self._look_up = look_up
        self._tls = tls
        self._total_s = total_s

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        # Not before the first request: most processes never make one, and reading the authorities takes a while.
        backend = _GuardedBackend(self._guard, self._look_up)
        return httpx.AsyncClient(
            transport=_GuardedTransport(backend, self._tls or trusted_certificates()),
            timeout=httpx.Timeout(self._total_s, connect=_CONNECT_S),
            trust_env=False,
            headers={"User-Agent": "roadstead", "Accept-Encoding": "identity"},
        )

    def check_url(self, url: str) -> str | None:
        """What is wrong with a URL, as far as it shows without asking anybody; None: nothing."""
        return self._guard.check_url(url)

    async def post(self, post: Post) -> Reply:
        """Send it once, after 307 and 308 (a GET: after all redirects) to where they lead. Raises `Forbidden` when the
        guard does not let it pass, there or here, and `Unavailable` without an answer in time."""
        try:
            async with asyncio.timeout(self._total_s):
                return await self._follow(post)
        except TimeoutError as error:
            raise Unavailable(f"no answer within {self._total_s:g} s") from error
        except httpx.TimeoutException as error:
            raise Unavailable("no connection in time") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpcore.ConnectError, OSError) as error:
            raise Unavailable(f"no answer: {str(error) or type(error).__name__}"[:_SHOWN_LETTERS]) from error

    async def _follow(self, post: Post) -> Reply:
        url, headers = httpx.URL(post.url), post.headers
        redirects = _REDIRECTS | _MORE_REDIRECTS if post.method == "GET" else _REDIRECTS
        for _ in range(_MOST_HOPS + 1):
            wrong = self._guard.check_url(str(url))
            if wrong is not None:
                raise Forbidden(f"{url.copy_with(query=None)} {wrong}")
            async with self._client.stream(post.method, url, content=post.body, headers=headers) as response:
                place = response.headers.get("location")
                if response.status_code not in redirects or not place:
                    if post.most_bytes:
                        body = await _whole(response, post.most_bytes)
                        return Reply(response.status_code, _shown(body), body)
                    return Reply(response.status_code, await _beginning(response))
            target = url.join(place)
            if target.host != url.host:
                # What is meant for one server is not told to another; the body and its signature are what we say.
                headers = {name: value for name, value in headers.items() if name.lower() in _FOR_ANYONE}
            url = target
        raise Unavailable(f"more than {_MOST_HOPS} redirects")


_FOR_ANYONE = {"content-type", "idempotency-key", "x-signature", "x-timestamp", "x-signature-timestamped"}


async def _beginning(response: httpx.Response) -> str:
    read = b""
    async for chunk in response.aiter_raw():
        read += chunk
        if len(read) >= _BEGINNING_BYTES:
            break
    return _shown(read)


async def _whole(response: httpx.Response, most_bytes: int) -> bytes:
    read = b""
    async for chunk in response.aiter_raw():
        read += chunk
        if len(read) > most_bytes:
            raise Unavailable(f"the answer is longer than {most_bytes} bytes")
    return read


def _shown(read: bytes) -> str:
    return read[:_BEGINNING_BYTES].decode(errors="replace")[:_SHOWN_LETTERS]


def trusted_certificates() -> ssl.SSLContext:
    """Authorities of the system, for those of one's own, and of Mozilla, for machines without any."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context
