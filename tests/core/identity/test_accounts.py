"""Accounts of a project: what they may do in the core, and where browsers of a provider may be sent."""

from datetime import timedelta

import pytest

from roadstead.core import identity
from roadstead.core.identity import AccountDraft, Audience, MemberAccount, ProvenPerson
from roadstead.core.identity.oidc_model import place_of
from roadstead.core.work import Work
from roadstead.kernel import time
from roadstead.kernel.actor import GRANTS_OF_ROLE, Role
from roadstead.kernel.errors import Conflict, Invalid, Unauthenticated
from roadstead.workers.housekeeping import EXPIRING
from tests.conftest import Tenant
from tests.people import entry, last_actions

PASSWORD = "secret-7"


async def add_account(tenant: Tenant, username: str = "maria") -> MemberAccount:
    """Somebody made by a project."""
    async with entry(tenant.edge) as door:
        work = Work(tenant.actor(), door.tx, door.ports)
        door.tx.tenant = tenant.tenant_id
        return await identity.create_account(work, AccountDraft(username=username, password=PASSWORD))


async def log_in(tenant: Tenant, username: str = "maria") -> str:
    """A token for the project."""
    async with entry(tenant.edge) as door:
        token = await identity.log_in(
            door, username=username, password=PASSWORD, project_id=tenant.organization_id, otp=None
        )
        return token.token


async def is_good(tenant: Tenant, token: str) -> bool:
    """Whether a token lets somebody in."""
    async with entry(tenant.edge) as door:
        try:
            await identity.authenticate_id_token(door, token)
        except Unauthenticated:
            return False
    return True


async def test_an_account_has_no_rights_until_its_member_is_given_a_role_on_the_platform(acme: Tenant) -> None:
    account = await add_account(acme)
    async with acme.work() as work:
        assert not await identity.load_grants(work, account.person_id)
        await identity.change_member(work, account.person_id, Role.MEMBER)
        assert await identity.load_grants(work, account.person_id) == GRANTS_OF_ROLE[Role.MEMBER]
        assert not (await identity.get_account(work, account.person_id)).confined
    assert "account.create" in await last_actions(acme)


async def test_a_name_of_somebody_who_has_another_one_now_can_be_given_again(acme: Tenant) -> None:
    first = await add_account(acme)
    async with entry(acme.edge) as door:
        door.tx.tenant = acme.tenant_id
        work = Work(acme.actor(), door.tx, door.ports)
        await identity.change_account(work, first.person_id, identity.AccountChange(username="maria-2"))
    second = await add_account(acme)
    assert second.person_id != first.person_id
    with pytest.raises(Conflict, match="'Maria-2' already exists"):
        await add_account(acme, "Maria-2")


async def test_a_token_is_good_for_a_day_and_is_then_forgotten(acme: Tenant) -> None:
    await add_account(acme)
    token = await log_in(acme)
    assert await is_good(acme, token)
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE id_token SET expires_at = expires_at - %s", identity.ID_TOKEN_LIFE + timedelta(seconds=1))
        expired = await tx.value(f"SELECT count(*) FROM id_token WHERE {EXPIRING['id_token']}")
    assert not await is_good(acme, token)
    assert expired >= 1


async def test_a_member_who_left_and_came_back_has_no_old_tokens(acme: Tenant) -> None:
    account = await add_account(acme)
    token = await log_in(acme)
    async with acme.work() as work:
        await identity.remove_member(work, account.person_id)
    async with acme.edge.system_database.tx() as tx:
        await tx.run(
            "INSERT INTO membership (tenant_id, person_id, role, joined_at) VALUES (%s, %s, 'MEMBER', %s)",
            acme.tenant_id,
            account.person_id,
            time.now(),
        )
    assert not await is_good(acme, token)


async def test_a_username_can_be_typed_and_stand_in_a_path(acme: Tenant) -> None:
    for wrong in ("", "a b", "a/b", "a\n", "x" * 255):
        with pytest.raises(Invalid, match="username"):
            await add_account(acme, wrong)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.test/in", "https://a.test/in?x=1", True),
        ("https://A.test", "https://a.test/", True),
        ("https://a.test/in", "https://a.test/in/", False),
        ("https://a.test/in", "https://a.test:444/in", False),
        ("https://a.test/in", "http://a.test/in", False),
        ("https://a.test/in", "https://a.test/in#part", False),
        ("https://a.test/in", "https://u@a.test/in", False),
        ("https://a.test/in", "https://b.test\\@a.test/in", False),
    ],
)
def test_a_place_differs_from_another_in_all_but_its_query(one: str, other: str, same: bool) -> None:
    assert (place_of(one) == place_of(other)) is same


def test_whom_a_token_is_for_counts_when_it_is_asked_for() -> None:
    urls = frozenset({"https://a.test"})
    assert Audience(urls, strict=False).accepts(None)
    assert Audience(urls, strict=True).accepts(["https://b.test", "https://a.test/"])
    assert not Audience(urls, strict=True).accepts("https://b.test")


def test_nobody_is_expected_by_an_address_that_they_have_only_chosen() -> None:
    unsure = ProvenPerson(sub="1", email="a@b.test", email_verified=False, preferred_username="boss@b.test")
    assert unsure.names == []
    assert ProvenPerson(sub="1", email="a@b.test", preferred_username="ann").names == ["a@b.test", "ann"]
