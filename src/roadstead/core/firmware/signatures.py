"""Detached signatures of firmware: who may say that a device shall run it.

What is signed is the SHA-256 of the file, so that nobody needs the whole file at once. With ECDSA (P-256, P-384, P-521)
that is what `openssl dgst -sha256 -sign` makes of the file; with Ed25519 the 32 bytes of the checksum are the message.
"""

from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def is_signed(sha256: bytes, signature: bytes, keys: Sequence[str]) -> bool:
    """Whether one of the keys (PEM) has made the signature."""
    return any(_has_signed(key, sha256, signature) for key in keys)


def _has_signed(key: str, sha256: bytes, signature: bytes) -> bool:
    public = load_pem_public_key(key.encode())
    try:
        match public:
            case Ed25519PublicKey():
                public.verify(signature, sha256)
            case EllipticCurvePublicKey():
                public.verify(signature, sha256, ECDSA(Prehashed(SHA256())))
            case _:
                return False
    except InvalidSignature:
        return False
    return True
