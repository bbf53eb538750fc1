"""Handing documents to the sessions of their devices. For the system duty only: devices of all tenants together."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from roadstead.core import files
from roadstead.core.configuration import document_store as store
from roadstead.core.configuration.artefacts import SMALL_BYTES
from roadstead.core.configuration.document_store import ContentRow
from roadstead.core.configuration.model import ArtefactId, Entry
from roadstead.core.configuration.sweep_store import select_organizations
from roadstead.core.downlinks import CONFIGURATION, Downlink, Hearer
from roadstead.core.ports import Ports
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import system_actor
from roadstead.kernel.ids import DeviceId, TenantId

INLINE_BYTES = 65_536
"""How much of larger contents a document carries itself; the rest goes by URL."""
LINK_VALIDITY = timedelta(days=7)


class DocumentEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One artefact as a device is told of it: with its content, or where it can be fetched."""

    artefact_name: str
    component_key: str
    """Empty: for the device as a whole."""
    version: int
    hash: str
    """SHA-256, hex, of the content or of what the URL answers."""
    content: bytes | None = None
    """Canonical JSON."""
    url: str | None = None


class DeviceDocument(msgspec.Struct, frozen=True, kw_only=True):
    """All that a device shall have."""

    version: int
    entries: list[DocumentEntry]
    is_news: bool
    """It has changed in the middle of a session; else the device has just come."""


class ConfigurationSource:
    """`ports.Source` of documents: the present one goes to every session that hears it, and again when it changes."""

    kind = CONFIGURATION

    def __init__(self, ports: Ports) -> None:
        """`ports` sign the URLs of large contents."""
        self._ports = ports

    async def claim(self, tx: Tx, hearers: Sequence[Hearer], *, most: int) -> list[Downlink]:
        """One for each device whose session does not have the present document. `most` is never reached."""
        claimed = await store.claim_documents(tx, hearers, time.now())
        if not claimed:
            return []
        places = [(one.tenant_id, one.device_id) for one in claimed]
        entries: dict[tuple[TenantId, DeviceId], list[Entry]] = {place: [] for place in places}
        for tenant, entry in await store.select_entries(tx, places):
            entries[tenant, entry.device_id].append(entry)
        wanted = {(tenant, entry.artefact_id) for (tenant, _), own in entries.items() for entry in own}
        contents = _Contents(tx, self._ports)
        await contents.load(sorted(wanted))
        downlinks = []
        for one, place in zip(claimed, places, strict=True):
            told = await contents.spell(one.tenant_id, entries[place])
            body = DeviceDocument(version=one.document_version, entries=told, is_news=one.is_news)
            downlinks.append(Downlink(one.tenant_id, one.device_id, CONFIGURATION, one.device_id, body))
        return downlinks

    async def note_arrived(self, tx: Tx, downlinks: Sequence[Downlink]) -> None:
        """The device has the document; what it makes of it, it reports."""
        versions = {
            (one.tenant, one.device): one.body.version for one in downlinks if isinstance(one.body, DeviceDocument)
        }
        await store.update_arrived(tx, versions, time.now())


class _Contents:
    """The contents of some artefacts: each is read once, and each URL signed once, however many devices get it."""

    def __init__(self, tx: Tx, ports: Ports) -> None:
        self._tx = tx
        self._ports = ports
        self._rows: dict[tuple[TenantId, ArtefactId], ContentRow] = {}
        self._works: dict[TenantId, Work] = {}
        self._urls: dict[tuple[TenantId, ArtefactId], str] = {}
        self._until = time.now() + LINK_VALIDITY

    async def load(self, artefacts: Sequence[tuple[TenantId, ArtefactId]]) -> None:
        """Before anything is spelled."""
        for row in await store.select_contents(self._tx, artefacts):
            self._rows[row.tenant_id, row.id] = row
        organizations = await select_organizations(self._tx, sorted({tenant for tenant, _ in artefacts}))
        for tenant, organization in organizations.items():
            self._works[tenant] = Work(system_actor(tenant, organization), self._tx, self._ports)

    async def spell(self, tenant: TenantId, entries: Sequence[Entry]) -> list[DocumentEntry]:
        """The entries of one document. What is small stands in it, what is not as far as there is room."""
        room = INLINE_BYTES
        told = []
        for entry in entries:
            content = self._rows[tenant, entry.artefact_id].content
            if content is not None and len(content) > SMALL_BYTES:
                content = content if len(content) <= room else None
                room -= len(content) if content is not None else 0
            told.append(
                DocumentEntry(
                    artefact_name=entry.artefact_name,
                    component_key=entry.component_key,
                    version=entry.desired_version,
                    hash=entry.hash,
                    content=content,
                    url=await self._link(tenant, entry.artefact_id) if content is None else None,
                )
            )
        return told

    async def _link(self, tenant: TenantId, artefact_id: ArtefactId) -> str:
        place = (tenant, artefact_id)
        if place not in self._urls:
            row = self._rows[place]
            self._urls[place] = await files.download_url(
                self._works[tenant],
                row.file or "",
                filename=row.file_name,
                content_type=row.content_type,
                valid_until=self._until,
            )
        return self._urls[place]
