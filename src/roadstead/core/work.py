"""Who asks, in which transaction, with what at hand."""

from datetime import datetime
from typing import Any

import msgspec

from roadstead.core.messages import Fact, encode_fact
from roadstead.core.ports import Ports
from roadstead.db import AuditLine, Tx
from roadstead.kernel import time
from roadstead.kernel.actor import Actor
from roadstead.kernel.errors import PreconditionFailed
from roadstead.kernel.ids import TenantId, UserId, new_id

HIDDEN = "(hidden)"
"""What the audit log shows instead of a secret."""


class Work(msgspec.Struct, frozen=True):
    """What every operation is handed. Nobody commits: the edge does, once."""

    actor: Actor
    tx: Tx
    ports: Ports

    @property
    def tenant_id(self) -> TenantId:
        """Whose rows this is about."""
        return self.actor.tenant_id

    def now(self) -> datetime:
        """This instant, UTC, to the millisecond."""
        return time.now()

    def emit(self, fact: Fact) -> None:
        """Tell the rooms above, once this has been committed."""
        self.tx.emit(self.tenant_id, self.now(), encode_fact(fact))

    def record(
        self,
        action: str,
        resource_id: object = None,
        *,
        before: msgspec.Struct | None = None,
        after: msgspec.Struct | None = None,
        hide: frozenset[str] = frozenset(),
    ) -> None:
        """Write an audit line with what changed between `before` and `after`, field by field.

        `action` is `<resource>.<verb>`, for instance `device.create`. The values of fields in `hide` are not shown.
        What somebody does with their own account while they are in no organization stands in no audit log.
        """
        if not self.tenant_id:
            return
        self.tx.audit.append(
            AuditLine(
                tenant_id=self.tenant_id,
                id=new_id(),
                at=time.exact_now(),
                actor_type=self.actor.kind,
                actor_id=self.actor.id,
                actor_name=self.actor.name,
                action=action,
                resource_type=action.partition(".")[0],
                resource_id=None if resource_id is None else str(resource_id),
                changes=_changes(before, after, hide),
                request_id=self.actor.request_id,
                address=self.actor.address,
                client_id=self.actor.client_id,
            )
        )


class Entry(msgspec.Struct, frozen=True):
    """Somebody at a door whom we do not know yet: signing in, redeeming a token, connecting a device.

    Its transaction sees all tenants, so an operation that takes an `Entry` looks up by secret and nothing else.
    """

    tx: Tx
    ports: Ports
    address: str
    request_id: str

    def as_actor(self, actor: Actor) -> Work:
        """The same transaction, now that we know who it is; from here on it names the actor's tenant."""
        self.tx.tenant = actor.tenant_id
        return Work(actor, self.tx, self.ports)


class Account(msgspec.Struct, frozen=True):
    """A person who has signed in, about what is theirs in every organization: profile, password, memberships.

    Its transaction sees all tenants, so an operation that takes an `Account` looks up by the person's id and nothing
    else.
    """

    actor: Actor
    tx: Tx
    ports: Ports

    @property
    def person_id(self) -> UserId:
        """Whose rows this is about."""
        return UserId(self.actor.id)

    def as_work(self) -> Work:
        """The same transaction, for what happens in the organization the person has signed in to."""
        return Work(self.actor, self.tx, self.ports)


_NOISE = frozenset({"tenant_id", "version", "updated_at"})


def _changes(before: msgspec.Struct | None, after: msgspec.Struct | None, hide: frozenset[str]) -> list[dict[str, Any]]:
    old: dict[str, Any] = {} if before is None else msgspec.to_builtins(before)
    new: dict[str, Any] = {} if after is None else msgspec.to_builtins(after)
    changes = []
    for name in {**old, **new}:
        if name in _NOISE or old.get(name) == new.get(name):
            continue
        line: dict[str, Any] = {"path": name}
        if old.get(name) is not None:
            line["from"] = HIDDEN if name in hide else old[name]
        if new.get(name) is not None:
            line["to"] = HIDDEN if name in hide else new[name]
        changes.append(line)
    return changes


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be different about something: every field is UNSET unless it was sent; absent is not null."""

    def sent(self) -> dict[str, Any]:
        """The fields that were sent, for `msgspec.structs.replace`."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not msgspec.UNSET}


def check_version(actual: int, expected: int | None) -> None:
    """Raises `PreconditionFailed` when the caller has seen another version. None: the caller does not mind."""
    if expected is not None and expected != actual:
        raise PreconditionFailed(f"it is at version {actual} by now, not {expected}")
