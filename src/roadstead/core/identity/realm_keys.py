"""The keys of the realm: RS256, changed in time; what an older one has signed stays good until it expires."""

import base64
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from roadstead.core.identity.store import realm as store
from roadstead.core.identity.store.realm import RealmKey
from roadstead.core.operation import unguarded
from roadstead.core.ports import Ports
from roadstead.core.work import Entry
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.errors import Unauthenticated

ACCESS_LIFE = timedelta(days=10)
REFRESH_LIFE = timedelta(days=11)
KEY_AGE = timedelta(days=90)
ANNOUNCED = timedelta(hours=1)
"""How long a new key stands in the key set before it signs, so that whoever keeps a copy of the set has it by then."""
_ALGORITHM = "RS256"
_LEEWAY = timedelta(seconds=30)


async def sign(tx: Tx, ports: Ports, claims: dict[str, Any]) -> str:
    """A JWT of the realm."""
    key = await _current_key(tx, ports)
    private = _private_key(ports.vault.open(key.private_jwk, "realm-key"))
    return jwt.encode({"alg": _ALGORITHM, "kid": key.id, "typ": "JWT"}, claims, private, algorithms=[_ALGORITHM])


async def verify(tx: Tx, text: str, *, even_expired: bool = False) -> dict[str, Any]:
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
    if not even_expired and claims.get("exp", 0) <= (time.now() - _LEEWAY).timestamp():
        raise Unauthenticated("the token has expired")
    return claims


@unguarded("the public half of a key is for everybody")
async def get_realm_key(entry: Entry) -> str:
    """The public half of the key that signs, as base64 of its DER (SubjectPublicKeyInfo)."""
    key = await _current_key(entry.tx, entry.ports)
    der = _public_key(msgspec.json.encode(key.public_jwk)).as_der(private=False)
    return base64.b64encode(der).decode()


@unguarded("the public half of a key is for everybody")
async def list_realm_keys(entry: Entry) -> list[dict[str, Any]]:
    """The JSON Web Keys that tokens of the realm can be checked with, those included that will sign next."""
    await _current_key(entry.tx, entry.ports)
    oldest = time.now() - REFRESH_LIFE - _LEEWAY
    keys = await store.select_realm_keys(entry.tx)
    return [key.public_jwk for key in keys if key.retired_at is None or key.retired_at > oldest]


@unguarded("for the worker that looks after keys")
async def rotate_realm_keys(entry: Entry, *, older_than: timedelta = KEY_AGE) -> bool:
    """Announce a new key when the newest is older than that; says whether it did. Forget those nobody needs.

    The new key signs an hour later; what the old one has signed until then stays good until it expires. Safe to call
    at any time, from any number of processes. A realm that nobody has used yet gets its key when somebody does.
    """
    now = time.now()
    await store.lock_realm_keys(entry.tx)
    await store.delete_retired_keys(entry.tx, now - REFRESH_LIFE - 2 * _LEEWAY)
    keys = await store.select_realm_keys(entry.tx)
    if not keys or keys[0].signs_from > now or keys[0].created_at > now - older_than:
        return False
    await store.insert_realm_key(entry.tx, _new_key(entry.ports, now, signs_from=now + ANNOUNCED))
    return True


async def _current_key(tx: Tx, ports: Ports) -> RealmKey:
    """The one that signs. The first is made when it is needed."""
    now = time.now()
    key = await store.select_current_key(tx, now)
    if key is not None:
        return key
    await store.lock_realm_keys(tx)
    key = await store.select_current_key(tx, now)
    if key is None:
        key = _new_key(ports, now, signs_from=now)
        await store.insert_realm_key(tx, key)
    return key


def _new_key(ports: Ports, now: datetime, *, signs_from: datetime) -> RealmKey:
    pair = RSAKey.generate_key(2048)
    names = {"kid": pair.thumbprint(), "use": "sig", "alg": _ALGORITHM}
    return RealmKey(
        id=names["kid"],
        public_jwk={**pair.as_dict(private=False), **names},
        private_jwk=ports.vault.seal(msgspec.json.encode(pair.as_dict(private=True)), "realm-key"),
        created_at=now,
        signs_from=signs_from,
    )


@lru_cache(maxsize=16)
def _public_key(jwk: bytes) -> RSAKey:
    return RSAKey.import_key(msgspec.json.decode(jwk))


@lru_cache(maxsize=4)
def _private_key(jwk: bytes) -> RSAKey:
    return RSAKey.import_key(msgspec.json.decode(jwk))
