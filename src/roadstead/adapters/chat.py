"""Chat and SMS services, through apprise.

Apprise opens its connections by itself, so the guard cannot make them; it watches them instead. An audit hook sees each
address that a socket of these threads is connected to, after the name was looked up, and stops those that the guard
refuses. What it does not see are sockets that no Python code opens: only services that speak HTTP through `requests`
are offered, and the operator who adds others answers for them.
"""

import asyncio
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from email import charset
from typing import TYPE_CHECKING, Any

from roadstead.adapters.outgoing import Guard
from roadstead.core.messages import Severity
from roadstead.core.ports import Notice
from roadstead.kernel.errors import Forbidden, Unavailable

if TYPE_CHECKING:  # A process that speaks to no service does without its 40 MB.
    from apprise import NotifyBase

_TOTAL_S = 45.0
_CONNECT_S, _READ_S = 5.0, 10.0
_SHOWN_LETTERS = 300
_REFUSED_OPTIONS = {"template", "verify", "redirect", "retry", "wait", "optional", "cto", "rto", "format", "store"}
"""They read files here, switch checks off, or stretch time; what is sent is plain text."""


class _Watch:
    """What happens while a thread of ours sends."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.refusal: Forbidden | None = None
        self.warnings: list[str] = []


_watch: ContextVar[_Watch | None] = ContextVar("watch", default=None)


def _look_at_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    watch = _watch.get()
    if watch is None:
        return
    try:
        place = arguments[1]
        if not isinstance(place, tuple):
            raise Forbidden("sockets of this machine are not reached")
        watch.guard.check_address(str(place[0]))
    except Forbidden as error:
        watch.refusal = error
        raise


class _Listener(logging.Handler):
    """Keeps what apprise says about this thread's attempt. The platform's log gets none of it: URLs may be in it."""

    def emit(self, record: logging.LogRecord) -> None:
        watch = _watch.get()
        if watch is not None:
            watch.warnings.append(record.getMessage())


_prepared = False


def _prepare() -> None:
    """Once in a process, for an audit hook cannot be taken away."""
    global _prepared  # noqa: PLW0603
    if _prepared:
        return
    _prepared = True
    sys.addaudithook(_look_at_connection)
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logger.addHandler(_Listener())


class AppriseChat:
    """Sends through those services of apprise that the operator offers, named by the schemas of their URLs."""

    def __init__(self, guard: Guard, services: str, *, threads: int = 4) -> None:
        self._guard = guard
        self._services = {name.strip().lower() for name in services.split(",") if name.strip()}
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="chat")

    def find_service(self, url: str) -> str:
        """The schema that apprise knows the service by. Raises `ValueError` that says what is wrong with the URL."""
        return str(self._open(url).schema)

    async def send(self, url: str, notice: Notice) -> None:
        """Raises `Forbidden` when the guard does not let it pass, `Unavailable` when the service did not take it."""
        try:
            service = self._open(url)
        except ValueError as error:
            raise Forbidden(f"the URL {error}") from error
        watch = _Watch(self._guard)
        context = copy_context()
        context.run(_watch.set, watch)
        sending = asyncio.get_running_loop().run_in_executor(self._threads, context.run, _send, service, notice)
        try:
            async with asyncio.timeout(_TOTAL_S):
                sent = await sending
        except TimeoutError as error:
            raise Unavailable(f"no answer within {_TOTAL_S:g} s") from error
        if watch.refusal is not None:
            raise watch.refusal
        if not sent:
            said = " ".join(watch.warnings) or "the service did not take it"
            raise Unavailable(said[:_SHOWN_LETTERS])

    def _open(self, url: str) -> "NotifyBase":
        from apprise import Apprise, AppriseAsset, PersistentStoreMode
        from apprise.plugins import url_to_dict

        _prepare()
        parts = url_to_dict(url)  # type: ignore[no-untyped-call]
        # With its plugins apprise changes how this process encodes all mail; this is what Python begins with.
        charset.add_charset("utf-8", charset.SHORTEST, charset.BASE64, "utf-8")
        if not parts:
            raise ValueError("is none that a service is known for")
        if parts["schema"] not in self._services:
            offered = ", ".join(sorted(self._services))
            raise ValueError(f"is for a service that is not offered here; these are: {offered}")
        refused = sorted(_REFUSED_OPTIONS & set(parts.get("qsd", {})))
        if refused:
            raise ValueError(f"must not have the option {', '.join(refused)}")
        asset = AppriseAsset(
            app_id="Roadstead",
            app_desc="Roadstead",
            async_mode=False,
            allow_templates=False,
            http_redirects=False,
            secure_logging=True,
            storage_mode=PersistentStoreMode.MEMORY,
            service_timeout=_TOTAL_S,
        )
        try:
            service = Apprise.instantiate(parts, asset=asset, suppress_exceptions=False)
        except (TypeError, ValueError) as error:
            raise ValueError("lacks something that the service needs, or has it in another form") from error
        if service is None:
            raise ValueError("is for a service that cannot be used here")
        service.socket_connect_timeout, service.socket_read_timeout = _CONNECT_S, _READ_S
        return service


def _send(service: "NotifyBase", notice: Notice) -> bool:
    from apprise import Apprise, NotifyFormat, NotifyType

    kinds = {
        Severity.INFO: NotifyType.INFO,
        Severity.WARNING: NotifyType.WARNING,
        Severity.CRITICAL: NotifyType.FAILURE,
    }
    kind = NotifyType.SUCCESS if notice.good else kinds[notice.severity]
    sender = Apprise(asset=service.asset)
    sender.add(service)
    return bool(sender.notify(body=notice.text, title=notice.title, notify_type=kind, body_format=NotifyFormat.TEXT))
