"""The SQL of invitations as those see them who were invited, whoever did."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from roadstead.core.identity.model import Invitation
from roadstead.core.identity.role_model import Offer, OfferStatus
from roadstead.core.identity.store.roles import NAMES_OF_INVITATION
from roadstead.db import Tx
from roadstead.db.listing import Condition, Listing, SortKey
from roadstead.kernel.ids import TenantId
from roadstead.kernel.page import Page, PageQuery

_STATUS = (
    "CASE WHEN i.accepted_at IS NOT NULL THEN 'accepted' WHEN i.declined_at IS NOT NULL THEN 'declined' ELSE 'open' END"
)
_OFFER = f"""
    i.id, i.email, i.invited_by, i.created_at, {_STATUS} AS status, t.public_id AS organization_id,
    t.name AS organization_name, {NAMES_OF_INVITATION} AS roles
"""
_OFFERS = Listing(columns=_OFFER, source="invitation i JOIN tenant t USING (tenant_id)", tie="i.id")
_SHOWN = "i.revoked_at IS NULL AND (i.accepted_at IS NOT NULL OR i.declined_at IS NOT NULL OR i.expires_at > %s)"
_INVITATION = "tenant_id, id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at, declined_at"


async def page_offers_of(
    tx: Tx, tenant: TenantId, *, statuses: Sequence[OfferStatus], at: datetime, query: PageQuery
) -> Page[Offer]:
    """Those of a tenant, newest first; neither what was withdrawn nor what has run out."""
    return await _page(tx, Condition("i.tenant_id = %s", (tenant,)), statuses, at, query)


async def page_offers_to(
    tx: Tx, email: str, *, statuses: Sequence[OfferStatus], at: datetime, query: PageQuery
) -> Page[Offer]:
    """Those to an address, newest first; neither what was withdrawn nor what has run out."""
    return await _page(tx, Condition("lower(i.email) = lower(%s)", (email,)), statuses, at, query)


async def select_offer(tx: Tx, tenant: TenantId, invitation: UUID) -> Offer | None:
    """One of a tenant."""
    sql = f"SELECT {_OFFER} FROM {_OFFERS.source} WHERE i.tenant_id = %s AND i.id = %s"
    return await tx.one(Offer, sql, tenant, invitation)


async def lock_offer_to(tx: Tx, email: str, invitation: UUID) -> Invitation | None:
    """One to an address, locked until the end of the transaction: only one can answer it."""
    sql = f"SELECT {_INVITATION} FROM invitation WHERE lower(email) = lower(%s) AND id = %s FOR UPDATE"
    return await tx.one(Invitation, sql, email, invitation)


async def has_open_offer(tx: Tx, tenant: TenantId, email: str, at: datetime) -> bool:
    """Whether somebody with this address was asked and has not answered."""
    sql = f"""
        SELECT EXISTS (
            SELECT FROM invitation i
            WHERE i.tenant_id = %s AND lower(i.email) = lower(%s) AND {_SHOWN} AND {_STATUS} = 'open'
        )
    """
    return bool(await tx.value(sql, tenant, email, at))


async def decline_offer(tx: Tx, invitation: Invitation, at: datetime) -> None:
    """Nobody can accept it any more."""
    sql = "UPDATE invitation SET declined_at = %s WHERE tenant_id = %s AND id = %s"
    await tx.run(sql, at, invitation.tenant_id, invitation.id)


async def _page(
    tx: Tx, whose: Condition, statuses: Sequence[OfferStatus], at: datetime, query: PageQuery
) -> Page[Offer]:
    where = [whose, Condition(_SHOWN, (at,))]
    if statuses:
        where.append(Condition(f"{_STATUS} = ANY (%s)", (list(statuses),)))
    newest_first = [SortKey("i.created_at", descending=True, cast="timestamptz")]
    return await _OFFERS.page(tx, Offer, where, newest_first, query)
