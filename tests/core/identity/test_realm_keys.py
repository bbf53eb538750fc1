"""The keys of the realm, and how they change."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from joserfc import jws, jwt
from joserfc.jwk import KeySet, RSAKey

from roadstead.core import identity
from roadstead.core.identity import realm_keys
from roadstead.kernel import time
from roadstead.kernel.errors import Unauthenticated
from roadstead.web.edge import Edge
from tests.people import entry


@pytest_asyncio.fixture(autouse=True)
async def _fresh(edge: Edge) -> AsyncIterator[None]:
    """No keys of other tests."""
    async with edge.system_database.tx() as tx:
        await tx.run("DELETE FROM realm_key")
    yield


async def sign(edge: Edge, **said: Any) -> str:
    """A token that is good for ten days."""
    async with entry(edge) as door:
        claims = {"exp": int((time.now() + timedelta(days=10)).timestamp()), **said}
        return await realm_keys.sign(door.tx, door.ports, claims)


async def read(edge: Edge, token: str) -> dict[str, Any]:
    async with entry(edge) as door:
        return await realm_keys.verify(door.tx, token)


async def rotate(edge: Edge, **older_than: float) -> bool:
    async with entry(edge) as door:
        return await identity.rotate_realm_keys(door, older_than=timedelta(**older_than))


async def published(edge: Edge) -> list[str]:
    async with entry(edge) as door:
        return [key["kid"] for key in await identity.list_realm_keys(door)]


async def let_time_pass(edge: Edge, **span: float) -> None:
    """Everything about the keys was so much earlier."""
    async with edge.system_database.tx() as tx:
        await tx.run(
            """
            UPDATE realm_key
            SET created_at = created_at - %s, signs_from = signs_from - %s, retired_at = retired_at - %s
            """,
            *[timedelta(**span)] * 3,
        )


def key_of(token: str) -> str:
    return str(jws.extract_compact(token.encode()).headers()["kid"])


async def test_a_key_is_announced_before_it_signs_and_the_old_one_is_kept_for_what_it_has_signed(edge: Edge) -> None:
    before = await sign(edge, said="before")
    old = key_of(before)
    assert not await rotate(edge, days=90)
    await let_time_pass(edge, days=91)
    assert await rotate(edge, days=90)
    assert not await rotate(edge, days=0)

    new, kept = await published(edge)
    assert kept == old != new
    assert key_of(await sign(edge)) == old
    await let_time_pass(edge, hours=1, seconds=1)
    after = await sign(edge, said="after")
    assert key_of(after) == new
    assert (await read(edge, before))["said"] == "before"

    await let_time_pass(edge, days=11, minutes=1)
    assert await published(edge) == [new]
    await rotate(edge, days=90)
    with pytest.raises(Unauthenticated, match="no token of ours"):
        await read(edge, before)
    assert (await read(edge, after))["said"] == "after"


async def test_a_realm_that_nobody_uses_has_no_key_to_rotate(edge: Edge) -> None:
    assert not await rotate(edge, days=0)
    assert len(await published(edge)) == 1


async def test_what_somebody_else_has_signed_or_changed_is_refused(edge: Edge) -> None:
    token = await sign(edge, sub="me")
    header = jws.extract_compact(token.encode()).headers()
    forger = RSAKey.generate_key(2048)
    claims = (await read(edge, token)) | {"sub": "you"}
    forged = jwt.encode({**header, "alg": "RS256"}, claims, forger, algorithms=["RS256"])
    head, body, signature = token.split(".")
    for bad in (forged, f"{head}.{forged.split('.')[1]}.{signature}", f"{head}.{body}.", "nonsense", ""):
        with pytest.raises(Unauthenticated):
            await read(edge, bad)
    expired = await sign(edge, exp=int(time.now().timestamp()) - 31)
    with pytest.raises(Unauthenticated, match="expired"):
        await read(edge, expired)


async def test_what_is_published_is_enough_to_check_a_token_and_not_to_sign_one(edge: Edge) -> None:
    token = await sign(edge, sub="me")
    async with entry(edge) as door:
        keys = await identity.list_realm_keys(door)
    assert all("d" not in key and "p" not in key for key in keys)
    checked = jwt.decode(token, KeySet.import_key_set({"keys": keys}), algorithms=["RS256"])
    assert checked.claims["sub"] == "me"
    async with edge.system_database.tx() as tx:
        sealed = await tx.value("SELECT private_jwk FROM realm_key")
    assert b'"d"' not in sealed
