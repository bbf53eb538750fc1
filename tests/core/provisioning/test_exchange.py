"""Exchange and renewal: exactly one certificate for a token, and no device locked out."""

import asyncio
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from roadstead.core import provisioning, registry
from roadstead.core.messages import AnyFact, SessionsRevoked, decode_fact
from roadstead.core.provisioning import Provisioned
from roadstead.core.work import Entry
from roadstead.db import Database
from roadstead.kernel.errors import Conflict, Forbidden, Gone, Invalid, Unauthenticated
from roadstead.kernel.ids import DeviceId, new_id
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.core.provisioning.devices import admit, der, exchange, make_key, provision, register, request_for


async def facts_about(database: Database, device_id: DeviceId) -> list[AnyFact]:
    """What has been emitted about a device, oldest first."""
    async with database.tx() as tx:
        rows = await tx.rows("SELECT fact FROM outbox ORDER BY id")
    facts = [decode_fact(bytes(row[0])) for row in rows]
    return [fact for fact in facts if getattr(fact, "device_id", None) == device_id]


async def test_a_token_becomes_a_certificate_and_the_device_is_known_by_it(acme: Tenant, globex: Tenant) -> None:
    device_id, provisioned = await provision(acme, "pump-1")
    identity = await admit(globex, provisioned.certificate)  # the door does not know whose device is calling

    assert (identity.tenant_id, identity.organization_id) == (acme.tenant_id, acme.organization_id)
    assert (identity.device_id, identity.device_name, identity.dialect) == (device_id, "pump-1", "native")
    leaf = x509.load_pem_x509_certificate(provisioned.certificate.encode())
    assert leaf.subject.rfc4514_string() == f"CN={device_id},O={acme.organization_id}"
    intermediate, root = x509.load_pem_x509_certificates(provisioned.authorities.encode())
    leaf.verify_directly_issued_by(intermediate)
    intermediate.verify_directly_issued_by(root)
    async with acme.work() as work:
        row = await work.tx.row("SELECT hardware_id, firmware_version, status FROM device WHERE id = %s", device_id)
    assert row == ("hw-1", "1.0.0", "PENDING")


async def test_of_two_racing_calls_with_one_token_one_gets_a_certificate(acme: Tenant) -> None:
    token = await register(acme, "pump-1")
    outcomes = await asyncio.gather(*(exchange(acme, token.text) for _ in range(6)), return_exceptions=True)

    assert sum(isinstance(outcome, Provisioned) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Gone) for outcome in outcomes) == 5
    async with acme.work() as work:
        page = await provisioning.list_credentials(work, token.device_id, PageQuery())
    assert len(page.items) == 1


async def test_a_bad_request_leaves_the_token_good(acme: Tenant) -> None:
    token = await register(acme, "pump-1")
    with pytest.raises(Invalid) as caught:
        await exchange(acme, token.text, "not a request")

    assert caught.value.code == "csr-invalid"
    assert isinstance(await exchange(acme, token.text), Provisioned)


@pytest.mark.parametrize("spoil", ["", "a.b.c", "secret", "id", "device", "long"])
async def test_what_is_no_token_of_ours_is_not_told_from_an_unknown_one(acme: Tenant, spoil: str) -> None:
    token = await register(acme, "pump-1")
    id_, device, secret = token.text.split(".")
    spoiled = {
        "secret": f"{id_}.{device}.{'A' * 43}",
        "id": f"{new_id()}.{device}.{secret}",
        "device": f"{id_}.{new_id()}.{secret}",
        "long": f"{token.text}.x",
    }.get(spoil, spoil)

    with pytest.raises(Unauthenticated, match="not a registration token of ours"):
        await exchange(acme, spoiled)
    assert isinstance(await exchange(acme, token.text), Provisioned)


async def test_a_token_is_gone_once_it_has_expired_or_was_revoked(acme: Tenant) -> None:
    expired = await register(acme, "pump-1", life=timedelta(seconds=-1))
    revoked = await register(acme, "pump-2")
    async with acme.work() as work:
        await provisioning.revoke_token(work, revoked.id, delete_device=False)

    with pytest.raises(Gone, match="expired"):
        await exchange(acme, expired.text)
    with pytest.raises(Gone, match="revoked"):
        await exchange(acme, revoked.text)


