"""Taking in what devices say about their configuration."""

from collections.abc import Iterable, Sequence

import msgspec

from roadstead.core.configuration import binding_store
from roadstead.core.configuration import document_store as store
from roadstead.core.configuration.document_store import Document
from roadstead.core.configuration.model import MAX_MESSAGE, Entry, EntryStatus, ReportedEntry, settle
from roadstead.core.downlinks import ConfigurationReport
from roadstead.core.messages import ConfigurationReported, Uplink, encode_fact
from roadstead.core.ports import Refusal
from roadstead.db import Tx
from roadstead.kernel import ids, time
from roadstead.kernel.ids import DeviceId, TenantId

MAX_REPORTED = 500
"""Entries of a report that are kept."""


async def take_reports(tx: Tx, reports: Sequence[tuple[Uplink, ConfigurationReport]]) -> list[tuple[int, Refusal]]:
    """Write down what devices said, in the order in which they said it; nothing of it is refused.

    What a report does not mention stays as it was, as long as the device shall have it. A repeat, or a report that is
    older than what is known, changes nothing.
    """
    by_device: dict[tuple[TenantId, DeviceId], list[tuple[Uplink, ConfigurationReport]]] = {}
    for uplink, report in reports:
        place = (uplink.tenant, DeviceId(ids.from_bytes(uplink.device)))
        by_device.setdefault(place, []).append((uplink, report))
    documents = await store.lock_documents(tx, by_device)
    entries: dict[tuple[TenantId, DeviceId], list[Entry]] = {}
    for tenant, entry in await store.select_entries(tx, list(by_device)):
        entries.setdefault((tenant, entry.device_id), []).append(entry)
    heard: list[Document] = []
    changed: list[tuple[TenantId, Entry]] = []
    for document in documents:
        place = (document.tenant_id, document.device_id)
        own = entries.get(place, [])
        after = _hear(document, by_device[place], {entry.key for entry in own})
        if after == document:
            continue
        heard.append(after)
        said = {each.key: each for each in after.reported}
        settled = [(entry, _settle(entry, said.get(entry.key))) for entry in own]
        changed += [(document.tenant_id, new) for old, new in settled if new != old]
        tx.emit(document.tenant_id, time.now(), encode_fact(ConfigurationReported(document.device_id)))
    if heard:
        await store.update_reports(tx, heard)
    await store.update_entries(tx, changed)
    await binding_store.fold_tallies(tx, sorted({(tenant, entry.binding_id) for tenant, entry in changed}))
    return []


def _hear(
    document: Document, reports: Iterable[tuple[Uplink, ConfigurationReport]], wanted: set[tuple[str, str]]
) -> Document:
    for uplink, report in reports:
        at = time.from_millis(uplink.received)
        if document.reported_at is not None and at < document.reported_at:
            continue
        said = {
            entry.key: entry
            for entry in (
                ReportedEntry(
                    component_key=entry.component_key,
                    artefact_name=entry.artefact_name,
                    version=entry.version,
                    hash=entry.hash,
                    status=EntryStatus(entry.status),
                    message=entry.message[:MAX_MESSAGE] if entry.message else None,
                    at=at,
                )
                for entry in report.entries
            )
        }
        kept = {old.key: old for old in document.reported if old.key in wanted}
        merged = sorted({**kept, **said}.values(), key=lambda entry: entry.key)
        document = msgspec.structs.replace(
            document,
            reported=merged[:MAX_REPORTED],
            reported_version=report.document_version,
            reported_at=at,
        )
    return document


def _settle(entry: Entry, said: ReportedEntry | None) -> Entry:
    if said is None:
        return entry
    known = (entry.reported_version, entry.reported_hash, entry.reported_at, entry.message)
    status = settle(entry.hash, entry.desired_version, said)
    if status is entry.status and known == (said.version, said.hash, said.at, said.message):
        return entry
    return msgspec.structs.replace(
        entry,
        status=status,
        reported_version=said.version,
        reported_hash=said.hash,
        reported_at=said.at,
        message=said.message,
        updated_at=said.at,
    )
