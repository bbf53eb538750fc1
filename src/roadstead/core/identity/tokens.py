"""Secrets that somebody carries around: made once, kept here only as hashes."""

import base64
import hashlib
import secrets

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = 43  # 62 ** 43 > 2 ** 256


def new_secret() -> str:
    """32 random bytes as 43 digits of Base62."""
    number, digits = int.from_bytes(secrets.token_bytes(32), "big"), []
    for _ in range(_DIGITS):
        number, digit = divmod(number, 62)
        digits.append(_LETTERS[digit])
    return "".join(digits)


def new_recovery_code() -> str:
    """80 random bits, spelled for people: `k3xw-p7fa-...`."""
    letters = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(letters[start : start + 4] for start in range(0, 16, 4))


def digest(secret: str) -> bytes:
    """What is stored instead: SHA-256, which is enough for what cannot be guessed."""
    return hashlib.sha256(secret.encode()).digest()
