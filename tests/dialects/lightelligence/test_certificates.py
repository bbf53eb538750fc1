"""Certificates over HTTP: how they are read, whose they are, and what keeps them out."""

import textwrap
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from roadstead.core import provisioning
from roadstead.core.messages import SessionsRevoked
from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Unauthenticated
from roadstead.kernel.ids import new_id
from tests.configuration import facts_of
from tests.conftest import Tenant
from tests.core.provisioning.devices import admit, provision
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.team import give, join, role_named
from tests.dialects.native.fleet import add_device, ok
from tests.gateways.certificates import make


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    """A person of acme."""
    return await Client.of(acme)


async def device_of(tenant: Tenant, name: str = "lamp-1") -> str:
    """The id of a new device."""
    return str((await add_device(tenant, name))["id"])


def pem_of(name: str = "lamp", **fields: Any) -> str:
    """A certificate that a device made for itself."""
    return make(name, **fields).pem.decode()


async def cut(tenant: Tenant) -> list[str | None]:
    """The fingerprints whose sessions were cut."""
    return [fact.fingerprint for fact in await facts_of(tenant) if isinstance(fact, SessionsRevoked)]


async def test_a_device_has_several_certificates_and_each_opens_the_door(acme: Tenant, client: Client) -> None:
    device = await device_of(acme)
    made = [
        await client.data("assignCertificate", deviceId=device, json={"cert": pem_of(), "status": "valid"}),
        await client.data("assignCertificate", deviceId=device, json={"cert": pem_of(is_rsa=True)}),
    ]

    page = (await client.ask("listCertificates", deviceId=device)).json()
    assert page["data"] == made[::-1]
    assert page["meta"] == {"page": 0, "pageSize": 20, "itemsTotal": 2, "pagesTotal": 1}
    second = (await client.ask("listCertificates", deviceId=device, params={"page": 1, "pageSize": 1})).json()
    assert second["data"] == made[:1]
    for one in made:
        assert await client.data("getCertificate", deviceId=device, certId=one["id"]) == one
        identity = await admit(acme, one["cert"])
        assert (str(identity.device_id), identity.dialect) == (device, "lightelligence")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pem: pem.strip(),
        lambda pem: pem.replace("\n", "\\n"),
        lambda pem: pem.replace("\n", "\r\n"),
        lambda pem: textwrap.indent(pem, "    "),
        lambda pem: "Certificate of lamp 1:\n" + pem + pem_of("authority"),
    ],
    ids=["no end of line", "written line ends", "windows", "indented", "several"],
)
async def test_a_certificate_that_went_through_hands_is_the_same_one(acme: Tenant, client: Client, spoil: Any) -> None:
    device, pem = await device_of(acme), pem_of()
    registered = await client.data("assignCertificate", deviceId=device, json={"cert": spoil(pem)})

    assert registered["cert"] == pem
    assert str((await admit(acme, pem)).device_id) == device
    again = await client.failure("assignCertificate", deviceId=device, json={"cert": pem})
    assert again == (409, "DEVICECERT_CERT_DUPLICATE")


async def test_any_key_any_issuer_and_any_subject_will_do(acme: Tenant, client: Client) -> None:
    device = await device_of(acme)
    foreign = make("$OLT_DEVICE", issuer=make("somebody's authority")).pem.decode()
    for pem in (foreign, signed_by(ed448.Ed448PrivateKey.generate()), signed_by(rsa.generate_private_key(65537, 1024))):
        await client.data("assignCertificate", deviceId=device, json={"cert": pem})
        assert str((await admit(acme, pem)).device_id) == device


