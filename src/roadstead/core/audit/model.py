"""What an entry of the audit log is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One deed. Nobody can change or delete it."""

    id: UUID
    at: datetime
    actor_type: str
    actor_id: UUID
    actor_name: str
    action: str
    resource_type: str
    resource_id: str | None = None
    changes: list[dict[str, Any]] = []
    """`path` with `from` and `to`, where there were such; secrets are not shown."""
    request_id: str | None = None
    address: str | None = None
    client_id: str | None = None
    """The client of a realm through which a person came."""


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted: values of one field are or-ed, fields are and-ed."""

    actor_ids: Sequence[UUID] = ()
    actions: Sequence[str] = ()
    """Beginnings of actions: `device.` finds all that was done to devices."""
    resource_types: Sequence[str] = ()
    resource_ids: Sequence[str] = ()
    start: datetime | None = None
    """Inclusive."""
    end: datetime | None = None
    """Exclusive."""
