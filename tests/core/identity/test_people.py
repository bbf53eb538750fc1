"""One's own account: profile and password."""

import re

import pytest

from roadstead.core import identity
from roadstead.core.identity import PersonChange
from roadstead.kernel.errors import Gone, Invalid, Unauthenticated
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.people import PASSWORD, account, actor_of, add_person, authenticate, entry, last_actions, sign_in

NEW = "a much better password"


async def request_reset(edge: Edge, email: str) -> str | None:
    """The token that was mailed, if any was."""
    async with entry(edge) as door:
        mail = await identity.request_reset(door, email)
    if mail is None:
        return None
    assert mail.to == email
    found = re.search(r"^  ([0-9A-Za-z]{43})$", mail.text, re.MULTILINE)
    assert found
    return found.group(1)


async def test_a_profile_changes_field_by_field(acme: Tenant) -> None:
    person = await add_person(acme)
    actor = await actor_of(acme, person)
    async with account(acme.edge, actor) as own:
        await identity.change_self(own, PersonChange(name="Ada", locale="de-CH", preferences={"mail": True, "sms": 1}))
        after = await identity.change_self(own, PersonChange(locale=None, preferences={"sms": None}))
    assert (after.name, after.locale, after.preferences) == ("Ada", None, {"mail": True})

    for change in (
        PersonChange(locale="x y"),
        PersonChange(time_zone="Mars/Olympus"),
        PersonChange(preferences={"a": "b" * 11_000}),
    ):
        with pytest.raises(Invalid):
            async with account(acme.edge, actor) as own:
                await identity.change_self(own, change)


async def test_a_new_password_ends_all_other_sessions(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    await add_person(globex, email=person.email, known=True)
    here, elsewhere = await sign_in(acme, person), await sign_in(globex, person)
    actor = await authenticate(acme.edge, here.access_token)
    with pytest.raises(Unauthenticated, match="current password"):
        async with account(acme.edge, actor) as own:
            await identity.change_password(own, current="wrong password", new=NEW)
    with pytest.raises(Invalid, match="12 to 200"):
        async with account(acme.edge, actor) as own:
            await identity.change_password(own, current=PASSWORD, new="short")

    async with account(acme.edge, actor) as own:
        await identity.change_password(own, current=PASSWORD, new=NEW)
    await authenticate(acme.edge, here.access_token)
    with pytest.raises(Unauthenticated):
        await authenticate(acme.edge, elsewhere.access_token)
    with pytest.raises(Unauthenticated):
        await sign_in(acme, person)
    async with entry(acme.edge) as door:
        await identity.sign_in(door, email=person.email, password=NEW)


async def test_a_mailed_token_sets_a_password_once(acme: Tenant) -> None:
    person = await add_person(acme)
    session = await sign_in(acme, person)
    token = await request_reset(acme.edge, person.email)
    assert token and await request_reset(acme.edge, person.email) is None
    assert await request_reset(acme.edge, f"nobody@{acme.slug}.test") is None

    async with entry(acme.edge) as door:
        await identity.reset_password(door, token=token, new=NEW)
    with pytest.raises(Unauthenticated):
        await authenticate(acme.edge, session.access_token)
    assert (await last_actions(acme, 1)) == ["user.reset-password"]
    for bad in (token, "never was"):
        with pytest.raises(Gone):
            async with entry(acme.edge) as door:
                await identity.reset_password(door, token=bad, new=NEW)
    async with entry(acme.edge) as door:
        await identity.sign_in(door, email=person.email, password=NEW)


async def test_a_mailed_token_runs_out_after_an_hour(acme: Tenant) -> None:
    person = await add_person(acme)
    token = await request_reset(acme.edge, person.email)
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE password_reset SET expires_at = expires_at - interval '1 hour'")
    with pytest.raises(Gone):
        async with entry(acme.edge) as door:
            await identity.reset_password(door, token=token or "", new=NEW)


async def test_a_reset_opens_a_locked_account(acme: Tenant) -> None:
    person = await add_person(acme)
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            async with entry(acme.edge) as door:
                await identity.sign_in(door, email=person.email, password="wrong password")
    token = await request_reset(acme.edge, person.email)
    async with entry(acme.edge) as door:
        await identity.reset_password(door, token=token or "", new=NEW)
        await identity.sign_in(door, email=person.email, password=NEW)
