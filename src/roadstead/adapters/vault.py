"""Keeps secrets that must be read back: AES-256-GCM under a master key that can be rotated."""

import base64
import binascii
import hashlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = 1
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12


class VaultError(Exception):
    """A master key is missing or malformed, or a secret was sealed with a key that is gone."""


class MasterKeyVault:
    """Seals with the first key; opens with whichever key did the sealing.

    A sealed secret is version (1 byte), key id (4), nonce (12), ciphertext with tag. The purpose is authenticated but
    not stored: what was sealed as one thing does not open as another.
    """

    def __init__(self, keys: list[bytes]) -> None:
        if not keys or any(len(key) != 32 for key in keys):
            raise VaultError("a master key has 32 bytes")
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._newest = _key_id(keys[0])

    def seal(self, secret: bytes, purpose: str) -> bytes:
        """Encrypted for one purpose."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._newest].encrypt(nonce, secret, purpose.encode())
        return bytes([_VERSION]) + self._newest + nonce + sealed

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """The secret again. Raises `VaultError` when it was sealed with another key or for another purpose."""
        key_id, rest = sealed[1 : 1 + _KEY_ID_BYTES], sealed[1 + _KEY_ID_BYTES :]
        cipher = self._ciphers.get(bytes(key_id))
        if sealed[:1] != bytes([_VERSION]) or cipher is None:
            raise VaultError("this was sealed with a master key that is not here")
        try:
            return cipher.decrypt(bytes(rest[:_NONCE_BYTES]), bytes(rest[_NONCE_BYTES:]), purpose.encode())
        except (InvalidTag, ValueError) as error:  # the second: it was cut short
            raise VaultError("this was sealed for another purpose, or damaged") from error


def vault_from_text(text: str) -> MasterKeyVault:
    """Keys as base64, one a line, newest first."""
    try:
        return MasterKeyVault([base64.b64decode(line, validate=True) for line in text.split()])
    except binascii.Error as error:
        raise VaultError("a master key is base64 of 32 bytes") from error


def vault_from_file(path: Path) -> MasterKeyVault:
    """The keys of a file that only its owner may read; a new one is made when there is none."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    if path.stat().st_mode & 0o077:
        raise VaultError(f"{path} can be read by others: chmod 600 {path}")
    return vault_from_text(path.read_text())


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"roadstead master key" + key).digest()[:_KEY_ID_BYTES]
