"""What people can do with their own account."""

from datetime import timedelta

from roadstead.core.identity import attempts, passwords, tokens
from roadstead.core.identity.model import Person, PersonChange
from roadstead.core.identity.store import people as store
from roadstead.core.identity.store import sessions
from roadstead.core.operation import unguarded
from roadstead.core.ports import Mail
from roadstead.core.work import Account, Entry, Work
from roadstead.kernel import time
from roadstead.kernel.actor import ActorKind
from roadstead.kernel.errors import Gone, Unauthenticated
from roadstead.kernel.ids import UserId

RESET_FOR = timedelta(hours=1)
RESET_EVERY = timedelta(minutes=1)
"""One mail a minute and person at most."""


@unguarded("everyone may know who they are")
async def find_self(work: Work) -> Person | None:
    """The person who asks, or None when a key does."""
    if work.actor.kind is not ActorKind.USER:
        return None
    return await store.select_person(work.tx, UserId(work.actor.id))


@unguarded("everyone may know who they are")
async def get_self(account: Account) -> Person:
    """The person who asks."""
    person = await store.select_person(account.tx, account.person_id)
    if person is None:
        raise Unauthenticated("this account is gone")
    return person


@unguarded("it is their own account")
async def change_self(account: Account, change: PersonChange) -> Person:
    """Change name, locale, time zone or preferences."""
    change.check()
    before = await get_self(account)
    after = change.applied(before)
    await store.update_person(account.tx, after, time.now())
    account.as_work().record("user.update", after.id, before=before, after=after)
    return after


@unguarded("it is their own account")
async def change_password(account: Account, *, current: str, new: str) -> None:
    """Change the password and end all other sessions. Raises `Unauthenticated` when the current one is wrong."""
    passwords.check_password(new, field="/newPassword")
    await replace_password(account, current=current, new=new)


async def replace_password(account: Account, *, current: str, new: str) -> None:
    """The same, for modules that have looked at the new one."""
    person = await renew_password(account, current=current, new=new)
    await sessions.revoke_sessions_of_person(account.tx, person.id, time.now(), but=account.actor.session_id)


async def renew_password(account: Account, *, current: str, new: str) -> Person:
    """Change the password alone, for modules that have looked at the new one."""
    person = await get_self(account)
    secrets = await store.select_secrets(account.tx, person.id)
    await attempts.count_attempt(account.tx, person.email, account.actor.address)
    hashed = secrets.password_hash if secrets else None
    if not await passwords.is_password(current, hashed, account.ports.password_cost):
        raise Unauthenticated("the current password is wrong")
    await attempts.forgive(account.tx, person.email, account.actor.address)
    await _set_password(account, person, new)
    account.as_work().record("user.change-password", person.id)
    return person


@unguarded("whoever reads the mailbox may set a password")
async def request_reset(entry: Entry, email: str) -> Mail | None:
    """The mail with a token that sets a new password once, within an hour; None when there is nobody to send it to.

    The caller sends it after the commit, and answers the same whether there is one or not.
    """
    person = await store.select_person_named(entry.tx, email)
    if person is None:
        return None
    token = await begin_reset(entry, person)
    if token is None:
        return None
    url = f"{entry.ports.public_url}/api/v1/auth/password/reset"
    text = (
        f"Somebody, probably you, wants to set a new password for {person.email} at {entry.ports.public_url}.\n\n"
        f"This token is good once and for one hour:\n\n  {token}\n\n"
        "Without a console at hand, this sets the password:\n\n"
        f"  curl {url} -H 'Content-Type: application/json' \\\n"
        f"""    -d '{{"token": "{token}", "newPassword": "at least 12 characters"}}'\n\n"""
        "If it was not you, do nothing: without the token nothing changes.\n"
    )
    return Mail(person.email, "Set a new password", text)


async def begin_reset(entry: Entry, person: Person) -> str | None:
    """A token that sets a new password once, for modules that mail it; None when one was mailed a moment ago."""
    token, now = tokens.new_secret(), time.now()
    made = await store.insert_reset(
        entry.tx,
        person.id,
        tokens.digest(token),
        created_at=now,
        expires_at=now + RESET_FOR,
        unless_since=now - RESET_EVERY,
    )
    if not made:
        return None
    await _record_everywhere(entry, person, "user.request-password-reset")
    return token


@unguarded("the mailed token is what is asked for")
async def reset_password(entry: Entry, *, token: str, new: str) -> None:
    """Set a password with a mailed token, end all sessions, and open what failed attempts had locked.

    Raises `Gone` for a token that was used, has run out or never was.
    """
    passwords.check_password(new, field="/newPassword")
    await finish_reset(entry, token, new, whose=None)


async def finish_reset(entry: Entry, token: str, new: str, *, whose: UserId | None) -> None:
    """The same, for modules that have looked at the password; `whose`: only when the token is theirs."""
    now = time.now()
    reset = await store.select_reset(entry.tx, tokens.digest(token))
    person = await store.select_person(entry.tx, reset.person_id) if reset else None
    is_theirs = person is not None and whose in (None, person.id)
    if reset is None or person is None or not is_theirs or reset.used_at is not None or reset.expires_at <= now:
        raise Gone("this token was used or has run out; ask for another")
    await store.use_resets(entry.tx, person.id, now)
    await _set_password(entry, person, new)
    await sessions.revoke_sessions_of_person(entry.tx, person.id, now)
    await store.delete_failures(entry.tx, person.email.lower(), None)
    await _record_everywhere(entry, person, "user.reset-password")


async def _set_password(entry: Entry | Account, person: Person, password: str) -> None:
    hashed = await passwords.hash_password(password, entry.ports.password_cost)
    await store.update_password(entry.tx, person.id, hashed, time.now())


async def _record_everywhere(entry: Entry, person: Person, action: str) -> None:
    """An audit line in each organization of the person, for each has reason to know."""
    for membership in await store.select_memberships(entry.tx, person.id):
        entry.as_actor(membership.actor(person, entry)).record(action, person.id)
