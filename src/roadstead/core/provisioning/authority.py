"""Certificates: pure cryptography. Two authorities of our own, device and server certificates, revocation lists.

The root signs the intermediate and can then be kept elsewhere; the intermediate signs everything else (RFC 5280).
All our keys are ECDSA P-256; devices bring P-256 or RSA of at least 2048 bits.
"""

import ipaddress
import re
from base64 import b64decode
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from roadstead.kernel.errors import Invalid

DEVICE_LIFE = timedelta(days=365)
RENEWAL_WINDOW = timedelta(days=30)
"""A device may renew its certificate in these last days of it."""
SERVER_LIFE = timedelta(days=90)
REVOCATION_LIST_LIFE = timedelta(days=7)
_ROOT_LIFE = timedelta(days=25 * 365)
_INTERMEDIATE_LIFE = timedelta(days=10 * 365)

# Clocks of devices and servers are never quite the same: what is signed now must be good for one that is slow.
_BACKDATED = timedelta(minutes=5)
_LONGEST_PEM = 16_384
_PEM_BLOCK = re.compile("-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)

DeviceKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
ForeignKey = DeviceKey | ed25519.Ed25519PublicKey


class KeyPair(msgspec.Struct, frozen=True):
    """A certificate with its private key: an authority, or one of our own servers."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def key_pem(self) -> bytes:
        """The private key, PKCS #8, not encrypted."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Revocation(msgspec.Struct, frozen=True):
    """One line of a revocation list."""

    serial_number: str
    """Hex."""
    revoked_at: datetime
    superseded: bool
    """It was replaced by another one, rather than withdrawn."""


# --- our own authorities ---------------------------------------------------------------------------------------------


def make_root(id_: UUID, now: datetime) -> KeyPair:
    """A root: signs itself, and may stand above one level of authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _authority_name("root", id_)
    builder = _builder(name, name, key.public_key(), now, now + _ROOT_LIFE)
    builder = _add_authority_extensions(builder, key.public_key(), key.public_key(), path_length=1)
    return KeyPair(builder.sign(key, SHA256()), key)


def make_intermediate(root: KeyPair, id_: UUID, now: datetime) -> KeyPair:
    """An authority that signs devices and servers, and no other authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    return KeyPair(_sign_intermediate(root, key.public_key(), _authority_name("devices", id_), now), key)


def extend_intermediate(root: KeyPair, old: KeyPair, now: datetime) -> KeyPair:
    """The same authority with a later end: same name, same key, so everything it has signed stays good."""
    return KeyPair(_sign_intermediate(root, old.key.public_key(), old.certificate.subject, now), old.key)


def read_key_pair(certificate_pem: str, key_pem: bytes) -> KeyPair:
    """An authority as it was kept."""
    key = load_pem_private_key(key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key of an authority is ECDSA P-256")
    return KeyPair(x509.load_pem_x509_certificate(certificate_pem.encode()), key)


def _sign_intermediate(
    root: KeyPair, key: ec.EllipticCurvePublicKey, name: x509.Name, now: datetime
) -> x509.Certificate:
    end = min(now + _INTERMEDIATE_LIFE, root.certificate.not_valid_after_utc)
    builder = _builder(name, root.certificate.subject, key, now, end)
    return _add_authority_extensions(builder, key, root.key.public_key(), path_length=0).sign(root.key, SHA256())


def _authority_name(what: str, id_: UUID) -> x509.Name:
    # The id keeps apart the authorities of two platforms that one machine trusts.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Roadstead"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Roadstead {what} {id_}"),
        ]
    )


