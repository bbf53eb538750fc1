"""Access keys of spaces: made and looked after by people, shown at the doors by devices."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from uuid import uuid4

import msgspec

from roadstead.core import registry
from roadstead.core.messages import KeyRevoked
from roadstead.core.operation import operation, unguarded
from roadstead.core.provisioning import access_key_store as store
from roadstead.core.provisioning.access_key_model import (
    AccessKey,
    AccessKeyChange,
    AccessKeyDraft,
    AccessKeyStatus,
    Admitted,
    NewAccessKey,
    check_key,
)
from roadstead.core.work import Entry, Work
from roadstead.kernel import time
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Forbidden, Invalid, NotFound, Unauthenticated
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId, KeyId, SpaceId, TenantId, new_id
from roadstead.kernel.page import Page, PageQuery

_REFUSED = "the key, its secret or the device is not known here"
_RULES = ("status", "topic_filter", "publish_topics", "hear_topics", "address_filter", "addresses")
"""What sessions live by that a key has opened."""


# --- for people and programs -----------------------------------------------------------------------------------------


@operation(Grant.DEVICES_READ)
async def list_access_keys(
    work: Work, space_id: SpaceId, where: Filter, query: PageQuery, *, sort: str, descending: bool
) -> Page[AccessKey]:
    """Keys of a space that a filter is true for; `sort` is one of `ACCESS_KEY_SORTS`."""
    return await store.select_access_keys(work.tx, work.tenant_id, space_id, where, sort, query, descending=descending)


@operation(Grant.DEVICES_READ)
async def get_access_key(work: Work, space_id: SpaceId, key_id: KeyId) -> AccessKey:
    """One key of a space."""
    return _found(await store.select_access_key(work.tx, work.tenant_id, space_id, key_id))


@operation(Grant.CREDENTIALS_WRITE)
async def create_access_key(work: Work, space_id: SpaceId, draft: AccessKeyDraft) -> NewAccessKey:
    """Make a key for the devices of a space, or for some of them. The secret is shown this once."""
    await registry.load_space(work, space_id)
    key = AccessKey(
        id=KeyId(new_id()),
        space_id=space_id,
        key=str(uuid4()),
        created_by=work.actor.id,
        created_by_kind=work.actor.kind,
        created_at=work.now(),
        updated_by=work.actor.id,
        updated_by_kind=work.actor.kind,
        updated_at=work.now(),
        **msgspec.structs.asdict(draft),
    )
    check_key(key)
    await _check_devices(work, space_id, key.device_ids)
    secret = secrets.token_hex(32)
    await store.insert_access_key(work.tx, work.tenant_id, key, _digest(secret))
    work.record("access-key.create", key.id, after=key)
    return NewAccessKey(key, secret)


@operation(Grant.CREDENTIALS_WRITE)
async def change_access_key(work: Work, space_id: SpaceId, key_id: KeyId, change: AccessKeyChange) -> AccessKey:
    """Change what a key allows, or its name. Under other rules its sessions are cut, and may come back."""
    before = _found(await store.lock_access_key(work.tx, work.tenant_id, space_id, key_id))
    after = msgspec.structs.replace(
        before,
        **change.sent(),
        updated_by=work.actor.id,
        updated_by_kind=work.actor.kind,
        updated_at=work.now(),
    )
    check_key(after)
    await store.update_access_key(work.tx, work.tenant_id, after)
    work.record("access-key.change", key_id, before=before, after=after)
    if any(getattr(before, name) != getattr(after, name) for name in _RULES):
        work.emit(KeyRevoked(key_id))
    return after


@operation(Grant.CREDENTIALS_WRITE)
async def delete_access_key(work: Work, space_id: SpaceId, key_id: KeyId) -> None:
    """Forget a key; its sessions are cut."""
    key = _found(await store.lock_access_key(work.tx, work.tenant_id, space_id, key_id))
    await store.delete_access_key(work.tx, work.tenant_id, key_id)
    work.record("access-key.delete", key_id, before=key)
    work.emit(KeyRevoked(key_id))


# --- for doors -------------------------------------------------------------------------------------------------------


@unguarded("the key and its secret are the credential")
async def admit_access_key(entry: Entry, device_id: DeviceId, key: str, secret: str) -> Admitted:
    """The device, because it shows a key that is for it and the key's secret.

    Raises `Unauthenticated` when key, secret or device are not known, or the key is not for this device, `Forbidden`
    when it may not come from this address, or the key, the device or its organization may not work.
    """
    held = await store.select_held_key(entry.tx, key)
    if held is None or not hmac.compare_digest(held.secret_hash, _digest(secret)):
        raise Unauthenticated(_REFUSED)
    return await readmit_access_key(entry, held.tenant_id, held.id, device_id)


@unguarded("the device has come in with this key, and holds a token for it")
async def readmit_access_key(entry: Entry, tenant: TenantId, key_id: KeyId, device_id: DeviceId) -> Admitted:
    """The device, if it might still come in with this key from this address. Raises as `admit_access_key`."""
    key = await store.select_access_key_of(entry.tx, tenant, key_id)
    candidate = key and await store.select_candidate(entry.tx, tenant, key.space_id, device_id)
    if not key or not candidate:
        raise Unauthenticated(_REFUSED)
    tags = await store.select_tags(entry.tx, tenant, device_id) if key.device_tags else []
    if not key.admits(device_id, tags):
        raise Unauthenticated(_REFUSED)
    if key.status is not AccessKeyStatus.ACTIVE:
        raise Forbidden("the access key is inactive")
    if not key.admits_from(entry.address):
        raise Forbidden(f"the access key may not be used from {entry.address or 'an unknown address'}")
    device = candidate.admit(time.now())
    return Admitted(msgspec.structs.replace(device, dialect="losant", key_id=key.id), key)


@unguarded("whoever asks has just let the device in")
async def speaks_for(entry: Entry, tenant: TenantId, speaker: DeviceId, device_id: DeviceId) -> bool:
    """Whether a device may speak for another one of its space, and hear what is meant for it.

    A gateway does for its own peripherals, and for those that name no gateway.
    """
    return await store.speaks_for(entry.tx, tenant, speaker, device_id)


# --- pieces ----------------------------------------------------------------------------------------------------------


async def _check_devices(work: Work, space_id: SpaceId, device_ids: Sequence[DeviceId]) -> None:
    known = await store.select_devices(work.tx, work.tenant_id, space_id, device_ids) if device_ids else set()
    for index, device_id in enumerate(device_ids):
        if device_id not in known:
            raise Invalid.field(f"/deviceIds/{index}", "is no device of this application")


def _found(key: AccessKey | None) -> AccessKey:
    if key is None:
        raise NotFound("Application key")
    return key


def _digest(secret: str) -> bytes:
    """What is stored instead. The secret is random, so a plain hash cannot be searched."""
    return hashlib.sha256(secret.encode()).digest()
