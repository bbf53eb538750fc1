"""Where a request becomes work, in every dialect: one transaction, committed before the reply leaves."""

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import msgspec
from litestar import Request
from litestar.types import Scope

from roadstead.core.commands import CommandNews
from roadstead.core.free_topics import FreeTopics
from roadstead.core.messages import Uplink
from roadstead.core.ports import Ports
from roadstead.core.streams import Live
from roadstead.core.telemetry import Intake, Stage
from roadstead.core.work import Account, Entry, Work
from roadstead.db import Database
from roadstead.kernel.actor import Actor, ActorKind
from roadstead.kernel.checks import Check
from roadstead.kernel.errors import Forbidden, TooMany, Unauthenticated
from roadstead.web.addresses import Network, address_in
from roadstead.web.limits import Limits, RateLimiter, caller_at, note_allowance
from roadstead.web.metrics import HttpMetrics
from roadstead.web.vigil import Vigil

AnyRequest = Request[Any, Any, Any]
BeginWork = Callable[[], AbstractAsyncContextManager[Work]]


MOUNTED_AT = "roadstead.mounted_at"
"""In the scope of a request, the prefix under which its dialect was found. Not `root_path`: Litestar would cut that out
of the path once more, wherever it stands in it."""


class Uplinks(Protocol):
    """The way into the log of device messages."""

    async def put(self, *items: Uplink) -> int:
        """Returns when all are on the log: the sequence by which they are. Raises `Unavailable` when some may not be
        there."""


class Passage(Protocol):
    """How far what is on the log of device messages has come."""

    async def wait(self, sequence: int, stages: Collection[Stage], timeout_s: float) -> Sequence[Stage]:
        """Until everything up to a sequence has passed these stages; those that it has not passed in time."""


class Edge(msgspec.Struct, frozen=True):
    """What the routes need from the composition root."""

    tenant_database: Database
    system_database: Database
    ports: Ports
    intake: Intake
    uplinks: Uplinks
    live: Live
    metrics: HttpMetrics
    checks: Mapping[str, Check]
    """What has to be there for this process to be of use, by name."""
    passage: Passage
    free_topics: FreeTopics
    mqtt_host: str = ""
    """Where devices are told to connect; empty: the host of the public URL."""
    mqtt_port: int = 8883
    """Its port of MQTT over TLS."""
    trusted_proxies: tuple[Network, ...] = ()
    """Whose X-Forwarded-For is believed."""
    limits: Limits = msgspec.field(default_factory=Limits)
    vigil: Vigil = msgspec.field(default_factory=Vigil)
    command_news: CommandNews = msgspec.field(default_factory=CommandNews)
    """For those who wait for a command to end."""
    max_body_bytes: int = 10_485_760
    """Larger request bodies are refused; device data has limits of its own."""
    expose_docs: bool = True
    """Serve the OpenAPI document and the reference page."""


async def provide_work(request: AnyRequest) -> AsyncIterator[Work]:
    """The caller's work, in a transaction of the caller's tenant. Commits when the route returns, before the reply."""
    edge: Edge = request.app.state.edge
    actor: Actor = request.scope["auth"]
    async with hold(request) as held:
        tx = await held.enter_async_context(edge.tenant_database.tx(actor.tenant_id))
        yield Work(actor, tx, edge.ports)


def provide_begin(request: AnyRequest) -> BeginWork:
    """For routes that wait for something: each call begins work in a short transaction, so none is held meanwhile."""
    edge: Edge = request.app.state.edge
    actor: Actor = request.scope["auth"]

    @asynccontextmanager
    async def begin() -> AsyncIterator[Work]:
        async with edge.tenant_database.tx(actor.tenant_id) as tx:
            yield Work(actor, tx, edge.ports)

    return begin


async def provide_account(request: AnyRequest) -> AsyncIterator[Account]:
    """What is the caller's own in every organization, for people only. Commits like `provide_work`."""
    edge: Edge = request.app.state.edge
    actor: Actor = request.scope["auth"]
    if actor.kind is not ActorKind.USER:
        raise Forbidden("this is for people who have signed in, not for keys")
    async with hold(request) as held:
        tx = await held.enter_async_context(edge.system_database.tx(actor.tenant_id))
        yield Account(actor, tx, edge.ports)


async def provide_entry(request: AnyRequest) -> AsyncIterator[Entry]:
    """A transaction for somebody we do not know yet: signing in, redeeming a token."""
    edge: Edge = request.app.state.edge
    async with hold(request) as held:
        tx = await held.enter_async_context(edge.system_database.tx())
        yield Entry(tx, edge.ports, address=address_of(request), request_id=request_id_of(request))


async def provide_sign_in(request: AnyRequest) -> AsyncIterator[Entry]:
    """`provide_entry` for routes that hash a password: few at a time, the others wait without a connection."""
    edge: Edge = request.app.state.edge
    async with hold(request) as held:
        await held.enter_async_context(edge.limits.sign_in_places)
        tx = await held.enter_async_context(edge.system_database.tx())
        yield Entry(tx, edge.ports, address=address_of(request), request_id=request_id_of(request))


def hold(request: AnyRequest) -> AsyncExitStack:
    """Where a dependency keeps what it has to give back.

    Litestar closes what dependencies have opened after the route, but not when another dependency fails before it: then
    `let_go` does, or a database connection would be lost with every bad parameter.
    """
    held = AsyncExitStack()
    request.scope.setdefault("state", {}).setdefault("held", []).append(held)
    return held


async def let_go(scope: Scope) -> None:
    """Give back what is still held at the end of a request; nothing of it is committed."""
    for held in scope.get("state", {}).pop("held", ()):
        failure = RuntimeError("the request ended before its route began")
        with contextlib.suppress(RuntimeError):
            await held.__aexit__(type(failure), failure, None)


def admit_stranger(request: AnyRequest, limiter: RateLimiter) -> None:
    """Count a request for its address. Raises `TooMany`."""
    charge(request, limiter, caller_at(address_of(request)))


def charge(request: AnyRequest, limiter: RateLimiter, caller: str) -> None:
    """Count a request for its caller. Raises `TooMany`."""
    try:
        note_allowance(request.scope, limiter.take(caller))
    except TooMany:
        note_allowance(request.scope, limiter.peek(caller))
        raise


def credential_of(request: AnyRequest) -> str | None:
    """The credential that was sent, or None. Raises `Unauthenticated` for a scheme that is not ours."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, credential = header.partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise Unauthenticated("send 'Authorization: Bearer' with an API key (sk_...) or a session token")
    return credential.strip()


def certificate_of(request: AnyRequest) -> bytes | None:
    """The client certificate (DER) of the TLS connection; the handshake proved its key, and nothing else."""
    certificate = (request.scope.get("extensions") or {}).get("tls", {}).get("client_cert_der")
    return certificate if isinstance(certificate, bytes) else None


def address_of(request: AnyRequest) -> str:
    """Where the caller is; nothing when the connection does not say."""
    edge: Edge = request.app.state.edge
    return address_in(request.scope, edge.trusted_proxies)


def request_id_of(request: AnyRequest) -> str:
    """The id that the answer, the log and the audit line share."""
    return str(request.scope.get("state", {}).get("request_id", ""))
