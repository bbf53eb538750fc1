"""What a device does to get its identity: make a key, ask for a certificate with a one-time token."""

from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from roadstead.cli.client import ApiClient


class DeviceIdentity(msgspec.Struct, frozen=True):
    """All that a device needs to connect. The private key was made here and is nowhere else."""

    device_id: str
    private_key: bytes
    certificate: bytes
    """PEM, the leaf alone: the platform knows its own intermediate."""
    authorities: bytes
    host: str
    port: int
    client_id: str
    topics: dict[str, str]

    def store(self, directory: Path) -> None:
        """Write `device.key` (mode 0600), `device.crt` and `ca.crt`."""
        directory.mkdir(parents=True, exist_ok=True)
        key_file = directory / "device.key"
        key_file.touch(mode=0o600)
        key_file.write_bytes(self.private_key)
        (directory / "device.crt").write_bytes(self.certificate)
        (directory / "ca.crt").write_bytes(self.authorities)


def provision(api: ApiClient, token: str) -> DeviceIdentity:
    """Redeem a registration token, as a device would."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    csr = request.public_bytes(Encoding.PEM).decode()
    result = api.post("/api/v1/devices/provision", {"token": token, "csr": csr})
    mqtt = result["mqtt"]
    return DeviceIdentity(
        device_id=result["deviceId"],
        private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate=result["certificate"].encode(),
        authorities=result["caChain"].encode(),
        host=mqtt["host"],
        port=mqtt["port"],
        client_id=mqtt["clientId"],
        topics=mqtt["topics"],
    )
