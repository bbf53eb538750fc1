"""Secrets at rest."""

import base64
import secrets
import stat
from pathlib import Path

import pytest

from roadstead.adapters.vault import MasterKeyVault, VaultError, vault_from_file, vault_from_text

SECRET = b"JBSWY3DPEHPK3PXP"


def test_a_secret_comes_back_and_is_not_to_be_seen() -> None:
    vault = MasterKeyVault([secrets.token_bytes(32)])
    sealed = vault.seal(SECRET, "totp")

    assert vault.open(sealed, "totp") == SECRET
    assert SECRET not in sealed
    assert vault.seal(SECRET, "totp") != sealed


def test_what_is_sealed_for_one_purpose_opens_for_no_other() -> None:
    vault = MasterKeyVault([secrets.token_bytes(32)])
    with pytest.raises(VaultError, match="another purpose"):
        vault.open(vault.seal(SECRET, "totp"), "ca-key")


def test_a_changed_byte_anywhere_is_noticed() -> None:
    vault = MasterKeyVault([secrets.token_bytes(32)])
    sealed = vault.seal(SECRET, "totp")
    for place in range(len(sealed)):
        damaged = bytes([*sealed[:place], sealed[place] ^ 1, *sealed[place + 1 :]])
        with pytest.raises(VaultError):
            vault.open(damaged, "totp")
    for length in range(len(sealed)):
        with pytest.raises(VaultError):
            vault.open(sealed[:length], "totp")


def test_a_new_key_seals_and_the_old_one_still_opens() -> None:
    old, new = secrets.token_bytes(32), secrets.token_bytes(32)
    before = MasterKeyVault([old]).seal(SECRET, "totp")
    rotated = MasterKeyVault([new, old])

    assert rotated.open(before, "totp") == SECRET
    after = rotated.seal(SECRET, "totp")
    assert MasterKeyVault([new]).open(after, "totp") == SECRET
    with pytest.raises(VaultError, match="not here"):
        MasterKeyVault([new]).open(before, "totp")


def test_the_key_file_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    sealed = vault_from_file(file).seal(SECRET, "totp")

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert vault_from_file(file).open(sealed, "totp") == SECRET
    file.chmod(0o644)
    with pytest.raises(VaultError, match="chmod 600"):
        vault_from_file(file)


@pytest.mark.parametrize("text", ["", "no base64!", base64.b64encode(b"short").decode()])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(VaultError):
        vault_from_text(text)
