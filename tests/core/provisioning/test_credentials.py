"""Credentials: who is let in, who no longer is, and who never was."""

from datetime import datetime

import pytest

from roadstead.core import provisioning
from roadstead.core.messages import SessionsRevoked
from roadstead.core.provisioning import Credential, CredentialStatus, store
from roadstead.core.work import Entry
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.actor import ActorKind, Grant
from roadstead.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from roadstead.kernel.ids import DeviceId, new_id
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.core.provisioning.devices import DAY, admit, der, make_key, provision, register, self_signed
from tests.core.provisioning.test_exchange import facts_about


async def credentials_of(tenant: Tenant, device_id: DeviceId) -> list[Credential]:
    """Newest first."""
    async with tenant.work() as work:
        return (await provisioning.list_credentials(work, device_id, PageQuery())).items


async def set_status(database: Database, device_id: DeviceId, status: str) -> None:
    """What an operator does."""
    async with database.tx() as tx:
        await tx.run("UPDATE device SET status = %s WHERE id = %s", status, device_id)


async def test_revoking_all_certificates_cuts_every_session_of_the_device(
    acme: Tenant, system_database: Database
) -> None:
    device_id, provisioned = await provision(acme, "pump-1")
    async with acme.work() as work:
        await provisioning.revoke_credentials(work, device_id, reason="stolen")

    with pytest.raises(Unauthenticated, match="revoked: stolen"):
        await admit(acme, provisioned.certificate)
    (credential,) = await credentials_of(acme, device_id)
    assert credential.status(time.now()) is CredentialStatus.REVOKED
    facts = [fact for fact in await facts_about(system_database, device_id) if isinstance(fact, SessionsRevoked)]
    assert [(fact.fingerprint, "stolen" in fact.reason) for fact in facts] == [(None, True)]


async def test_revoking_one_certificate_leaves_the_others(acme: Tenant, system_database: Database) -> None:
    device_id, provisioned = await provision(acme, "pump-1")
    own = self_signed(make_key())
    async with acme.work() as work:
        await provisioning.register_certificate(work, device_id, own)
    issued = next(credential for credential in await credentials_of(acme, device_id) if credential.issued_here)
    async with acme.work() as work:
        await provisioning.revoke_credentials(work, device_id, serial_number=issued.serial_number.lower())

    with pytest.raises(Unauthenticated, match="revoked"):
        await admit(acme, provisioned.certificate)
    assert (await admit(acme, own)).device_id == device_id
    facts = [fact for fact in await facts_about(system_database, device_id) if isinstance(fact, SessionsRevoked)]
    assert [fact.fingerprint for fact in facts] == [issued.fingerprint.hex()]


async def test_credentials_of_another_organization_cannot_be_touched(acme: Tenant, globex: Tenant) -> None:
    device_id, provisioned = await provision(acme, "pump-1")
    async with globex.work() as work:
        with pytest.raises(NotFound):
            await provisioning.list_credentials(work, device_id, PageQuery())
        with pytest.raises(NotFound):
            await provisioning.revoke_credentials(work, device_id)
        with pytest.raises(NotFound):
            await provisioning.register_certificate(work, device_id, self_signed(make_key()))
    async with acme.work() as work:
        with pytest.raises(NotFound, match="certificate"):
            await provisioning.revoke_credentials(work, device_id, serial_number="00FF")
    assert (await admit(acme, provisioned.certificate)).device_id == device_id


async def test_a_foreign_certificate_is_known_once_on_the_whole_platform(acme: Tenant, globex: Tenant) -> None:
    ours, theirs = await register(acme, "pump-1"), await register(globex, "pump-1")
    certificate = self_signed(make_key())
    async with acme.work() as work:
        credential = await provisioning.register_certificate(work, ours.device_id, certificate)
    for tenant, device_id in ((acme, ours.device_id), (globex, theirs.device_id)):
        async with tenant.work() as work:
            with pytest.raises(Conflict) as caught:
                await provisioning.register_certificate(work, device_id, certificate)
            assert caught.value.code == "certificate-taken"

    assert (await admit(globex, certificate)).device_id == ours.device_id
    assert (credential.issued_here, credential.subject) == (False, "CN=self made")
    assert await credentials_of(globex, theirs.device_id) == []


@pytest.mark.parametrize(
    ("pem", "why"),
    [("nothing", "PEM form"), (self_signed(make_key(), start=time.now() - 3 * DAY), "expired"), ("x" * 20_000, "long")],
    ids=["garbage", "expired", "too long"],
)
async def test_a_certificate_that_is_worth_nothing_is_not_registered(acme: Tenant, pem: str, why: str) -> None:
    token = await register(acme, "pump-1")
    async with acme.work() as work:
        with pytest.raises(Invalid, match=why):
            await provisioning.register_certificate(work, token.device_id, pem)


