"""Taking in what devices say about their configuration."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from roadstead.core.configuration import binding_store
from roadstead.core.configuration import document_store as store
from roadstead.core.configuration.document_store import Document
from roadstead.core.configuration.model import MAX_MESSAGE, Entry, EntryStatus, ReportedEntry, settle
from roadstead.core.downlinks import ConfigurationPart, ConfigurationReport
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


class ReportedValues(msgspec.Struct, frozen=True, kw_only=True):
    """What a device that knows no artefacts says it is set to."""

    tenant: TenantId
    device: DeviceId
    values: Mapping[str, Any]
    """All it ever said, its newest word of each."""
    received: int
    """When the newest message was, ms since 1970."""


async def take_values(tx: Tx, said: Sequence[ReportedValues]) -> None:
    """Take it for a report: an artefact whose members are all among the values has been accepted.

    One of which the device shows other values drifts; one of which it shows nothing stays as it is. A repeat changes
    nothing.
    """
    by_place = {(one.tenant, one.device): one for one in said}
    entries = await store.select_entries(tx, list(by_place))
    rows = await store.select_contents(tx, sorted({(tenant, entry.artefact_id) for tenant, entry in entries}))
    contents = {(row.tenant_id, row.id): row.content for row in rows}
    parts: dict[tuple[TenantId, DeviceId], list[ConfigurationPart]] = {}
    for tenant, entry in entries:
        place = (tenant, entry.device_id)
        hash_ = _hash_of(entry, contents[tenant, entry.artefact_id], by_place[place].values)
        if hash_ is not None and (hash_, entry.desired_version) != (entry.reported_hash, entry.reported_version):
            part = ConfigurationPart(
                artefact_name=entry.artefact_name, version=entry.desired_version, hash=hash_, status="ACCEPTED"
            )
            parts.setdefault(place, []).append(part)
    reports = [
        (
            Uplink(place[0], ids.to_bytes(place[1]), _VALUES, _VALUES, by_place[place].received, b""),
            ConfigurationReport(None, found),
        )
        for place, found in parts.items()
    ]
    if reports:
        await take_reports(tx, reports)


_VALUES = "values"


def _hash_of(entry: Entry, content: bytes | None, values: Mapping[str, Any]) -> str | None:
    """That of the content, when the values have all of it; that of something else, when they differ."""
    wanted = msgspec.json.decode(content) if content is not None and not entry.component_key else None
    if not isinstance(wanted, dict):
        return None
    if _has(values, wanted):
        return entry.hash
    shown = {name: values[name] for name in wanted if name in values}
    return hashlib.sha256(msgspec.json.encode(shown, order="sorted")).hexdigest() if shown else None


def _has(value: object, wanted: object) -> bool:
    """Whether a value is the wanted one; an object may have other members beside."""
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(
            name in value and _has(value[name], one) for name, one in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(_has(one, other) for one, other in zip(value, wanted, strict=True))
        )
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


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
