"""Tokens of devices: given for an access key, and good for as long as the device might come in with it."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from roadstead.core import identity
from roadstead.core.identity import Subtype
from roadstead.core.operation import unguarded
from roadstead.core.provisioning import access_key_store
from roadstead.core.provisioning import device_token_store as store
from roadstead.core.provisioning.access_key_model import AccessKey, Admitted
from roadstead.core.provisioning.access_keys import readmit_access_key
from roadstead.core.provisioning.device_token_store import DeviceToken
from roadstead.core.work import Entry
from roadstead.kernel import time
from roadstead.kernel.actor import Actor, ActorKind, Grant, Reach
from roadstead.kernel.errors import Unauthenticated
from roadstead.kernel.ids import DeviceId

PROGRAM_GRANTS = frozenset(
    {
        Grant.DEVICES_READ,
        Grant.DEVICES_WRITE,
        Grant.READINGS_READ,
        Grant.READINGS_WRITE,
        Grant.COMMANDS_READ,
        Grant.COMMANDS_WRITE,
        Grant.EXPORTS_READ,
        Grant.EXPORTS_WRITE,
    }
)
"""What a device may do with a token, within its reach and what the scopes of the token say."""


class DeviceHolder(msgspec.Struct, frozen=True, kw_only=True):
    """The device that shows a token."""

    actor: Actor
    key: AccessKey
    scopes: frozenset[str]

    @property
    def device_id(self) -> DeviceId:
        """Which device it is."""
        return DeviceId(self.actor.id)


class NewDeviceToken(msgspec.Struct, frozen=True):
    """The text of a token, which is shown this once, and who has it."""

    text: str
    holder: DeviceHolder


@unguarded("the device has just come in with the key")
async def create_device_token(
    entry: Entry, admitted: Admitted, *, scopes: Sequence[str], life: timedelta | None
) -> NewDeviceToken:
    """A token, which is shown this once; with no life it has no end."""
    now = time.now()
    token = DeviceToken(
        tenant_id=admitted.device.tenant_id,
        device_id=admitted.device.device_id,
        access_key_id=admitted.key.id,
        scopes=list(scopes),
        created_at=now,
        expires_at=None if life is None else now + life,
    )
    text = await identity.write_token(
        entry.tx,
        entry.ports,
        Subtype.DEVICE,
        token.device_id,
        scopes=scopes,
        created_at=now,
        expires_at=token.expires_at,
    )
    await store.insert_device_token(entry.tx, token, identity.digest(text))
    return NewDeviceToken(text, _holder(entry, token, admitted))


@unguarded("the token is the secret that is asked for")
async def authenticate_device_token(entry: Entry, text: str) -> DeviceHolder:
    """The device behind a token: it sees itself, and the other devices that its key is for.

    Raises `Unauthenticated` for a token that is not, or no longer, good, and like `readmit_access_key`.
    """
    token = await store.select_good_device_token(entry.tx, identity.digest(text), time.now())
    if token is None:
        raise Unauthenticated("the token is not good, or not any more")
    admitted = await readmit_access_key(entry, token.tenant_id, token.access_key_id, token.device_id)
    return _holder(entry, token, admitted)


@unguarded("the device has shown its token")
async def may_see(entry: Entry, holder: DeviceHolder, device_id: DeviceId) -> bool:
    """Whether this is the device itself, or another one that its key is for."""
    if device_id == holder.device_id:
        return True
    tenant, key = holder.actor.tenant_id, holder.key
    if not await access_key_store.select_devices(entry.tx, tenant, key.space_id, [device_id]):
        return False
    tags = await access_key_store.select_tags(entry.tx, tenant, device_id) if key.device_tags else []
    return key.admits(device_id, tags)


@unguarded("the device has shown its token")
async def may_report_for(entry: Entry, holder: DeviceHolder, device_id: DeviceId) -> bool:
    """Whether this is the device itself, or one that it connects: a peripheral of its own, or one of no gateway."""
    if device_id == holder.device_id:
        return True
    return await store.is_peripheral_of(entry.tx, holder.actor.tenant_id, holder.device_id, device_id)


def _holder(entry: Entry, token: DeviceToken, admitted: Admitted) -> DeviceHolder:
    device = admitted.device
    actor = Actor(
        kind=ActorKind.DEVICE,
        id=device.device_id,
        name=device.device_name,
        tenant_id=device.tenant_id,
        organization_id=device.organization_id,
        grants=PROGRAM_GRANTS,
        request_id=entry.request_id,
        address=entry.address,
        expires_at=token.expires_at,
        reach=_reach(admitted.key, device.device_id),
    )
    return DeviceHolder(actor=actor, key=admitted.key, scopes=frozenset(token.scopes))


def _reach(key: AccessKey, device_id: DeviceId) -> Reach:
    if not key.is_restricted:
        return Reach(space_id=key.space_id)
    return Reach(
        space_id=key.space_id,
        device_ids=(*key.device_ids, device_id),
        tags=tuple((tag.key, tag.value) for tag in key.device_tags),
    )
