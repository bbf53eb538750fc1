"""The OpenID providers of a project."""

from uuid import UUID

import msgspec

from roadstead.core.identity.oidc_model import OidcClient, OidcClientChange, OidcClientDraft
from roadstead.core.identity.store import oidc as store
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.ids import new_id


@operation(Grant.ORGANIZATION_READ)
async def list_oidc_clients(work: Work) -> list[OidcClient]:
    """All of them, by name."""
    return await store.select_clients(work.tx, work.tenant_id)


@operation(Grant.ORGANIZATION_READ)
async def get_oidc_client(work: Work, client_id: UUID) -> OidcClient:
    """One of them."""
    return await _load(work, client_id)


@operation(Grant.ORGANIZATION_WRITE)
async def create_oidc_client(work: Work, draft: OidcClientDraft) -> OidcClient:
    """Add a provider. Raises `Conflict` when another one has the alias."""
    now, fields = work.now(), msgspec.structs.asdict(draft)
    secret: str = fields.pop("client_secret")
    client = OidcClient(id=new_id(), created_at=now, updated_at=now, **fields)
    _check(work, client)
    if not await store.insert_client(work.tx, work.tenant_id, client, _seal(work, secret)):
        raise Conflict.taken("OpenID client", "alias", client.alias)
    work.record("oidc-client.create", client.id, after=client)
    return client


@operation(Grant.ORGANIZATION_WRITE)
async def change_oidc_client(work: Work, client_id: UUID, change: OidcClientChange) -> OidcClient:
    """Change it, at once. Raises `Conflict` when another one has the alias."""
    before, sent = await _load(work, client_id), change.sent()
    secret = sent.pop("client_secret", None)
    after = msgspec.structs.replace(before, **sent, updated_at=work.now())
    _check(work, after)
    if await store.is_alias_taken(work.tx, work.tenant_id, after):
        raise Conflict.taken("OpenID client", "alias", after.alias)
    await store.update_client(work.tx, work.tenant_id, after, None if secret is None else _seal(work, secret))
    work.record("oidc-client.update", client_id, before=before, after=after)
    return after


@operation(Grant.ORGANIZATION_WRITE)
async def delete_oidc_client(work: Work, client_id: UUID) -> None:
    """Nobody signs in with it any more; those who have stay."""
    before = await _load(work, client_id)
    await store.delete_client(work.tx, work.tenant_id, client_id)
    work.record("oidc-client.delete", client_id, before=before)


def _check(work: Work, client: OidcClient) -> None:
    client.check()
    wrong = work.ports.outgoing.check_url(client.discovery_url)
    if wrong is not None:
        raise Invalid.field("/discoveryUrl", wrong)


def _seal(work: Work, secret: str) -> bytes:
    return work.ports.vault.seal(secret.encode(), "oidc-client")


async def _load(work: Work, client_id: UUID) -> OidcClient:
    client = await store.select_client(work.tx, work.tenant_id, client_id)
    if client is None:
        raise NotFound("OpenID client", client_id)
    return client
