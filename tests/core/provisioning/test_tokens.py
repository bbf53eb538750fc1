"""Registration tokens: listed, revoked, made by the thousand."""

from datetime import timedelta

import pytest

from roadstead.core import provisioning, registry
from roadstead.core.provisioning import MintedToken, TokenStatus
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Conflict, NotFound, RoadsteadError
from roadstead.kernel.ids import DeviceId, new_id
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.core.provisioning.devices import exchange, register


async def names(tenant: Tenant, status: TokenStatus, device_id: DeviceId | None = None) -> list[str]:
    """Devices of the tokens of one status, newest token first."""
    async with tenant.work() as work:
        page = await provisioning.list_tokens(work, status=status, device_id=device_id, query=PageQuery())
    assert {token.status for token in page.items} <= {status}
    return [token.device_name for token in page.items]


async def test_a_token_is_listed_under_what_became_of_it(acme: Tenant, globex: Tenant) -> None:
    pending = await register(acme, "pending")
    used = await register(acme, "used")
    await exchange(acme, used.text)
    await register(acme, "expired", life=timedelta(seconds=-1))
    revoked = await register(acme, "revoked")
    async with acme.work() as work:
        await provisioning.revoke_token(work, revoked.id, delete_device=False)

    for status in TokenStatus:
        assert await names(acme, status) == [status.lower()]
        assert await names(globex, status) == []
    assert await names(acme, TokenStatus.PENDING, pending.device_id) == ["pending"]
    assert await names(acme, TokenStatus.PENDING, used.device_id) == []
    async with acme.work() as work:
        token = await provisioning.get_token(work, used.id)
    assert (token.status, token.used_address) == (TokenStatus.USED, "192.0.2.7")


async def test_pages_of_tokens_follow_each_other(acme: Tenant) -> None:
    for number in range(5):
        await register(acme, f"pump-{number}")
    seen: list[str] = []
    query: PageQuery | None = PageQuery(limit=2)
    while query is not None:
        async with acme.work() as work:
            page = await provisioning.list_tokens(work, status=TokenStatus.PENDING, device_id=None, query=query)
        seen += [token.device_name for token in page.items]
        query = PageQuery(limit=2, cursor=page.next_cursor) if page.next_cursor else None

    assert seen == [f"pump-{number}" for number in reversed(range(5))]


async def test_a_token_of_another_organization_does_not_exist(acme: Tenant, globex: Tenant) -> None:
    token = await register(acme, "pump-1")
    async with globex.work() as work:
        with pytest.raises(NotFound):
            await provisioning.get_token(work, token.id)
        with pytest.raises(NotFound):
            await provisioning.revoke_token(work, token.id, delete_device=True)
        with pytest.raises(NotFound):
            await provisioning.reprovision_device(work, token.device_id, life=timedelta(hours=1))
    assert await names(acme, TokenStatus.PENDING) == ["pump-1"]


async def test_a_used_token_cannot_be_revoked(acme: Tenant) -> None:
    token = await register(acme, "pump-1")
    await exchange(acme, token.text)
    async with acme.work() as work:
        with pytest.raises(Conflict, match="has been used"):
            await provisioning.revoke_token(work, token.id, delete_device=True)


async def test_revoking_twice_is_revoking_once(acme: Tenant) -> None:
    token = await register(acme, "pump-1")
    for _ in range(2):
        async with acme.work() as work:
            await provisioning.revoke_token(work, token.id, delete_device=False)
    async with acme.work() as work:
        lines = await work.tx.value("SELECT count(*) FROM audit_log WHERE action LIKE '%%token.revoke'")
    assert lines == 1


async def test_a_device_that_never_had_a_certificate_goes_with_its_token(acme: Tenant) -> None:
    token = await register(acme, "pump-1")
    async with acme.work() as work:
        await provisioning.revoke_token(work, token.id, delete_device=True)
    async with acme.work() as work:
        with pytest.raises(NotFound):
            await registry.load_device(work, token.device_id)


async def test_a_device_that_has_been_in_use_does_not_go_with_a_token(acme: Tenant) -> None:
    first = await register(acme, "pump-1")
    await exchange(acme, first.text)
    async with acme.work() as work:
        second = await provisioning.reprovision_device(work, first.device_id, life=timedelta(hours=1))
    with pytest.raises(Conflict, match="provisioned"):
        async with acme.work() as work:
            await provisioning.revoke_token(work, second.id, delete_device=True)
    async with acme.work() as work:
        assert (await provisioning.get_token(work, second.id)).status is TokenStatus.PENDING


async def test_of_many_devices_those_that_fail_leave_nothing_behind(acme: Tenant) -> None:
    drafts = [registry.DeviceDraft(name=name) for name in ("pump-1", "pump-2", "pump-1", "", "pump-3")]
    async with acme.work() as work:
        outcomes = await provisioning.register_devices(work, drafts, life=timedelta(hours=1))

    assert [isinstance(outcome, RoadsteadError) for outcome in outcomes] == [False, False, True, True, False]
    minted = [outcome for outcome in outcomes if isinstance(outcome, MintedToken)]
    assert len({token.text for token in minted}) == 3
    assert sorted(await names(acme, TokenStatus.PENDING)) == ["pump-1", "pump-2", "pump-3"]
    for token in minted:
        await exchange(acme, token.text)


async def test_members_may_register_devices_although_they_may_not_touch_credentials(acme: Tenant) -> None:
    async with acme.work(Role.MEMBER) as work:
        token = await provisioning.register_device(work, registry.DeviceDraft(name="pump"), life=timedelta(hours=1))
        with pytest.raises(RoadsteadError, match="credentials:write"):
            await provisioning.revoke_credentials(work, token.device_id)


async def test_an_unknown_token_does_not_exist(acme: Tenant) -> None:
    async with acme.work() as work:
        with pytest.raises(NotFound):
            await provisioning.get_token(work, new_id())
