"""Commands for whoever runs the platform: they work on the database itself.

They need no sign-in: being allowed to read the data directory is enough.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from cyclopts import Parameter

from roadstead import app as composition
from roadstead.cli.client import find_credentials
from roadstead.cli.failures import CommandFailed
from roadstead.core import tenancy
from roadstead.core.tenancy import Organization
from roadstead.core.work import Entry, Work
from roadstead.kernel.page import Page, PageQuery
from roadstead.settings import read_settings
from roadstead.supervisor.servers import at_hand

T = TypeVar("T")

TenantName = Annotated[
    str | None, Parameter(name="--tenant", help="Slug or id of the organization; default that of credentials.json.")
]
Password = Annotated[str | None, Parameter(help="At least 12 characters; default a random one, shown once.")]


def do(deed: Callable[[Entry], Awaitable[T]]) -> T:
    """One transaction over all organizations, on the running platform's database or on one started for this."""

    async def run() -> T:
        async with at_hand(read_settings()) as settings, composition.administer(settings) as entry:
            return await deed(entry)

    return asyncio.run(run())


def do_within(tenant: str | None, deed: Callable[[Work], Awaitable[T]]) -> T:
    """One transaction that sees the rows of one organization only."""

    async def run() -> T:
        async with at_hand(read_settings()) as settings:
            async with composition.administer(settings) as entry:
                organization = await load_organization(entry, tenant)
            async with composition.administer_organization(settings, organization) as work:
                return await deed(work)

    return asyncio.run(run())


async def load_organization(entry: Entry, name: str | None) -> Organization:
    """The one that was named, else that of the first owner, else the only one. Raises `CommandFailed` for none."""
    if name is not None:
        return await tenancy.load_organization_named(entry, name)
    if credentials := find_credentials(read_settings().data_dir):
        return await tenancy.load_organization_named(entry, credentials["organizationId"])
    found = (await tenancy.list_organizations(entry, PageQuery(limit=2))).items
    if len(found) != 1:
        number = "several organizations" if found else "no organization"
        raise CommandFailed(f"there is {number}: name one with --tenant, see 'roadstead tenant list'")
    return found[0]


async def every(page_of: Callable[[PageQuery], Awaitable[Page[T]]]) -> list[T]:
    """All items of a list, page after page."""
    items: list[T] = []
    cursor = None
    while True:
        page = await page_of(PageQuery(limit=200, cursor=cursor))
        items += page.items
        cursor = page.next_cursor
        if cursor is None:
            return items


def make_password() -> str:
    """A random one that can be typed."""
    return secrets.token_urlsafe(15)
