"""A door for whoever runs the platform: operations on all organizations, straight at the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from roadstead.app.first_start import make_ports
from roadstead.core.tenancy import Organization
from roadstead.core.work import Entry, Work
from roadstead.db import Database, Duty
from roadstead.kernel.actor import system_actor
from roadstead.settings import Settings


@asynccontextmanager
async def administer(settings: Settings) -> AsyncIterator[Entry]:
    """One transaction over all tenants; commits at the end. The audit log says `system`."""
    database = await Database(settings.database_url, Duty.SYSTEM, size=1).open()
    try:
        async with database.tx() as tx:
            yield Entry(tx, make_ports(settings), address="", request_id="")
    finally:
        await database.close()


@asynccontextmanager
async def administer_organization(settings: Settings, organization: Organization) -> AsyncIterator[Work]:
    """Work within one organization, that sees its rows only."""
    database = await Database(settings.database_url, Duty.TENANT, size=1).open()
    try:
        async with database.tx(organization.tenant_id) as tx:
            yield Work(system_actor(organization.tenant_id, organization.public_id), tx, make_ports(settings))
    finally:
        await database.close()
