"""The certificate of our own TLS doors: from our own authority, in memory only, renewed in good time."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import urlsplit

import structlog

from roadstead.core import provisioning
from roadstead.core.ports import Ports
from roadstead.core.work import Entry
from roadstead.db import Database
from roadstead.gateways.tls import Identity, TlsServer
from roadstead.kernel import time
from roadstead.kernel.errors import Unavailable
from roadstead.settings import Settings
from roadstead.workers.patience import patiently

log = structlog.get_logger()

_LOOK_EVERY_S = 3600.0


class OwnCertificate:
    """What one process shows on its TLS ports. Each process has a key of its own; what clients trust is the root."""

    def __init__(self, database: Database, ports: Ports, hosts: Sequence[str]) -> None:
        self._database = database
        self._ports = ports
        self._hosts = hosts
        self.renew_at: datetime | None = None
        """When it is time for the next one; None before the first."""

    async def open(self, alpn: Sequence[str], *, on_handshake: Callable[[str], None] | None = None) -> TlsServer:
        """TLS with a fresh certificate, as soon as the database is there to sign it."""
        return TlsServer(await patiently("certificate", self._issue), alpn=alpn, on_handshake=on_handshake)

    async def keep(self, server: TlsServer, *, every_s: float = _LOOK_EVERY_S) -> None:
        """Renew it whenever it is time, until cancelled; connections that are there stay."""
        while True:
            await asyncio.sleep(every_s)
            if self.renew_at is None or time.now() < self.renew_at:
                continue
            try:
                server.replace(await self._issue())
                log.info("TLS certificate renewed")
            except Unavailable as error:
                log.warning("the TLS certificate could not be renewed", reason=str(error))

    async def _issue(self) -> Identity:
        async with self._database.tx() as tx:
            entry = Entry(tx, self._ports, address="", request_id="")
            await provisioning.ensure_authorities(entry)
            issued = await provisioning.issue_server_certificate(entry, self._hosts)
        self.renew_at = issued.renew_at
        return Identity(issued.chain, issued.private_key)


def public_hosts(settings: Settings) -> list[str]:
    """The names under which devices reach us."""
    return list(dict.fromkeys(host for host in (settings.public_host, urlsplit(settings.url).hostname) if host))
