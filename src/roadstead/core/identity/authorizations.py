"""Signing in to the realm with a browser, choosing a tenant, and what the browser then brings to a program."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from roadstead.core.identity import realm_keys, sessions, tokens, totp
from roadstead.core.identity.model import Membership, Person, Secrets, Session
from roadstead.core.identity.realm_keys import REFRESH_LIFE
from roadstead.core.identity.realm_model import Asked, Choice, OpenedSession, RealmClient, RealmSession, SecondStep
from roadstead.core.identity.store import people
from roadstead.core.identity.store import realm_sessions as store
from roadstead.core.operation import unguarded
from roadstead.core.tenancy import OrganizationStatus
from roadstead.core.work import Entry
from roadstead.kernel import time
from roadstead.kernel.errors import Forbidden, Unauthenticated
from roadstead.kernel.ids import UserId, new_id

CODE_LIFE = timedelta(minutes=1)
_SECOND_STEP_LIFE = timedelta(minutes=5)
_SECOND_STEP = "SecondStep"


@unguarded("the password is what is asked for")
async def sign_in_to_realm(entry: Entry, *, email: str, password: str) -> OpenedSession | SecondStep:
    """A session of the realm, or what `finish_sign_in` wants of those who have a second factor.

    Raises `Unauthenticated`, the same for a wrong password and for an unknown address, and `TooMany` like `sign_in`.
    """
    person, secrets = await sessions.prove_password(entry, email=email, password=password)
    if secrets.totp_confirmed_at is None:
        return await _open(entry, person)
    claims = {
        "typ": _SECOND_STEP,
        "sub": str(person.id),
        "proof": _proof_of(secrets),
        "exp": int((time.now() + _SECOND_STEP_LIFE).timestamp()),
    }
    return SecondStep(await realm_keys.sign(entry.tx, entry.ports, claims))


@unguarded("the code of the second factor is what is asked for")
async def finish_sign_in(entry: Entry, *, proof: str, code: str) -> OpenedSession:
    """A session of the realm for who has given their password a moment ago.

    Raises `Unauthenticated`, with code `otp-required` when the code is wrong and another may be tried; `TooMany`.
    """
    claims = await realm_keys.verify(entry.tx, proof)
    if claims.get("typ") != _SECOND_STEP:
        raise Unauthenticated("sign in again")
    person_id = UserId(UUID(claims["sub"]))
    person = await people.select_person(entry.tx, person_id)
    secrets = await people.select_secrets(entry.tx, person_id)
    if person is None or secrets is None or _proof_of(secrets) != claims["proof"]:
        raise Unauthenticated("sign in again")
    await totp.check_code(entry.tx, entry.ports, person, secrets, code)
    return await _open(entry, person)


@unguarded("the secret in the browser is what is asked for")
async def find_realm_session(entry: Entry, secret: str) -> RealmSession | None:
    """The open session of a browser, if it has one."""
    return await store.select_session_of_cookie(entry.tx, tokens.digest(secret), time.now())


@unguarded("their own tenants are open to everyone")
async def list_choices(entry: Entry, session: RealmSession, client: RealmClient) -> list[Choice]:
    """The tenants that somebody may enter with a program, by name."""
    found = await _memberships(entry, session, client)
    names = await store.select_names(entry.tx, [each.tenant_id for each in found])
    choices = [Choice(each.organization_id, names[each.organization_id]) for each in found]
    return sorted(choices, key=lambda choice: (choice.name.lower(), choice.organization_id))


@unguarded("whoever has signed in may take a code for themselves")
async def grant_code(entry: Entry, session: RealmSession, asked: Asked, organization_id: UUID | None) -> str:
    """A code with which a program gets tokens for this tenant, or for none; good once and for a minute.

    Raises `Forbidden` for a tenant that they may not enter with this program, `Unauthenticated` for one in which the
    session was ended: signing in again opens another.
    """
    if organization_id is not None:
        found = await _memberships(entry, session, asked.client)
        membership = next((each for each in found if each.organization_id == organization_id), None)
        if membership is None:
            raise Forbidden("you cannot enter this organization with this application")
        await enter(entry, session, await load_person(entry, session), membership)
        chosen = msgspec.structs.replace(session, organization_id=organization_id)
        await store.update_realm_session(entry.tx, chosen)
    secret = tokens.new_secret()
    code = store.Code(
        session_id=session.id,
        client_id=asked.client.id,
        redirect_uri=asked.redirect_uri,
        organization_id=organization_id,
        scope=asked.scope,
        nonce=asked.nonce,
        challenge=asked.challenge,
        challenge_method=asked.challenge_method,
        expires_at=time.now() + CODE_LIFE,
    )
    await store.insert_code(entry.tx, tokens.digest(secret), code)
    return secret


async def enter(entry: Entry, session: RealmSession, person: Person, membership: Membership) -> None:
    """The session is open in this tenant, too, from now on for as long as it may be renewed."""
    OrganizationStatus(membership.status).check_working()
    now = time.now()
    entered = Session(
        tenant_id=membership.tenant_id,
        id=session.id,
        person_id=person.id,
        address=entry.address,
        created_at=now,
        expires_at=now + REFRESH_LIFE,
    )
    made = await store.upsert_entered(entry.tx, entered)
    if made is None:
        raise Unauthenticated("the session was ended in this organization; sign in again")
    if made:
        entry.as_actor(membership.actor(person, entry, session_id=session.id)).record("session.create", session.id)
        await people.remember_organization(entry.tx, person.id, membership.tenant_id)


async def load_person(entry: Entry, session: RealmSession) -> Person:
    """Whose session it is. Raises `Unauthenticated` when they are gone."""
    person = await people.select_person(entry.tx, session.person_id) if session.person_id else None
    if person is None:
        raise Unauthenticated("this account is gone")
    return person


@unguarded("the token of the session, or its secret in the browser, was shown")
async def end_realm_session(entry: Entry, session_id: UUID, *, action: str = "session.delete") -> None:
    """The session is over in all tenants and for all programs, at once. One that is over already ends as silently."""
    for entered in await store.revoke_realm_session(entry.tx, session_id, time.now()):
        await sessions.record(entry, entered, action)


@unguarded("the id of a session cannot be guessed, and nothing else is told")
async def is_realm_session_open(entry: Entry, session_id: UUID) -> bool:
    """Whether somebody is still signed in."""
    return await store.select_realm_session(entry.tx, session_id, time.now()) is not None


async def _open(entry: Entry, person: Person) -> OpenedSession:
    now, secret = time.now(), tokens.new_secret()
    session = RealmSession(
        id=new_id(),
        person_id=person.id,
        organization_id=None,
        authenticated_at=now,
        expires_at=now + REFRESH_LIFE,
    )
    await store.insert_realm_session(entry.tx, session, tokens.digest(secret))
    return OpenedSession(session, secret)


async def _memberships(entry: Entry, session: RealmSession, client: RealmClient) -> Sequence[Membership]:
    if session.person_id is None:
        return ()
    return [
        each
        for each in await people.select_memberships(entry.tx, session.person_id)
        if each.status == OrganizationStatus.ACTIVE and (client.reach is None or each.organization_id in client.reach)
    ]


def _proof_of(secrets: Secrets) -> str:
    """Changes with the password: who has signed in halfway with an old one begins again."""
    return tokens.digest(secrets.password_hash or "").hex()
