"""Session tokens: JWTs of 15 minutes, signed ES256 with keys that change."""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from roadstead.core.identity.store import signing as store
from roadstead.core.identity.store.signing import SigningKey
from roadstead.core.ports import Ports
from roadstead.core.work import Entry
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Unauthenticated
from roadstead.kernel.ids import UserId

ALGORITHM = "ES256"
LIFETIME = timedelta(minutes=15)
KEY_AGE = timedelta(days=90)
ANNOUNCED = timedelta(hours=1)
"""How long a new key stands in the key set before it signs, so that whoever keeps a copy of the set has it by then."""
LEEWAY = timedelta(seconds=30)
"""By how much clocks of several machines may differ."""


class Claims(msgspec.Struct, frozen=True):
    """What a session token says (contract, `auth_schemes.user`)."""

    iss: str
    aud: str
    sub: UUID
    org: UUID
    role: Role
    sid: UUID
    iat: int
    exp: int


class UnverifiedToken(msgspec.Struct, frozen=True):
    """A token that was taken apart and not yet checked: enough to look up its key, and for nothing else."""

    text: str
    key_id: str
    claims: Claims

    def verify(self, public_jwk: dict[str, Any], ports: Ports) -> Claims:
        """What it says. Raises `Unauthenticated` when it was not signed with this key, is not for us or has expired."""
        try:
            jwt.decode(self.text, _public_key(msgspec.json.encode(public_jwk)), algorithms=[ALGORITHM])
        except JoseError as error:
            raise Unauthenticated("the session token is not one of ours") from error
        if (self.claims.iss, self.claims.aud) != (ports.public_url, _audience(ports)):
            raise Unauthenticated("the session token is for another platform")
        if self.claims.exp <= (time.now() - LEEWAY).timestamp():
            raise Unauthenticated("the session token has expired; refresh it")
        return self.claims


def take_apart(text: str) -> UnverifiedToken:
    """Raises `Unauthenticated` for what is not a session token at all."""
    try:
        parts = jws.extract_compact(text.encode())
        claims = msgspec.json.decode(parts.payload or b"", type=Claims)
        return UnverifiedToken(text, str(parts.headers()["kid"]), claims)
    except (JoseError, msgspec.DecodeError, ValueError, KeyError) as error:
        raise Unauthenticated("this is neither an API key nor a session token") from error


async def issue_token(
    tx: Tx, ports: Ports, *, person_id: UserId, organization_id: UUID, role: Role, session_id: UUID
) -> str:
    """A token of a session, good for `LIFETIME`."""
    now = time.now()
    claims = Claims(
        iss=ports.public_url,
        aud=_audience(ports),
        sub=person_id,
        org=organization_id,
        role=role,
        sid=session_id,
        iat=int(now.timestamp()),
        exp=int((now + LIFETIME).timestamp()),
    )
    return await sign(tx, ports, msgspec.to_builtins(claims))


async def sign(tx: Tx, ports: Ports, claims: dict[str, Any]) -> str:
    """A JWT with the key of this moment."""
    now = time.now()
    key = await store.select_current_key(tx, now) or await _first_key(tx, ports, now)
    private = ECKey.import_key(msgspec.json.decode(ports.vault.open(key.private_jwk, "signing-key")))
    return jwt.encode({"alg": ALGORITHM, "kid": key.id}, claims, private, algorithms=[ALGORITHM])


async def list_public_keys(entry: Entry) -> list[dict[str, Any]]:
    """The JSON Web Keys that tokens can be checked with, those included that will sign next (RFC 7517)."""
    now = time.now()
    keys = await store.select_signing_keys(entry.tx)
    return [key.public_jwk for key in keys if _is_good(key, now)]


async def rotate_signing_keys(entry: Entry, *, older_than: timedelta = KEY_AGE) -> bool:
    """Announce a new key when the newest is older than that; says whether it did. Forget those nobody needs.

    The new key signs an hour later; what the old one has signed until then stays good until it expires. Safe to call
    at any time, from any number of processes.
    """
    now = time.now()
    await store.lock_signing_keys(entry.tx)
    await store.delete_retired_keys(entry.tx, now - LIFETIME - 2 * LEEWAY)
    keys = await store.select_signing_keys(entry.tx)
    if not keys:
        await store.insert_signing_key(entry.tx, _new_key(entry.ports, now, signs_from=now))
        return True
    if keys[0].signs_from > now or keys[0].created_at > now - older_than:
        return False
    await store.insert_signing_key(entry.tx, _new_key(entry.ports, now, signs_from=now + ANNOUNCED))
    return True


async def _first_key(tx: Tx, ports: Ports, now: datetime) -> SigningKey:
    await store.lock_signing_keys(tx)
    key = await store.select_current_key(tx, now)
    if key is None:
        key = _new_key(ports, now, signs_from=now)
        await store.insert_signing_key(tx, key)
    return key


def _new_key(ports: Ports, now: datetime, *, signs_from: datetime) -> SigningKey:
    pair = ECKey.generate_key("P-256")
    names = {"kid": pair.thumbprint(), "use": "sig", "alg": ALGORITHM}
    return SigningKey(
        id=names["kid"],
        public_jwk={**pair.as_dict(private=False), **names},
        private_jwk=ports.vault.seal(msgspec.json.encode(pair.as_dict(private=True)), "signing-key"),
        created_at=now,
        signs_from=signs_from,
    )


def _is_good(key: SigningKey, now: datetime) -> bool:
    return key.retired_at is None or key.retired_at + LIFETIME + LEEWAY > now


def _audience(ports: Ports) -> str:
    return f"{ports.public_url}/api"


@lru_cache(maxsize=16)
def _public_key(jwk: bytes) -> ECKey:
    return ECKey.import_key(msgspec.json.decode(jwk))
