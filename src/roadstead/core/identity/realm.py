"""The realm: tokens of OpenID Connect, signed RS256, and who stands behind them (contract lightelligence)."""

from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from roadstead.core.identity.permissions import PERMISSIONS_OF_ROLE, Permission, grants_of_permissions
from roadstead.core.identity.store import realm as store
from roadstead.core.identity.store.realm import RealmKey
from roadstead.core.operation import unguarded
from roadstead.core.ports import Ports
from roadstead.core.tenancy import OrganizationStatus
from roadstead.core.work import Entry
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import Actor, ActorKind
from roadstead.kernel.errors import Forbidden, Unauthenticated

ACCESS_LIFE = timedelta(days=10)
_ALGORITHM = "RS256"
_LEEWAY_S = 30


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What an access token says, as far as we look at it (contract section 3.4)."""

    iss: str
    sub: UUID
    azp: str
    typ: str
    exp: int
    session_state: str = ""
    tenant: UUID | None = None
    """None: of a person or application that has not said for which tenant."""
    scope: str = ""
    client_id: str | None = msgspec.field(default=None, name="clientId")
    """Only in tokens of the client_credentials grant."""


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """Who shows a token."""

    subject: UUID
    """The person, or the service account of an application."""
    client_id: str
    actor: Actor | None
    """Within the tenant of the token, if it has one."""
    permissions: frozenset[Permission] = frozenset()
    """In that tenant."""
    custom_permissions: frozenset[str] = frozenset()
    """Those that applications have brought along, by their alias."""
    application_id: UUID | None = None
    """Whose token it is, when it is one of an application of somebody's making."""
    is_application: bool = False
    """An application by itself (client_credentials), not a person through one."""

    def within_tenant(self) -> Actor:
        """Raises `Forbidden` for a token without a tenant."""
        if self.actor is None:
            raise Forbidden("this token is for no tenant")
        return self.actor


async def sign(tx: Tx, ports: Ports, claims: dict[str, Any]) -> str:
    """A JWT of the realm. The first one makes its key."""
    keys = await store.select_realm_keys(tx)
    if not keys:
        await store.lock_realm_keys(tx)
        keys = await store.select_realm_keys(tx) or [await _add_key(tx, ports)]
    key = keys[0]
    private = _private_key(key.id, ports.vault.open(key.private_jwk, "realm-key"))
    return jwt.encode({"alg": _ALGORITHM, "kid": key.id, "typ": "JWT"}, claims, private, algorithms=[_ALGORITHM])


async def verify(tx: Tx, text: str) -> dict[str, Any]:
    """The claims of a JWT that this realm has signed and that is still good. Raises `Unauthenticated`."""
    try:
        key_id = str(jws.extract_compact(text.encode()).headers()["kid"])
    except (JoseError, ValueError, KeyError) as error:
        raise Unauthenticated("this is no token of ours") from error
    key = next((key for key in await store.select_realm_keys(tx) if key.id == key_id), None)
    if key is None:
        raise Unauthenticated("this is no token of ours")
    try:
        claims = jwt.decode(text, _public_key(msgspec.json.encode(key.public_jwk)), algorithms=[_ALGORITHM]).claims
    except JoseError as error:
        raise Unauthenticated("this is no token of ours") from error
    if claims.get("exp", 0) <= time.now().timestamp() - _LEEWAY_S:
        raise Unauthenticated("the token has expired")
    return claims


@unguarded("the token is the secret that is asked for")
async def authenticate_bearer(entry: Entry, text: str) -> Bearer:
    """Who shows this access token. Everything is looked up, so that what is revoked is out at once.

    Raises `Unauthenticated` when it is not, or no longer, good; `Forbidden` when nobody may work in its tenant.
    """
    try:
        claims = msgspec.convert(await verify(entry.tx, text), AccessClaims)
        session = UUID(claims.session_state)
    except (msgspec.ValidationError, ValueError) as error:
        raise Unauthenticated("this is no access token") from error
    if claims.typ != "Bearer":
        raise Unauthenticated("this is no access token")
    if claims.tenant is None:
        raise Unauthenticated("this token is for no tenant")
    known = await store.select_bearer(entry.tx, organization_id=claims.tenant, session_id=session, at=time.now())
    if known is None or known.person_id != claims.sub:
        raise Unauthenticated("the session is over; sign in again")
    OrganizationStatus(known.status).check_working()
    permissions = PERMISSIONS_OF_ROLE[known.role]
    actor = Actor(
        kind=ActorKind.USER,
        id=known.person_id,
        name=known.person_name,
        tenant_id=known.tenant_id,
        organization_id=known.organization_id,
        grants=grants_of_permissions(permissions),
        role=known.role,
        session_id=session,
        request_id=entry.request_id,
        address=entry.address,
    )
    return Bearer(subject=known.person_id, client_id=claims.azp, actor=actor, permissions=permissions)


async def _add_key(tx: Tx, ports: Ports) -> RealmKey:
    pair = RSAKey.generate_key(2048)
    names = {"kid": pair.thumbprint(), "use": "sig", "alg": _ALGORITHM}
    key = RealmKey(
        id=names["kid"],
        public_jwk={**pair.as_dict(private=False), **names},
        private_jwk=ports.vault.seal(msgspec.json.encode(pair.as_dict(private=True)), "realm-key"),
        created_at=time.now(),
    )
    await store.insert_realm_key(tx, key)
    return key


@lru_cache(maxsize=16)
def _public_key(jwk: bytes) -> RSAKey:
    return RSAKey.import_key(msgspec.json.decode(jwk))


@lru_cache(maxsize=4)
def _private_key(key_id: str, jwk: bytes) -> RSAKey:
    return RSAKey.import_key(msgspec.json.decode(jwk))
