"""What a fresh platform needs before its roles start: a schema, an organization, an owner, a key."""

import asyncio
import json
import os
import secrets

import msgspec

from roadstead.adapters.chat import AppriseChat
from roadstead.adapters.mail import make_mailer
from roadstead.adapters.outgoing import GuardedClient
from roadstead.app.parts import open_files, open_guard, open_vault, remote_store
from roadstead.core import identity
from roadstead.core.ports import Ports
from roadstead.core.work import Entry
from roadstead.db import Database, Duty, migrate
from roadstead.settings import Settings

EMAIL = "owner@roadstead.local"


class FirstOwner(msgspec.Struct, frozen=True):
    """Who can sign in on a fresh platform."""

    email: str
    is_new: bool


async def prepare(settings: Settings) -> FirstOwner:
    """Bring the database up to date; on an empty one, make the first organization, its owner and an API key.

    The credentials go to `<data dir>/credentials.json`, mode 0600, before the transaction commits: a crash in between
    leaves a file without an account, which the next start replaces, never an account that nobody can use.
    """
    await asyncio.to_thread(migrate, settings.database_url)
    database = await Database(settings.database_url, Duty.SYSTEM, size=2).open()
    try:
        async with database.tx() as tx:
            started = await _found(Entry(tx, make_ports(settings), address="", request_id=""), settings)
    finally:
        await database.close()
    if started is not None:
        return FirstOwner(started, is_new=True)
    return FirstOwner(_keep_credentials(settings), is_new=False)


async def _found(entry: Entry, settings: Settings) -> str | None:
    password = secrets.token_urlsafe(15)
    first = await identity.found_platform(
        entry, organization="My organization", email=EMAIL, name="Owner", password=password
    )
    if first is None:
        return None
    credentials = {
        "url": settings.url,
        "email": EMAIL,
        "password": password,
        "organizationId": str(first.organization.public_id),
        "apiKey": first.key.secret,
    }
    _write(settings, credentials)
    return EMAIL


def _write(settings: Settings, credentials: dict[str, str]) -> None:
    """Whole or not at all, and readable by its owner only from the first byte."""
    file = settings.data_dir / "credentials.json"
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        json.dump(credentials, out, indent=2)
        out.write("\n")
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def _keep_credentials(settings: Settings) -> str:
    """See to it that what was written at the first start says where the platform is now; whom it was written for."""
    try:
        known: dict[str, str] = json.loads((settings.data_dir / "credentials.json").read_text())
        email = known["email"]
    except (OSError, ValueError, KeyError):
        return "the accounts that you made"
    if known.get("url") != settings.url:
        _write(settings, known | {"url": settings.url})
    return email


def make_ports(settings: Settings) -> Ports:
    """What operations have at hand outside a role; the telemetry store is only reached when it is asked."""
    return Ports(
        telemetry=remote_store(settings),
        blobs=open_files(settings),
        vault=open_vault(settings),
        mailer=make_mailer(settings.mail.smtp_url, settings.mail.sender, settings.data_dir / "mail"),
        outgoing=GuardedClient(open_guard(settings)),
        chat=AppriseChat(open_guard(settings), settings.outgoing.services),
        public_url=settings.url,
    )
