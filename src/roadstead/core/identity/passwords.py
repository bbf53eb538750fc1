"""Passwords: argon2id, off the event loop, with the same work for those who do not exist."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from roadstead.core.ports import PasswordCost
from roadstead.kernel.errors import Invalid

SHORTEST, LONGEST = 12, 200
SHORTEST_OF_ACCOUNT = 6
"""Of accounts that a project has made for itself (contract leverege, `account.create`)."""

# Two at a time: each takes a core and its memory, and a flood of sign-ins may take neither from the rest.
_workers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")


def check_password(password: str, *, field: str, shortest: int = SHORTEST) -> None:
    """Raises `Invalid` for one that is too short to be good or too long to be meant."""
    if not shortest <= len(password) <= LONGEST:
        raise Invalid.field(field, f"must have {shortest} to {LONGEST} characters")


async def hash_password(password: str, cost: PasswordCost) -> str:
    """The argon2id hash in its standard text form."""
    return await asyncio.get_running_loop().run_in_executor(_workers, _hasher(cost).hash, password)


async def is_password(password: str, hashed: str | None, cost: PasswordCost) -> bool:
    """Whether it is the one that was hashed. Takes as long when there is none to compare with."""
    right = await asyncio.get_running_loop().run_in_executor(
        _workers, _verify, _hasher(cost), hashed or _nobodys_hash(cost), password[: LONGEST + 1]
    )
    return right and hashed is not None


def is_outdated(hashed: str, cost: PasswordCost) -> bool:
    """Whether it was hashed at another cost than today's."""
    return _hasher(cost).check_needs_rehash(hashed)


def _verify(hasher: argon2.PasswordHasher, hashed: str, password: str) -> bool:
    try:
        return hasher.verify(hashed, password)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


@lru_cache(maxsize=4)
def _hasher(cost: PasswordCost) -> argon2.PasswordHasher:
    return argon2.PasswordHasher(time_cost=cost.rounds, memory_cost=cost.memory_kib, parallelism=1)


@lru_cache(maxsize=4)
def _nobodys_hash(cost: PasswordCost) -> str:
    return _hasher(cost).hash("nobody has this password")
