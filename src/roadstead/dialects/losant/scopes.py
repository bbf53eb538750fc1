"""What a token must have for an action (contract section 3)."""

from collections.abc import Collection

from roadstead.dialects.losant.schemas import load_contract
from roadstead.kernel.errors import Forbidden

ALL_OF_USER = "all.User"
ALL_OF_APPLICATION = "all.Application"
ALL_OF_DEVICE = "all.Device"


def check_scopes(operation: str, held: Collection[str] | None) -> None:
    """Raises `Forbidden` unless one of these scopes is one of the action's. None: a credential without scopes."""
    if held is not None and not may_call(operation, held):
        raise Forbidden(f"the scopes of this token do not include {operation}")


def may_call(operation: str, held: Collection[str]) -> bool:
    """Whether one of these scopes is one of the action's."""
    return not set(held).isdisjoint(load_contract().scopes[operation])
