"""An operation of the core: named, guarded by a grant, and never without an audit line when it changes something."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from roadstead.core.work import Work
from roadstead.kernel.actor import Actor, Grant
from roadstead.kernel.errors import Forbidden

P = ParamSpec("P")
T = TypeVar("T")
W = TypeVar("W")


class Operation(msgspec.Struct, frozen=True):
    """What is known of an operation without calling it."""

    name: str
    grant: Grant | None
    reason: str = ""
    """Why it needs no grant, when it needs none."""


OPERATIONS: dict[str, Operation] = {}
"""Every operation there is, by its full name `<room>.<function>`: golden files are made from this."""


def operation(
    grant: Grant, *, changes: bool | None = None
) -> Callable[[Callable[Concatenate[Work, P], Awaitable[T]]], Callable[Concatenate[Work, P], Awaitable[T]]]:
    """A front door that asks for a grant.

    Raises `Forbidden` without it. One that needs a writing grant and did not record what it changed leaves a plain
    audit line with its name. `changes` is False for one that only reads and asks for a writing grant all the same.
    """
    leaves_line = not grant.endswith(":read") if changes is None else changes

    def guard(
        function: Callable[Concatenate[Work, P], Awaitable[T]],
    ) -> Callable[Concatenate[Work, P], Awaitable[T]]:
        name = _register(function, grant)

        @wraps(function)
        async def guarded(work: Work, /, *args: P.args, **kwargs: P.kwargs) -> T:
            check_grant(work.actor, grant)
            lines = len(work.tx.audit)
            result = await function(work, *args, **kwargs)
            if leaves_line and len(work.tx.audit) == lines:
                work.record(name)
            return result

        return guarded

    return guard


def check_grant(actor: Actor, grant: Grant) -> None:
    """Raises `Forbidden` when the actor does not have it."""
    if grant not in actor.grants:
        raise Forbidden(f"this needs the right '{grant}'", code="scope-missing")


def unguarded(
    reason: str,
) -> Callable[[Callable[Concatenate[W, P], Awaitable[T]]], Callable[Concatenate[W, P], Awaitable[T]]]:
    """A front door that asks for no grant; `reason` says why it need not.

    For everyone who has signed in (`Work`, `Account`), for those who show a secret instead (`Entry`), or for rooms
    above that have asked already.
    """

    def mark(
        function: Callable[Concatenate[W, P], Awaitable[T]],
    ) -> Callable[Concatenate[W, P], Awaitable[T]]:
        _register(function, None, reason)
        return function

    return mark


def _register(function: Callable[..., object], grant: Grant | None, reason: str = "") -> str:
    room = function.__module__.removeprefix("roadstead.core.").partition(".")[0]
    name = f"{room}.{function.__name__}"
    OPERATIONS[name] = Operation(name, grant, reason)
    return name
