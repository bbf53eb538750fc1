"""Changes the keys that tokens are signed with, in time."""

import asyncio

import structlog

from roadstead.core import identity
from roadstead.core.ports import Ports
from roadstead.core.work import Entry
from roadstead.db import Database
from roadstead.kernel.errors import Unavailable

log = structlog.get_logger()

_EVERY_S = 3600.0


async def run_key_rotation(database: Database, ports: Ports) -> None:
    """Look once an hour, until cancelled. Any number of workers may: they wait for each other, and one rotates."""
    while True:
        try:
            async with database.tx() as tx:
                entry = Entry(tx, ports, address="", request_id="")
                if await identity.rotate_signing_keys(entry):
                    log.info("a new key will sign session tokens")
                if await identity.rotate_realm_keys(entry):
                    log.info("a new key will sign tokens of the realm")
        except Unavailable as error:
            log.warning("key rotation waits", reason=str(error))
        await asyncio.sleep(_EVERY_S)