def _add_authority_extensions(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
    *,
    path_length: int,
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


# --- what the intermediate signs -------------------------------------------------------------------------------------


def issue_device_certificate(
    issuer: KeyPair,
    key: DeviceKey,
    *,
    organization: UUID,
    device: UUID,
    now: datetime,
    revocation_url: str,
) -> x509.Certificate:
    """Good for a year as a TLS client. Its subject is `O=<organization>, CN=<device>`, whatever was asked for."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, str(organization)),
            x509.NameAttribute(NameOID.COMMON_NAME, str(device)),
        ]
    )
    builder = _leaf(issuer, subject, key, now, DEVICE_LIFE, ExtendedKeyUsageOID.CLIENT_AUTH)
    if revocation_url:
        point = x509.DistributionPoint(
            full_name=[x509.UniformResourceIdentifier(revocation_url)],
            relative_name=None,
            reasons=None,
            crl_issuer=None,
        )
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    return builder.sign(issuer.key, SHA256())


def issue_server_certificate(issuer: KeyPair, hosts: Sequence[str], now: datetime) -> KeyPair:
    """A new key and its certificate for host names and addresses, good for 90 days as a TLS server."""
    key = ec.generate_private_key(ec.SECP256R1())
    # A common name has 64 characters at most; clients look at the alternative names only.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    names = x509.SubjectAlternativeName([_general_name(host) for host in dict.fromkeys(hosts)])
    builder = _leaf(issuer, subject, key.public_key(), now, SERVER_LIFE, ExtendedKeyUsageOID.SERVER_AUTH)
    return KeyPair(builder.add_extension(names, critical=False).sign(issuer.key, SHA256()), key)


def sign_revocation_list(issuer: KeyPair, revocations: Iterable[Revocation], now: datetime) -> bytes:
    """DER. Its number is the time in seconds, so that a later list always has a higher one."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now)
        .next_update(now + REVOCATION_LIST_LIFE)
        .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    for revocation in revocations:
        line = (
            x509.RevokedCertificateBuilder()
            .serial_number(int(revocation.serial_number, 16))
            .revocation_date(revocation.revoked_at)
        )
        if revocation.superseded:
            line = line.add_extension(x509.CRLReason(x509.ReasonFlags.superseded), critical=False)
        builder = builder.add_revoked_certificate(line.build())
    return builder.sign(issuer.key, SHA256()).public_bytes(Encoding.DER)


def _leaf(
    issuer: KeyPair,
    subject: x509.Name,
    key: DeviceKey,
    now: datetime,
    life: timedelta,
    purpose: x509.ObjectIdentifier,
) -> x509.CertificateBuilder:
    end = min(now + life, issuer.certificate.not_valid_after_utc)
    signer = issuer.key.public_key()
    return (
        _builder(subject, issuer.certificate.subject, key, now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: DeviceKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())  # 20 bytes, the first bit zero
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(end)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """An authority's key signs certificates and revocation lists and nothing else; any other key none of these."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


# --- what devices bring ----------------------------------------------------------------------------------------------


def read_signing_request(pem: str) -> DeviceKey:
    """The key that a PKCS #10 request asks a certificate for; it has signed the request. All else in it is ignored.

    Raises `Invalid` (`csr-invalid`, naming `/csr`) for everything we do not sign.
    """
    if len(pem) > _LONGEST_PEM:
        raise _refuse_request(f"must not be longer than {_LONGEST_PEM} characters")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        signed = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refuse_request("is not a certificate signing request in PEM form") from error
    if not signed:
        raise _refuse_request("is not signed by the key it asks a certificate for")
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 8192:
        return key
    raise _refuse_request("must be for a key of EC P-256, or of RSA with 2048 to 8192 bits")


def _refuse_request(detail: str) -> Invalid:
    problem = Invalid.field("/csr", detail, code="csr-invalid")
    return Invalid(str(problem), code="csr-invalid", fields=problem.fields)


def read_foreign_certificate(pem: str, now: datetime) -> x509.Certificate:
    """A certificate that somebody else has issued, or the device itself. Raises `Invalid` naming `/certificate`."""
    if len(pem) > _LONGEST_PEM:
        raise Invalid.field("/certificate", f"must not be longer than {_LONGEST_PEM} characters")
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Invalid.field("/certificate", "is not an X.509 certificate in PEM form") from error
    if not isinstance(key, ForeignKey) or (isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048):
        raise Invalid.field("/certificate", "must have an EC, Ed25519 or RSA key, RSA with at least 2048 bits")
    if certificate.not_valid_after_utc <= now:
        raise Invalid.field("/certificate", "has expired")
    return certificate


def read_any_certificate(text: str) -> x509.Certificate:
    """The first certificate in a PEM text that may have gone through hands; whatever its key, its issuer, its dates.

    Its lines may be indented, or joined by a written `\\n`. Raises `Invalid` naming `/cert`.
    """
    if len(text) > _LONGEST_PEM:
        raise Invalid.field("/cert", f"must not be longer than {_LONGEST_PEM} characters")
    block = _PEM_BLOCK.search(text.replace("\\r", "\n").replace("\\n", "\n"))
    try:
        certificate = x509.load_der_x509_certificate(b64decode("".join(block[1].split()) if block else ""))
        certificate.subject.rfc4514_string()
        certificate.not_valid_after_utc  # noqa: B018  # what cannot be told is found out here
    except ValueError as error:
        raise Invalid.field("/cert", "is not an X.509 certificate in PEM form") from error
    return certificate


def read_end(certificate: bytes) -> datetime:
    """When a certificate (DER) that we have accepted once comes to its end."""
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc


# --- spelling --------------------------------------------------------------------------------------------------------


def spell_pem(certificate: x509.Certificate) -> str:
    """PEM."""
    return certificate.public_bytes(Encoding.PEM).decode()


def spell_serial(certificate: x509.Certificate) -> str:
    """Upper-case hex, an even number of digits."""
    text = f"{certificate.serial_number:X}"
    return text if len(text) % 2 == 0 else "0" + text


def fingerprint_of(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the DER form."""
    return certificate.fingerprint(SHA256())
