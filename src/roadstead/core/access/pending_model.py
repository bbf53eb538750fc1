"""What waits for somebody who has never signed in."""

from uuid import UUID

import msgspec

from roadstead.core.access.model import ResourceType
from roadstead.kernel.errors import Invalid

ADMIN = "admin"
_MOST_LETTERS = 254


class PendingRole(msgspec.Struct, frozen=True, kw_only=True):
    """A role on something for whom a provider calls by a name."""

    issuer: str
    """The URL of the provider, or its id, alias or name in the project."""
    email_or_name: str
    perm: str
    """`role`, or `admin` for the role of this name."""
    perm_value: str
    """The name of the role."""
    context_type: ResourceType
    context_id: UUID

    @property
    def role_name(self) -> str:
        """The role that they will get."""
        return ADMIN if self.perm == ADMIN else self.perm_value

    def check(self) -> None:
        """Raises `Invalid` for a value that is not allowed."""
        if self.perm not in ("role", ADMIN):
            raise Invalid.field("/perm", "is role or admin")
        told = {"issuer": self.issuer, "emailOrName": self.email_or_name, "permValue": self.perm_value}
        for name, value in told.items():
            if not 1 <= len(value) <= _MOST_LETTERS:
                raise Invalid.field(f"/{name}", f"must have 1 to {_MOST_LETTERS} characters")
