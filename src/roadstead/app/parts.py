"""What every role is put together from: connections to the servers, and the ports."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from prometheus_client import REGISTRY

from roadstead.adapters.blobs import open_blobs
from roadstead.adapters.chat import AppriseChat
from roadstead.adapters.clickhouse import Address, ClickHouseStore, HttpTransport
from roadstead.adapters.mail import make_mailer
from roadstead.adapters.outgoing import Guard, GuardedClient
from roadstead.adapters.vault import vault_from_file, vault_from_text
from roadstead.app.metrics import answer_metrics
from roadstead.bus import Bus, connect
from roadstead.core.ports import Blobs, Ports, TelemetryStore, Vault
from roadstead.db import Database, Duty
from roadstead.settings import Settings, SettingsError
from roadstead.web.addresses import read_networks


class Parts(msgspec.Struct, frozen=True):
    """The pieces of one process."""

    settings: Settings
    tenant_database: Database
    system_database: Database
    bus: Bus
    ports: Ports


@asynccontextmanager
async def open_parts(settings: Settings, *, name: str, telemetry: TelemetryStore) -> AsyncIterator[Parts]:
    """Everything connected or connecting; servers that are away are waited for by whoever needs them."""
    async with AsyncExitStack() as exits:
        tenant_database = await Database(settings.database_url, Duty.TENANT, size=16).open()
        exits.push_async_callback(tenant_database.close)
        system_database = await Database(settings.database_url, Duty.SYSTEM, size=8).open()
        exits.push_async_callback(system_database.close)
        bus = await connect(settings.nats_url, name=f"roadstead {name}")
        exits.push_async_callback(bus.close)
        answering = await answer_metrics(bus, name, REGISTRY)
        exits.push_async_callback(answering.close)
        ports = Ports(
            telemetry=telemetry,
            blobs=open_files(settings),
            vault=open_vault(settings),
            mailer=make_mailer(settings.mail.smtp_url, settings.mail.sender, settings.data_dir / "mail"),
            outgoing=GuardedClient(open_guard(settings)),
            chat=AppriseChat(open_guard(settings), settings.outgoing.services, threads=settings.outgoing.at_a_time),
            public_url=settings.url,
        )
        yield Parts(settings, tenant_database, system_database, bus, ports)


def open_guard(settings: Settings) -> Guard:
    """What requests to servers of others may reach."""
    return Guard(read_networks(settings.outgoing.allow_networks), plain_http=settings.outgoing.plain_http)


def open_vault(settings: Settings) -> Vault:
    """The vault under the master key of the settings, or of the data directory."""
    if settings.master_key:
        return vault_from_text(settings.master_key)
    return vault_from_file(settings.data_dir / "master.key")


def open_files(settings: Settings) -> Blobs:
    """The blob store of the settings, or of the data directory."""
    try:
        return open_blobs(settings.blobs_url, settings.data_dir / "blobs")
    except ValueError as error:
        raise SettingsError([f"ROADSTEAD_BLOBS_URL: {error}"]) from None


def remote_store(settings: Settings) -> ClickHouseStore:
    """The telemetry store by its URL: the store role of this machine, a server or a cluster. Connects when used."""
    return ClickHouseStore(HttpTransport(Address.parse(settings.clickhouse_url or "http://127.0.0.1:8123")))