def signed_by(key: Any) -> str:
    """A certificate that the holder of this key made."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(time.now()).not_valid_after(time.now() + timedelta(days=1))
    algorithm = hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey) else None
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM).decode()


async def test_a_certificate_belongs_to_one_device_of_one_tenant(acme: Tenant, globex: Tenant, client: Client) -> None:
    ours, theirs = await device_of(acme), await device_of(globex)
    stranger = await Client.of(globex)
    pem = pem_of()
    made = await client.data("assignCertificate", deviceId=ours, json={"cert": pem})

    taken = (409, "DEVICECERT_CERT_DUPLICATE")
    assert await client.failure("assignCertificate", deviceId=await device_of(acme, "b"), json={"cert": pem}) == taken
    assert await stranger.failure("assignCertificate", deviceId=theirs, json={"cert": pem}) == taken
    missing = (404, "DEVICECERT_RESOURCE_NOT_FOUND")
    assert await stranger.failure("listCertificates", deviceId=ours) == missing
    assert await stranger.failure("assignCertificate", deviceId=ours, json={"cert": pem_of()}) == missing
    for operation in ("getCertificate", "updateCertificate", "deleteCertificate"):
        assert await stranger.failure(operation, deviceId=ours, certId=made["id"], json={}) == missing
        assert await stranger.failure(operation, deviceId=theirs, certId=made["id"], json={}) == missing
        assert await client.failure(operation, deviceId=ours, certId=new_id(), json={}) == missing

    assert (await client.ask("deleteCertificate", deviceId=ours, certId=made["id"])).status_code == 204
    with pytest.raises(Unauthenticated, match="not known"):
        await admit(acme, pem)
    await stranger.data("assignCertificate", deviceId=theirs, json={"cert": pem})
    assert str((await admit(globex, pem)).device_id) == theirs


async def test_only_a_valid_one_opens_the_door_and_each_change_cuts_at_once(acme: Tenant, client: Client) -> None:
    device, pem = await device_of(acme), pem_of()
    made = await client.data("assignCertificate", deviceId=device, json={"cert": pem})
    fingerprint = (await admit(acme, pem)).fingerprint
    assert fingerprint is not None

    for count, status in enumerate(("inactive", "revoked", "expired"), 1):
        place = {"deviceId": device, "certId": made["id"]}
        assert (await client.data("updateCertificate", **place, json={"status": status}))["status"] == status
        assert (await client.data("getCertificate", **place))["status"] == status
        with pytest.raises(Unauthenticated, match=status):
            await admit(acme, pem)
        assert await cut(acme) == [fingerprint.hex()] * count
        assert (await client.data("updateCertificate", **place, json={}))["status"] == status
        assert (await client.data("updateCertificate", **place, json={"status": "valid"}))["status"] == "valid"
        assert str((await admit(acme, pem)).device_id) == device
    await client.ask("deleteCertificate", deviceId=device, certId=made["id"])
    assert await cut(acme) == [fingerprint.hex()] * 4


async def test_one_that_comes_revoked_or_has_expired_is_known_and_kept_out(acme: Tenant, client: Client) -> None:
    device, old, revoked = await device_of(acme), pem_of(days=(-2, -1)), pem_of()
    expired = await client.data("assignCertificate", deviceId=device, json={"cert": old})
    assert expired["status"] == "expired"
    place = {"deviceId": device, "certId": expired["id"]}
    assert await client.failure("updateCertificate", **place, json={"status": "valid"}) == (
        400,
        "DEVICECERT_VALIDATION",
    )
    later = await client.data("assignCertificate", deviceId=device, json={"cert": revoked, "status": "revoked"})
    assert later["status"] == "revoked"
    for pem in (old, revoked):
        with pytest.raises(Unauthenticated):
            await admit(acme, pem)


async def test_certificates_of_both_apis_are_seen_in_both(acme: Tenant, client: Client) -> None:
    device_id, provisioned = await provision(acme, "lamp-1")
    device = str(device_id)
    brought = pem_of()
    ok(await acme.api.post(f"/api/v1/devices/{device}/credentials", json={"certificate": brought}))
    made = await client.data("assignCertificate", deviceId=device, json={"cert": pem_of(), "status": "inactive"})

    listed = await client.data("listCertificates", deviceId=device)
    assert [(one["cert"], one["status"]) for one in listed] == [
        (made["cert"], "inactive"),
        (brought, "valid"),
        (provisioned.certificate, "valid"),
    ]
    shown = ok(await acme.api.get(f"/api/v1/devices/{device}/credentials"))["items"]
    assert [line["status"] for line in shown] == ["REVOKED", "ACTIVE", "ACTIVE"]
    assert (await admit(acme, brought)).dialect == "native"

    # What we have signed ourselves and withdrawn stands in a list of which nothing is taken back.
    issued = {"deviceId": device, "certId": listed[2]["id"]}
    await client.data("updateCertificate", **issued, json={"status": "inactive"})
    await client.data("updateCertificate", **issued, json={"status": "valid"})
    await client.data("updateCertificate", **issued, json={"status": "revoked"})
    for status in ("valid", "inactive", "expired"):
        answer = await client.failure("updateCertificate", **issued, json={"status": status})
        assert answer == (400, "DEVICECERT_VALIDATION")
    async with acme.work() as work:
        found = await provisioning.get_certificate(work, device_id, UUID(listed[2]["id"]))
    assert found.revoked_at is not None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"cert": 5},
        {"cert": "lamp"},
        {"cert": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
        {"cert": "-----BEGIN CERTIFICATE-----\né\n-----END CERTIFICATE-----"},
        {"cert": "x" * 20_000},
        {"cert": pem_of(), "status": "good"},
    ],
    ids=["nothing", "a number", "no PEM", "no DER", "no base64", "too long", "no status"],
)
async def test_what_is_no_certificate_is_refused(acme: Tenant, client: Client, body: Any) -> None:
    device = await device_of(acme)
    assert await client.failure("assignCertificate", deviceId=device, json=body) == (400, "DEVICECERT_VALIDATION")
    assert await client.data("listCertificates", deviceId=device) == []
    assert await client.failure("listCertificates", deviceId="lamp") == (400, "DEVICECERT_VALIDATION")


async def test_writers_look_after_certificates_and_strangers_do_not(acme: Tenant) -> None:
    assert await Client(acme).failure("listCertificates", deviceId=new_id()) == (401, "ID_UNAUTHORIZED")
    owner, member = await join(acme), await join(acme, Role.MEMBER)
    place = {"deviceId": await device_of(acme)}
    # Who was given no role here may do what they may natively.
    answer = await member.failure("assignCertificate", **place, json={"cert": pem_of()})
    assert answer == (403, "DEVICECERT_FORBIDDEN")
    await give(owner, member.id, await role_named(owner, "writer"))
    await member.data("assignCertificate", **place, json={"cert": pem_of()})