async def test_only_a_hash_of_the_token_is_stored(acme: Tenant, system_database: Database) -> None:
    token = await register(acme, "pump-1")
    secret = token.text.rpartition(".")[2]
    async with system_database.tx() as tx:
        stored = await tx.value("SELECT row_to_json(t)::text FROM registration_token t WHERE id = %s", token.id)
        audit = await tx.rows("SELECT changes::text FROM audit_log WHERE tenant_id = %s", acme.tenant_id)

    assert secret not in stored
    assert not any(secret in changes for (changes,) in audit)


async def test_a_new_token_makes_the_old_certificate_worthless(acme: Tenant, system_database: Database) -> None:
    device_id, first = await provision(acme, "pump-1")
    async with acme.work() as work:
        token = await provisioning.reprovision_device(work, device_id, life=timedelta(hours=1))
        assert (await registry.load_device(work, device_id)).status == "PENDING"
    assert (await admit(acme, first.certificate)).device_id == device_id
    second = await exchange(acme, token.text)

    with pytest.raises(Unauthenticated, match="superseded"):
        await admit(acme, first.certificate)
    assert (await admit(acme, second.certificate)).device_id == device_id
    fingerprint = x509.load_pem_x509_certificate(first.certificate.encode()).fingerprint(SHA256()).hex()
    revoked = [fact for fact in await facts_about(system_database, device_id) if isinstance(fact, SessionsRevoked)]
    assert [fact.fingerprint for fact in revoked] == [fingerprint]


async def test_a_later_token_revokes_the_one_before(acme: Tenant) -> None:
    token = await register(acme, "pump-1")
    async with acme.work() as work:
        await provisioning.reprovision_device(work, token.device_id, life=timedelta(hours=1))
    with pytest.raises(Gone, match="revoked"):
        await exchange(acme, token.text)


async def test_a_suspended_organization_gets_no_certificates(acme: Tenant, system_database: Database) -> None:
    token = await register(acme, "pump-1")
    _, provisioned = await provision(acme, "pump-2")
    async with system_database.tx() as tx:
        await tx.run("UPDATE tenant SET status = 'SUSPENDED' WHERE tenant_id = %s", acme.tenant_id)

    with pytest.raises(Forbidden, match="suspended"):
        await exchange(acme, token.text)
    with pytest.raises(Forbidden, match="suspended"):
        await admit(acme, provisioned.certificate)


async def renew(tenant: Tenant, certificate: str) -> Provisioned:
    """What a device does over TLS."""
    async with tenant.edge.system_database.tx() as tx:
        entry = Entry(tx, tenant.edge.ports, address="192.0.2.7", request_id="test")
        return await provisioning.renew_certificate(entry, der(certificate), request_for(make_key()))


async def test_a_certificate_is_not_renewed_before_its_last_month(acme: Tenant) -> None:
    _, provisioned = await provision(acme, "pump-1")
    with pytest.raises(Conflict) as caught:
        await renew(acme, provisioned.certificate)
    assert caught.value.code == "too-early"


async def test_after_a_renewal_both_certificates_are_good_until_the_old_one_has_had_its_time(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roadstead.core.provisioning.authority.RENEWAL_WINDOW", timedelta(days=366))
    device_id, old = await provision(acme, "pump-1")
    lost = await renew(acme, old.certificate)  # suppose that the answer never arrives
    new = await renew(acme, old.certificate)

    for certificate in (old, lost, new):
        assert (await admit(acme, certificate.certificate)).device_id == device_id
    async with acme.work() as work:
        await work.tx.run(
            "UPDATE certificate SET superseded_at = superseded_at - interval '8 days' WHERE device_id = %s", device_id
        )
        page = await provisioning.list_credentials(work, device_id, PageQuery())
    assert len(page.items) == 3
    for certificate in (old, lost):
        with pytest.raises(Unauthenticated, match="superseded"):
            await admit(acme, certificate.certificate)
    assert (await admit(acme, new.certificate)).device_id == device_id


async def test_every_certificate_leaves_an_audit_line_of_its_device(acme: Tenant, globex: Tenant) -> None:
    device_id, _ = await provision(acme, "pump-1")
    sql = "SELECT actor_type, actor_id, address FROM audit_log WHERE action = 'certificate.issue'"
    async with acme.work() as work:
        assert await work.tx.rows(sql) == [("DEVICE", device_id, "192.0.2.7")]
    async with globex.work() as work:
        assert await work.tx.rows(sql) == []