async def test_doors_stay_closed_for_certificates_that_are_unknown_or_have_expired(
    acme: Tenant, system_database: Database
) -> None:
    device_id, provisioned = await provision(acme, "pump-1")
    with pytest.raises(Unauthenticated, match="not known"):
        await admit(acme, self_signed(make_key()))
    async with system_database.tx() as tx:
        await tx.run("UPDATE certificate SET not_after = now() WHERE device_id = %s", device_id)
    with pytest.raises(Unauthenticated, match="expired"):
        await admit(acme, provisioned.certificate)


async def test_an_inactive_device_is_refused_and_one_in_maintenance_is_not(
    acme: Tenant, system_database: Database
) -> None:
    device_id, provisioned = await provision(acme, "pump-1")
    await set_status(system_database, device_id, "MAINTENANCE")
    assert (await admit(acme, provisioned.certificate)).device_id == device_id
    await set_status(system_database, device_id, "INACTIVE")
    with pytest.raises(Forbidden, match="inactive"):
        await admit(acme, provisioned.certificate)


async def test_a_device_is_an_actor_that_speaks_for_itself_alone(acme: Tenant) -> None:
    device_id, provisioned = await provision(acme, "pump-1")
    async with acme.edge.system_database.tx() as tx:
        entry = Entry(tx, acme.edge.ports, address="192.0.2.7", request_id="r-1")
        actor = await provisioning.authenticate_certificate(entry, der(provisioned.certificate))

    assert (actor.kind, actor.id, actor.tenant_id) == (ActorKind.DEVICE, device_id, acme.tenant_id)
    assert actor.grants == {Grant.READINGS_WRITE, Grant.DEVICES_WRITE}
    assert actor.speaks_for(device_id)
    assert not actor.speaks_for(new_id())


async def test_who_is_at_the_door_is_found_by_indexes(acme: Tenant, system_database: Database) -> None:
    async with system_database.tx() as tx:
        # A small table is read as a whole unless that is forbidden; a large one must not need it.
        await tx.run("SET LOCAL enable_seqscan = off")
        plan = "\n".join(line for (line,) in await tx.rows("EXPLAIN " + store.BY_FINGERPRINT, b"\0" * 32))
    assert "certificate_fingerprint" in plan
    assert "Seq Scan" not in plan


async def admit_key(tenant: Tenant, device_id: str, key: str) -> provisioning.DeviceIdentity:
    """What the plain MQTT door asks."""
    async with tenant.edge.system_database.tx() as tx:
        entry = Entry(tx, tenant.edge.ports, address="192.0.2.7", request_id="test")
        return await provisioning.admit_key(entry, device_id, key)


async def test_an_api_key_speaks_for_the_devices_of_its_organization(acme: Tenant, globex: Tenant) -> None:
    token = await register(acme, "pump-1")
    key = await acme.add_key([Grant.READINGS_WRITE])
    identity = await admit_key(acme, str(token.device_id), key)
    assert (identity.device_id, identity.organization_id) == (token.device_id, acme.organization_id)

    with pytest.raises(Unauthenticated, match="not the id of a device"):
        await admit_key(acme, str(token.device_id), await globex.add_key([Grant.READINGS_WRITE]))
    with pytest.raises(Unauthenticated, match="not the id of a device"):
        await admit_key(acme, "pump-1", key)
    with pytest.raises(Forbidden, match="readings:write"):
        await admit_key(acme, str(token.device_id), await acme.add_key([Grant.DEVICES_READ]))
    with pytest.raises(Unauthenticated, match="not an API key"):
        await admit_key(acme, str(token.device_id), "eyJhbGciOi")
    with pytest.raises(Unauthenticated):
        await admit_key(acme, str(token.device_id), "sk_live_" + "0" * 43)


async def test_an_api_key_does_not_open_for_an_inactive_device(acme: Tenant, system_database: Database) -> None:
    token = await register(acme, "pump-1")
    await set_status(system_database, token.device_id, "INACTIVE")
    with pytest.raises(Forbidden, match="inactive"):
        await admit_key(acme, str(token.device_id), acme.key)


def test_the_strongest_reason_against_a_certificate_is_its_status() -> None:
    now = time.now()

    def credential(
        *, not_after: datetime = now + DAY, superseded_at: datetime | None = None, revoked_at: datetime | None = None
    ) -> CredentialStatus:
        return Credential(
            id=new_id(),
            device_id=DeviceId(new_id()),
            dialect="native",
            fingerprint=b"",
            serial_number="01",
            subject="",
            issued_here=True,
            not_before=now - DAY,
            not_after=not_after,
            created_at=now - DAY,
            superseded_at=superseded_at,
            revoked_at=revoked_at,
        ).status(now)

    assert credential() is CredentialStatus.ACTIVE
    assert credential(superseded_at=now + DAY) is CredentialStatus.ACTIVE
    assert credential(not_after=now) is CredentialStatus.EXPIRED
    assert credential(not_after=now, superseded_at=now) is CredentialStatus.SUPERSEDED
    assert credential(superseded_at=now, revoked_at=now) is CredentialStatus.REVOKED
