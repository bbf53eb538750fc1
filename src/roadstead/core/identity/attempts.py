"""Guessing is slowed down: ten failures within 15 minutes lock an account for an address, for as long."""

from datetime import timedelta

from roadstead.core.identity.store import people as store
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.errors import TooMany

MOST = 10
WINDOW = timedelta(minutes=15)
ANYWHERE = "*"
"""In place of an address: guesses at a second factor, whose maker knows the password, count wherever they come from."""


async def count_attempt(tx: Tx, account: str, address: str) -> None:
    """Count an attempt as failed, before it is looked at; `forgive` it when it turns out right.

    It is committed at once: it has to be remembered although the request fails, and guesses that are made in parallel
    must see each other. Raises `TooMany` when it is one too many.
    """
    account, since = _spell(account), time.now() - WINDOW
    failures = await store.select_failures(tx, account, address, since)
    if len(failures) < MOST:
        await store.insert_failure(tx, account, address, time.now())
        await tx.commit()
        failures = await store.select_failures(tx, account, address, since)
        if len(failures) <= MOST:
            return
    wait = failures[-MOST] + WINDOW - time.now()
    raise TooMany("too many failed attempts; try again later", retry_after_s=max(1.0, wait.total_seconds()))


async def forgive(tx: Tx, account: str, address: str | None) -> None:
    """It was them: forget the failures from this address, or from everywhere. Committed at once, as they were."""
    await store.delete_failures(tx, _spell(account), address)
    await tx.commit()


def _spell(account: str) -> str:
    return account.lower()[:254]
