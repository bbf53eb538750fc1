"""Devices of these tests: keys, requests, certificates."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from roadstead.core import provisioning, registry
from roadstead.core.provisioning import MintedToken, Provisioned
from roadstead.core.work import Entry
from roadstead.kernel import time
from roadstead.kernel.ids import DeviceId
from tests.conftest import Tenant

DAY = timedelta(days=1)


def make_key() -> ec.EllipticCurvePrivateKey:
    """What a device makes for itself."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """As a TLS client wants it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def request_for(key: ec.EllipticCurvePrivateKey) -> str:
    """A signing request in PEM form."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whoever I want")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
    return request.public_bytes(Encoding.PEM).decode()


def self_signed(key: ec.EllipticCurvePrivateKey, *, start: datetime | None = None, life: timedelta = DAY) -> str:
    """A certificate that a device gave itself, PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "self made")])
    start = start or time.now()
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(start + life)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def der(pem: str) -> bytes:
    """The DER form of the first certificate."""
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)


async def register(tenant: Tenant, name: str, *, life: timedelta = DAY) -> MintedToken:
    """A device with a token."""
    async with tenant.work() as work:
        return await provisioning.register_device(work, registry.DeviceDraft(name=name), life=life)


async def exchange(tenant: Tenant, token: str, request: str | None = None) -> Provisioned:
    """What the device does with its token."""
    async with tenant.edge.system_database.tx() as tx:
        entry = Entry(tx, tenant.edge.ports, address="192.0.2.7", request_id="test")
        return await provisioning.exchange_token(
            entry, token, request or request_for(make_key()), hardware_id="hw-1", firmware_version="1.0.0"
        )


async def admit(tenant: Tenant, certificate_pem: str) -> provisioning.DeviceIdentity:
    """What a door asks."""
    async with tenant.edge.system_database.tx() as tx:
        entry = Entry(tx, tenant.edge.ports, address="192.0.2.7", request_id="test")
        return await provisioning.admit_certificate(entry, der(certificate_pem))


async def provision(tenant: Tenant, name: str) -> tuple[DeviceId, Provisioned]:
    """A device that has its certificate."""
    token = await register(tenant, name)
    return token.device_id, await exchange(tenant, token.text)
