"""Certificates of all sorts, as devices bring them."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from roadstead.gateways.tls import Identity

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Certificate(msgspec.Struct):
    """A certificate with its key."""

    made: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.made.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def der(self) -> bytes:
        """What travels in a handshake."""
        return self.made.public_bytes(Encoding.DER)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256."""
        return sha256(self.der).digest()

    @property
    def identity(self) -> Identity:
        """As a server's."""
        return Identity(self.pem, self.key_pem)

    def save(self, folder: Path, name: str) -> tuple[str, str]:
        """Files of certificate and key."""
        (folder / f"{name}.crt").write_bytes(self.pem)
        (folder / f"{name}.key").write_bytes(self.key_pem)
        return str(folder / f"{name}.crt"), str(folder / f"{name}.key")


def make(
    name: str, *, issuer: Certificate | None = None, days: tuple[int, int] = (-1, 1), is_rsa: bool = False
) -> Certificate:
    """A certificate for `name` and localhost, valid from and until so many days from now; or self-signed."""
    key: Key = rsa.generate_private_key(65537, 2048) if is_rsa else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.made.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    return Certificate(certificate, key)
