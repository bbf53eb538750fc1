"""Session tokens: who signed them, for whom, and for how long."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet

from roadstead.core import identity
from roadstead.kernel.errors import Unauthenticated
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.people import add_person, authenticate, entry, sign_in


async def public_keys(edge: Edge) -> list[dict[str, Any]]:
    async with entry(edge) as door:
        return await identity.list_public_keys(door)


async def let_time_pass(edge: Edge, seconds: float) -> None:
    """Everything about signing keys was so much earlier."""
    async with edge.system_database.tx() as tx:
        await tx.run(
            """
            UPDATE signing_key
            SET created_at = created_at - %s, signs_from = signs_from - %s, retired_at = retired_at - %s
            """,
            *[timedelta(seconds=seconds)] * 3,
        )


def header_of(token: str) -> dict[str, Any]:
    return jws.extract_compact(token.encode()).headers()


async def test_a_token_can_be_checked_with_the_public_keys(acme: Tenant) -> None:
    person = await add_person(acme)
    token = (await sign_in(acme, person)).access_token
    keys = await public_keys(acme.edge)

    checked = jwt.decode(token, KeySet.import_key_set({"keys": keys}), algorithms=["ES256"])
    claims = checked.claims
    assert (claims["iss"], claims["aud"]) == ("http://api.test", "http://api.test/api")
    assert (claims["sub"], claims["org"], claims["role"]) == (str(person.id), str(acme.organization_id), "OWNER")
    assert claims["exp"] - claims["iat"] == 900
    assert all("d" not in key and key["kty"] == "EC" for key in keys)


async def test_a_token_that_was_signed_or_changed_by_somebody_else_is_refused(acme: Tenant, globex: Tenant) -> None:
    token = (await sign_in(acme, await add_person(acme))).access_token
    header, claims = (
        header_of(token),
        jwt.decode(token, KeySet.import_key_set({"keys": await public_keys(acme.edge)}), algorithms=["ES256"]).claims,
    )
    forger = ECKey.generate_key("P-256")

    forged = jwt.encode(header, claims, forger, algorithms=["ES256"])
    other = jwt.encode(header, {**claims, "org": str(globex.organization_id)}, forger, algorithms=["ES256"])
    unsigned = ".".join([*jwt.encode({"alg": "ES256", "kid": header["kid"]}, claims, forger).split(".")[:2], ""])
    for bad in (forged, other, unsigned, token[:-4] + "AAAA"):
        with pytest.raises(Unauthenticated):
            await authenticate(acme.edge, bad)


async def test_a_token_of_another_platform_is_refused(acme: Tenant) -> None:
    token = (await sign_in(acme, await add_person(acme))).access_token
    ports = msgspec.structs.replace(acme.edge.ports, public_url="http://elsewhere.test")
    with pytest.raises(Unauthenticated, match="another platform"):
        await authenticate(msgspec.structs.replace(acme.edge, ports=ports), token)


async def test_a_token_is_good_for_a_quarter_of_an_hour(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    token = (await sign_in(acme, await add_person(acme))).access_token
    from roadstead.kernel import time

    now = time.now()
    monkeypatch.setattr("roadstead.kernel.time.now", lambda: now + timedelta(minutes=14))
    await authenticate(acme.edge, token)
    monkeypatch.setattr("roadstead.kernel.time.now", lambda: now + timedelta(minutes=16))
    with pytest.raises(Unauthenticated, match="expired"):
        await authenticate(acme.edge, token)


async def test_a_new_key_is_announced_before_it_signs_and_the_old_one_outlives_its_tokens(acme: Tenant) -> None:
    person = await add_person(acme)
    old = (await sign_in(acme, person)).access_token
    async with entry(acme.edge) as door:
        assert not await identity.rotate_signing_keys(door)
        assert await identity.rotate_signing_keys(door, older_than=timedelta(0))
        assert not await identity.rotate_signing_keys(door, older_than=timedelta(0))

    announced = {key["kid"] for key in await public_keys(acme.edge)}
    still_old = (await sign_in(acme, person)).access_token
    assert header_of(still_old)["kid"] == header_of(old)["kid"]

    await let_time_pass(acme.edge, 3601)
    new = (await sign_in(acme, person)).access_token
    assert header_of(new)["kid"] != header_of(old)["kid"] and header_of(new)["kid"] in announced
    for token in (old, new):
        await authenticate(acme.edge, token)

    await let_time_pass(acme.edge, 16 * 60)
    assert header_of(old)["kid"] not in {key["kid"] for key in await public_keys(acme.edge)}
    with pytest.raises(Unauthenticated):
        await authenticate(acme.edge, old)
    await authenticate(acme.edge, new)


async def test_many_who_rotate_at_once_make_one_key(acme: Tenant) -> None:
    await let_time_pass(acme.edge, 91 * 86_400)

    async def rotate() -> bool:
        async with entry(acme.edge) as door:
            return await identity.rotate_signing_keys(door)

    assert sorted(await asyncio.gather(*(rotate() for _ in range(5)))) == [False] * 4 + [True]


async def test_private_keys_lie_sealed(acme: Tenant) -> None:
    await sign_in(acme, await add_person(acme))
    async with acme.edge.system_database.tx() as tx:
        for public, private in await tx.rows("SELECT public_jwk, private_jwk FROM signing_key"):
            assert "d" not in public
            assert public["x"].encode() not in private
