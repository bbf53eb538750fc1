"""Our own authorities: made once, kept sealed, extended in time, and what they take back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from roadstead.core import provisioning, registry
from roadstead.core.provisioning import authority
from roadstead.core.work import Entry
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.errors import Conflict, Invalid
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.core.provisioning.devices import exchange, key_pem, make_key, provision


@asynccontextmanager
async def entry_of(tenant: Tenant) -> AsyncIterator[Entry]:
    """Somebody at the door."""
    async with tenant.edge.system_database.tx() as tx:
        yield Entry(tx, tenant.edge.ports, address="", request_id="")


@pytest.fixture
async def _authorities_as_before(system_database: Database) -> AsyncIterator[None]:
    """Puts back what a test does to the authorities that all tests share."""
    async with system_database.tx() as tx:
        rows = await tx.rows("SELECT id, kind, certificate, private_key, created_at FROM certificate_authority")
    yield
    async with system_database.tx() as tx:
        await tx.run("DELETE FROM certificate_authority")
        columns = "(id, kind, certificate, private_key, created_at)"
        await tx.many(f"INSERT INTO certificate_authority {columns} VALUES (%s, %s, %s, %s, %s)", rows)


async def authorities(database: Database) -> list[tuple[str, bool, bool]]:
    """Kind, whether its key is here, and whether it has retired."""
    sql = """
        SELECT kind, private_key IS NOT NULL, retired_at IS NOT NULL FROM certificate_authority
        ORDER BY created_at, kind DESC
    """
    async with database.tx() as tx:
        return [tuple(row) for row in await tx.rows(sql)]


@pytest.mark.usefixtures("_authorities_as_before")
async def test_processes_that_start_at_once_make_one_root_and_one_intermediate(
    acme: Tenant, system_database: Database
) -> None:
    async with system_database.tx() as tx:
        await tx.run("DELETE FROM certificate_authority")

    async def start() -> str:
        async with entry_of(acme) as entry:
            await provisioning.ensure_authorities(entry)
            return await provisioning.get_authority_chain(entry)

    chains = set(await asyncio.gather(*(start() for _ in range(4))))
    assert len(chains) == 1
    assert await authorities(system_database) == [("ROOT", True, False), ("INTERMEDIATE", True, False)]


@pytest.mark.usefixtures("_authorities_as_before")
async def test_the_root_can_be_kept_elsewhere_and_devices_still_get_certificates(
    acme: Tenant, system_database: Database
) -> None:
    async with entry_of(acme) as entry:
        key = await provisioning.take_root_offline(entry)
        chain = await provisioning.get_authority_chain(entry)
    root = x509.load_pem_x509_certificates(chain.encode())[1]
    assert authority.read_key_pair(authority.spell_pem(root), key.encode()).key.public_key() == root.public_key()

    await provision(acme, "pump-1")
    assert ("ROOT", False, False) in await authorities(system_database)
    async with entry_of(acme) as entry:
        with pytest.raises(Conflict, match="not kept here"):
            await provisioning.take_root_offline(entry)


@pytest.mark.usefixtures("_authorities_as_before")
async def test_the_key_of_the_root_comes_back_and_no_other_does(acme: Tenant, system_database: Database) -> None:
    async with entry_of(acme) as entry:
        key = await provisioning.take_root_offline(entry)
        assert [one.has_key for one in await provisioning.list_authorities(entry)] == [False, True]
    stranger = key_pem(make_key()).decode()
    for wrong, why in ((stranger, "another authority"), ("", "PEM form"), ("-----BEGIN PRIVATE KEY-----", "PEM form")):
        async with entry_of(acme) as entry:
            with pytest.raises(Invalid, match=why):
                await provisioning.bring_root_back(entry, wrong)

    async with entry_of(acme) as entry:
        await provisioning.bring_root_back(entry, key)
        root, intermediate = await provisioning.list_authorities(entry)
        assert (root.kind, root.has_key, intermediate.kind) == ("ROOT", True, "INTERMEDIATE")
        with pytest.raises(Conflict, match="is kept here"):
            await provisioning.bring_root_back(entry, key)
    async with system_database.tx() as tx:
        sealed = await tx.value("SELECT private_key FROM certificate_authority WHERE kind = 'ROOT'")
    assert sealed and b"PRIVATE KEY" not in sealed
    async with entry_of(acme) as entry:
        assert await provisioning.take_root_offline(entry) == key


async def test_private_keys_are_sealed(acme: Tenant, system_database: Database, tenant_database: Database) -> None:
    async with entry_of(acme) as entry:
        await provisioning.ensure_authorities(entry)
    async with system_database.tx() as tx:
        keys = [bytes(key) for (key,) in await tx.rows("SELECT private_key FROM certificate_authority")]
    assert keys
    assert not any(b"PRIVATE KEY" in key for key in keys)
    async with tenant_database.tx(acme.tenant_id) as tx:
        with pytest.raises(Exception, match="permission denied"):
            await tx.rows("SELECT private_key FROM certificate_authority")


@pytest.mark.usefixtures("_authorities_as_before")
async def test_an_intermediate_in_its_last_years_is_extended_under_its_own_key(
    acme: Tenant, system_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with entry_of(acme) as entry:
        before = x509.load_pem_x509_certificate((await provisioning.get_authority_chain(entry)).encode())
    monkeypatch.setattr("roadstead.core.provisioning.trust._EXTEND_BEFORE", timedelta(days=11 * 365))
    async with entry_of(acme) as entry:
        await provisioning.ensure_authorities(entry)
        after = x509.load_pem_x509_certificate((await provisioning.get_authority_chain(entry)).encode())

    assert after.serial_number != before.serial_number
    assert (after.public_key(), after.subject) == (before.public_key(), before.subject)
    assert await authorities(system_database) == [
        ("ROOT", True, False),
        ("INTERMEDIATE", True, True),
        ("INTERMEDIATE", True, False),
    ]


async def test_a_server_certificate_is_renewed_a_month_before_its_end(acme: Tenant) -> None:
    async with entry_of(acme) as entry:
        issued = await provisioning.issue_server_certificate(entry, ["iot.test", ""])
    leaf, intermediate = x509.load_pem_x509_certificates(issued.chain)

    leaf.verify_directly_issued_by(intermediate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["iot.test", "localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert timedelta(days=29) < leaf.not_valid_after_utc - issued.renew_at < timedelta(days=31)


async def revoked_serials(tenant: Tenant) -> dict[int, bool]:
    """Serial numbers on the list, and whether each was superseded."""
    async with entry_of(tenant) as entry:
        chain = await provisioning.get_authority_chain(entry)
        found = x509.load_der_x509_crl(await provisioning.get_revocation_list(entry))
    intermediate = x509.load_pem_x509_certificate(chain.encode())
    assert found.is_signature_valid(intermediate.public_key())  # type: ignore[arg-type]
    assert found.issuer == intermediate.subject
    return {line.serial_number: len(line.extensions) > 0 for line in found}


async def test_the_revocation_list_has_what_was_revoked_superseded_and_deleted(acme: Tenant, globex: Tenant) -> None:
    good_id, good = await provision(acme, "good")
    revoked_id, revoked = await provision(globex, "revoked")
    replaced_id, replaced = await provision(acme, "replaced")
    deleted_id, deleted = await provision(acme, "deleted")
    async with globex.work() as work:
        await provisioning.revoke_credentials(work, revoked_id)
    async with acme.work() as work:
        token = await provisioning.reprovision_device(work, replaced_id, life=timedelta(hours=1))
    await exchange(acme, token.text)
    async with acme.work() as work:
        await registry.delete_device(work, deleted_id, purge=False, expected=None)

    listed = await revoked_serials(acme)

    def serial(pem: str) -> int:
        return x509.load_pem_x509_certificate(pem.encode()).serial_number

    assert serial(good.certificate) not in listed
    assert listed[serial(revoked.certificate)] is False
    assert listed[serial(replaced.certificate)] is True
    assert listed[serial(deleted.certificate)] is False
    async with acme.work() as work:
        (credential,) = (await provisioning.list_credentials(work, good_id, PageQuery())).items
    assert int(credential.serial_number, 16) == serial(good.certificate)
    leaf = x509.load_pem_x509_certificate(good.certificate.encode())
    assert credential.fingerprint == leaf.fingerprint(SHA256())


async def test_the_revocation_list_is_signed_anew_when_something_is_revoked_and_when_its_last_day_begins(
    acme: Tenant, globex: Tenant, system_database: Database
) -> None:
    async def get() -> bytes:
        async with entry_of(acme) as entry:
            return await provisioning.get_revocation_list(entry)

    device_id, _ = await provision(globex, "pump-1")
    first = await get()
    # ECDSA signatures are never the same twice, so this is the one that was made before.
    assert await get() == first

    async with globex.work() as work:
        await provisioning.revoke_credentials(work, device_id)
    second = await get()
    assert len(x509.load_der_x509_crl(second)) == len(x509.load_der_x509_crl(first)) + 1
    assert await get() == second

    async with system_database.tx() as tx:
        await tx.run("UPDATE certificate_authority SET list_until = list_until - interval '6 days'")
    third = await get()
    assert third != second
    assert await get() == third
    ends = x509.load_der_x509_crl(third).next_update_utc
    assert ends is not None and ends > time.now() + timedelta(days=6)


async def test_what_a_deleted_organization_was_issued_stays_on_the_revocation_list(
    globex: Tenant, system_database: Database
) -> None:
    _, provisioned = await provision(globex, "pump-1")
    async with system_database.tx() as tx:
        await tx.run("DELETE FROM tenant WHERE tenant_id = %s", globex.tenant_id)

    serial = x509.load_pem_x509_certificate(provisioned.certificate.encode()).serial_number
    assert serial in await revoked_serials(globex)


async def test_what_has_expired_leaves_the_revocation_list(acme: Tenant, system_database: Database) -> None:
    device_id, provisioned = await provision(acme, "pump-1")
    async with acme.work() as work:
        await provisioning.revoke_credentials(work, device_id)
    serial = x509.load_pem_x509_certificate(provisioned.certificate.encode()).serial_number
    assert serial in await revoked_serials(acme)
    async with system_database.tx() as tx:
        await tx.run("UPDATE certificate SET not_after = %s WHERE device_id = %s", time.now(), device_id)
    assert serial not in await revoked_serials(acme)
