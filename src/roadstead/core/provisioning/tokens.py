"""Registration tokens: made with a device or for one, shown once, good once."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from roadstead.core import registry
from roadstead.core.operation import operation
from roadstead.core.provisioning import store
from roadstead.core.provisioning.model import (
    MintedToken,
    RegistrationToken,
    TokenStatus,
    TokenText,
)
from roadstead.core.provisioning.store import TokenRow
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound, RoadsteadError
from roadstead.kernel.ids import DeviceId, new_id
from roadstead.kernel.page import Page, PageQuery


class _TokenAudit(msgspec.Struct, frozen=True):
    """What the audit log shows of a token."""

    device_id: DeviceId
    expires_at: str


@operation(Grant.PROVISIONING_WRITE)
async def register_device(work: Work, draft: registry.DeviceDraft, *, life: timedelta) -> MintedToken:
    """Create a device, PENDING, and a token with which it gets its certificate."""
    (outcome,) = await _register(work, [draft], life)
    if isinstance(outcome, RoadsteadError):
        raise outcome
    return outcome


@operation(Grant.PROVISIONING_WRITE)
async def register_devices(
    work: Work, drafts: Sequence[registry.DeviceDraft], *, life: timedelta
) -> list[MintedToken | RoadsteadError]:
    """Create many devices with a token each: one outcome for each, in order. Those that fail leave nothing behind."""
    return await _register(work, drafts, life)


@operation(Grant.PROVISIONING_WRITE)
async def reprovision_device(work: Work, device_id: DeviceId, *, life: timedelta) -> MintedToken:
    """A new token for a device that is there already. Earlier ones that are still open are revoked; it is PENDING."""
    device = await registry.await_check_in(work, device_id)
    await store.revoke_open_tokens(work.tx, work.tenant_id, device_id, at=work.now())
    return (await _mint(work, [(device_id, device.name)], life))[0]


@operation(Grant.PROVISIONING_READ)
async def get_token(work: Work, token_id: UUID) -> RegistrationToken:
    """How a token is doing."""
    return await _load_token(work, token_id)


@operation(Grant.PROVISIONING_READ)
async def list_tokens(
    work: Work, *, status: TokenStatus, device_id: DeviceId | None, query: PageQuery
) -> Page[RegistrationToken]:
    """Tokens of one status, newest first."""
    return await store.select_tokens(work.tx, work.tenant_id, status, device_id, query)


@operation(Grant.PROVISIONING_WRITE)
async def revoke_token(work: Work, token_id: UUID, *, delete_device: bool) -> None:
    """Make a token worthless; a device that never had a certificate goes with it if `delete_device` says so.

    Raises `Conflict` when the token was used, or when the device that shall go has been in use.
    """
    token = await _load_token(work, token_id)
    if token.status is TokenStatus.USED:
        raise Conflict("the token has been used; revoke the device's certificate instead", code="invalid-state")
    if await store.revoke_token(work.tx, work.tenant_id, token_id, at=work.now()):
        work.record("registration-token.revoke", token_id, before=_TokenAudit(token.device_id, str(token.expires_at)))
    elif (await _load_token(work, token_id)).status is TokenStatus.USED:
        raise Conflict("the token has just been used", code="invalid-state")
    if delete_device:
        if await store.has_certificate(work.tx, work.tenant_id, token.device_id):
            raise Conflict("the device has been provisioned; delete it by itself", code="invalid-state")
        await registry.delete_device(work, token.device_id, purge=False, expected=None)


async def _load_token(work: Work, token_id: UUID) -> RegistrationToken:
    token = await store.select_token(work.tx, work.tenant_id, token_id)
    if token is None:
        raise NotFound("registration token", token_id)
    return token


async def _register(
    work: Work, drafts: Sequence[registry.DeviceDraft], life: timedelta
) -> list[MintedToken | RoadsteadError]:
    outcomes: list[registry.Device | RoadsteadError] = []
    for draft in drafts:
        try:
            outcomes.append(await registry.add_device(work, draft))
        except (Conflict, Invalid, NotFound) as error:
            outcomes.append(error)
    made = [(outcome.id, outcome.name) for outcome in outcomes if isinstance(outcome, registry.Device)]
    minted = iter(await _mint(work, made, life))
    return [outcome if isinstance(outcome, RoadsteadError) else next(minted) for outcome in outcomes]


async def _mint(work: Work, devices: Sequence[tuple[DeviceId, str]], life: timedelta) -> list[MintedToken]:
    now = work.now()
    rows, minted = [], []
    for device_id, name in devices:
        text = TokenText.mint(new_id(), device_id)
        rows.append(TokenRow(work.tenant_id, text.id, device_id, text.hash(), work.actor.id, now, now + life))
        minted.append(
            MintedToken(text=text.spell(), id=text.id, device_id=device_id, device_name=name, expires_at=now + life)
        )
        work.record("registration-token.create", text.id, after=_TokenAudit(device_id, str(now + life)))
    await store.insert_tokens(work.tx, rows)
    return minted
