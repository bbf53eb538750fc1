"""Passwords of those who sign in to a project by their name there."""

from uuid import UUID

from roadstead.core.identity import passwords
from roadstead.core.identity.account_model import MemberAccount
from roadstead.core.identity.model import Person
from roadstead.core.identity.people import begin_reset, finish_reset, replace_password
from roadstead.core.identity.store import accounts as store
from roadstead.core.identity.store import people
from roadstead.core.operation import unguarded
from roadstead.core.ports import Mail
from roadstead.core.work import Account, Entry
from roadstead.kernel.errors import Gone, NotFound


@unguarded("it is their own account")
async def change_account_password(account: Account, *, current: str, new: str) -> None:
    """Change the own password and end all other sessions. Raises `Unauthenticated` when the current one is wrong."""
    known = await store.select_account(account.tx, account.actor.tenant_id, account.person_id)
    if known is None:
        raise NotFound("user", account.person_id)
    _check(new, known, field="/newPassword")
    await replace_password(account, current=current, new=new)


@unguarded("whoever reads the mailbox may set a password")
async def request_account_reset(entry: Entry, *, username: str, project_id: UUID | None) -> Mail | None:
    """The mail with a token that sets a new password once, within an hour; None when there is nobody to send it to.

    `username` is a name in the project, or without one an address. The caller sends the mail after the commit, and
    answers the same whether there is one or not.
    """
    person, account = await _find(entry, username, project_id)
    if person is None:
        return None
    to = account.email if account is not None and account.managed else person.email
    token = await begin_reset(entry, person) if to else None
    if to is None or token is None:
        return None
    text = (
        f"Somebody, probably you, wants to set a new password for {username} at {entry.ports.public_url}.\n\n"
        f"This token is good once and for one hour:\n\n  {token}\n\n"
        "If it was not you, do nothing: without the token nothing changes.\n"
    )
    return Mail(to, "Set a new password", text)


@unguarded("the mailed token is what is asked for")
async def reset_account_password(entry: Entry, *, username: str, project_id: UUID | None, token: str, new: str) -> None:
    """Set a password with the token that was mailed to somebody, and end all sessions. `Gone` for a bad token."""
    person, account = await _find(entry, username, project_id)
    if person is None:
        raise Gone("this token was used or has run out; ask for another")
    _check(new, account, field="/password")
    await finish_reset(entry, token, new, whose=person.id)


async def _find(entry: Entry, username: str, project_id: UUID | None) -> tuple[Person | None, MemberAccount | None]:
    if project_id is None:
        return await people.select_person_named(entry.tx, username), None
    person_id = await store.select_person_of_name(entry.tx, project_id, username)
    if person_id is None:
        return None, None
    person = await people.select_person(entry.tx, person_id)
    return person, await store.select_account_in(entry.tx, project_id, person_id)


def _check(password: str, account: MemberAccount | None, *, field: str) -> None:
    managed = account is not None and account.managed
    shortest = passwords.SHORTEST_OF_ACCOUNT if managed else passwords.SHORTEST
    passwords.check_password(password, field=field, shortest=shortest)
