"""People who give up their account."""

from roadstead.core.identity import members, totp
from roadstead.core.identity.sessions import prove_password
from roadstead.core.identity.store import accounts, people
from roadstead.core.operation import unguarded
from roadstead.core.work import Account, Entry
from roadstead.kernel.errors import Unauthenticated


@unguarded("it is their own account")
async def delete_self(account: Account, *, email: str, password: str, code: str | None) -> None:
    """Leave all organizations, and delete the account with its sessions and tokens.

    Raises `Unauthenticated` unless address, password and code are theirs, `Conflict` for the last owner of an
    organization.
    """
    actor = account.actor
    entry = Entry(account.tx, account.ports, address=actor.address, request_id=actor.request_id)
    person, secrets = await prove_password(entry, email=email, password=password)
    if person.id != account.person_id:
        raise Unauthenticated("e-mail address or password is wrong")
    if secrets.totp_confirmed_at is not None:
        await totp.check_code(account.tx, account.ports, person, secrets, code)
    for membership in await people.select_memberships(account.tx, person.id):
        work = entry.as_actor(membership.actor(person, entry, session_id=actor.session_id))
        await members.remove_member(work, person.id)
        work.record("user.delete", person.id)
    await accounts.delete_person(account.tx, person.id)
