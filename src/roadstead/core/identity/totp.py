"""The second factor: codes of an authenticator app (RFC 6238), and recovery codes for who has lost it."""

import hmac
import re

import pyotp

from roadstead.core.identity import attempts, passwords, tokens
from roadstead.core.identity.model import Person, SecondFactor, Secrets
from roadstead.core.identity.store import people as store
from roadstead.core.operation import unguarded
from roadstead.core.ports import Ports
from roadstead.core.work import Account
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.errors import Conflict, Invalid, Unauthenticated

_ISSUER = "Roadstead"
_DRIFT = 1
"""By how many steps of 30 seconds the clock of a phone may differ."""
_RECOVERY_CODES = 10
_PROPOSED_LENGTH = 52
_SECRET = re.compile(r"[A-Z2-7]{52}")


@unguarded("it is their own account")
async def begin_second_factor(account: Account, *, password: str) -> SecondFactor:
    """A fresh secret for an authenticator app. It is not asked for before `confirm_second_factor`.

    Raises `Unauthenticated` when the password is wrong: who found a session open cannot lock its owner out.
    """
    person, secrets = await _load(account)
    if secrets.totp_confirmed_at is not None:
        raise Conflict("there is a second factor already; remove it first", code="invalid-state")
    await _check_password(account, person, secrets, password)
    secret = pyotp.random_base32()
    await store.update_totp(account.tx, person.id, account.ports.vault.seal(secret.encode(), "totp"))
    account.as_work().record("user.begin-second-factor", person.id)
    uri = pyotp.TOTP(secret).provisioning_uri(name=person.email, issuer_name=_ISSUER)
    return SecondFactor(secret, uri)


@unguarded("it is their own account")
async def confirm_second_factor(account: Account, code: str) -> list[str]:
    """From now on a code is asked for at every sign-in. Answers ten recovery codes, shown this once, each good once."""
    person, secrets = await _load(account)
    if secrets.totp_secret is None or secrets.totp_confirmed_at is not None:
        raise Conflict("there is no second factor that waits to be confirmed", code="invalid-state")
    if not await _is_code(account.tx, account.ports, person, secrets, code):
        raise Invalid.field("/otp", "is not the code of this moment")
    codes = [tokens.new_recovery_code() for _ in range(_RECOVERY_CODES)]
    hashes = [_recovery_hash(each) for each in codes]
    await store.confirm_totp(account.tx, person.id, hashes, time.now())
    account.as_work().record("user.add-second-factor", person.id)
    return codes


@unguarded("it is their own account")
async def propose_second_factor(account: Account) -> SecondFactor:
    """A fresh secret that nobody remembers here: for programs that bring it again with its first code."""
    person, _ = await _load(account)
    secret = pyotp.random_base32(_PROPOSED_LENGTH)
    return SecondFactor(secret, pyotp.TOTP(secret).provisioning_uri(name=person.email, issuer_name=_ISSUER))


@unguarded("it is their own account")
async def add_second_factor(account: Account, *, secret: str, password: str, code: str) -> list[str]:
    """Make a proposed secret the second factor; answers recovery codes like `confirm_second_factor`.

    Raises `Invalid` for what cannot be a secret, or a code that is not its own, `Unauthenticated` for a wrong password,
    `Conflict` when there is a second factor already.
    """
    if not _SECRET.fullmatch(secret):
        raise Invalid.field("/secret", "is none that was proposed here")
    person, secrets = await _load(account)
    if secrets.totp_confirmed_at is not None:
        raise Conflict("there is a second factor already; remove it first", code="invalid-state")
    await _check_password(account, person, secrets, password)
    await store.update_totp(account.tx, person.id, account.ports.vault.seal(secret.encode(), "totp"))
    return await confirm_second_factor(account, code)


@unguarded("it is their own account")
async def remove_second_factor(account: Account, *, password: str, code: str) -> None:
    """No code is asked for any more. Raises `Unauthenticated` unless password and code are right."""
    person, secrets = await _load(account)
    if secrets.totp_confirmed_at is None:
        raise Conflict("there is no second factor", code="invalid-state")
    await _check_password(account, person, secrets, password)
    await check_code(account.tx, account.ports, person, secrets, code)
    await store.update_totp(account.tx, person.id, None)
    account.as_work().record("user.remove-second-factor", person.id)


async def check_code(tx: Tx, ports: Ports, person: Person, secrets: Secrets, code: str | None) -> None:
    """Raises `Unauthenticated` (`otp-required`) without a code of the app or a recovery code, each good once."""
    if not code:
        raise Unauthenticated("send the code of your second factor as well", code="otp-required")
    await attempts.count_attempt(tx, person.email, attempts.ANYWHERE)
    recovered = await store.use_recovery_code(tx, person.id, _recovery_hash(code))
    if not recovered and not await _is_code(tx, ports, person, secrets, code):
        raise Unauthenticated("the code of the second factor is wrong or was used before", code="otp-required")
    await attempts.forgive(tx, person.email, attempts.ANYWHERE)


async def _is_code(tx: Tx, ports: Ports, person: Person, secrets: Secrets, code: str) -> bool:
    if secrets.totp_secret is None:
        return False
    app = pyotp.TOTP(ports.vault.open(secrets.totp_secret, "totp").decode())
    now = app.timecode(time.now())
    for step in range(now - _DRIFT, now + _DRIFT + 1):
        if hmac.compare_digest(app.generate_otp(step).encode(), code.strip().encode()):
            return await store.use_totp_step(tx, person.id, step)
    return False


async def _check_password(account: Account, person: Person, secrets: Secrets, password: str) -> None:
    await attempts.count_attempt(account.tx, person.email, account.actor.address)
    if not await passwords.is_password(password, secrets.password_hash, account.ports.password_cost):
        raise Unauthenticated("the password is wrong")
    await attempts.forgive(account.tx, person.email, account.actor.address)


async def _load(account: Account) -> tuple[Person, Secrets]:
    person = await store.select_person(account.tx, account.person_id)
    secrets = await store.select_secrets(account.tx, account.person_id)
    if person is None or secrets is None:
        raise Unauthenticated("this account is gone")
    return person, secrets


def _recovery_hash(code: str) -> bytes:
    return tokens.digest(code.replace("-", "").replace(" ", "").lower())
