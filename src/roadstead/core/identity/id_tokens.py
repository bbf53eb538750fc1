"""Bearer tokens of 24 hours, for a project or for the person alone (contract leverege, section 1.2)."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from roadstead.core.identity import tokens, totp
from roadstead.core.identity.attempts import count_attempt
from roadstead.core.identity.authorizations import end_realm_session, enter
from roadstead.core.identity.model import Membership, Person
from roadstead.core.identity.passwords import is_password
from roadstead.core.identity.realm_model import RealmSession
from roadstead.core.identity.role_model import rights_of
from roadstead.core.identity.sessions import prove_password
from roadstead.core.identity.store import accounts, people, realm, realm_sessions
from roadstead.core.identity.store import id_tokens as store
from roadstead.core.identity.store.id_tokens import IdToken
from roadstead.core.operation import unguarded
from roadstead.core.tenancy import OrganizationStatus
from roadstead.core.work import Entry
from roadstead.kernel import time
from roadstead.kernel.actor import Actor, ActorKind
from roadstead.kernel.errors import Unauthenticated
from roadstead.kernel.ids import UserId, new_id

ID_TOKEN_LIFE = timedelta(hours=24)
_START = "idt_"
_WRONG = "user name or password is wrong, or there is no such project"


class NewIdToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, which is shown this once, and whose it is."""

    token: str
    person_id: UserId
    project_id: UUID | None
    expires_at: datetime


class IdTokenHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Who shows a token."""

    person_id: UserId
    session_id: UUID
    expires_at: datetime
    actor: Actor | None
    """In the project of the token, or None when it is for no project."""


def is_id_token(text: str) -> bool:
    """Whether it looks like one of these."""
    return text.startswith(_START)


@unguarded("the password is what is asked for")
async def log_in(entry: Entry, *, username: str, password: str, project_id: UUID | None, otp: str | None) -> NewIdToken:
    """A token of somebody for a project, by their name there, or for no project, by their address.

    Raises `Unauthenticated`, the same for a wrong password, an unknown name, and a project that is not there or not
    theirs; with code `otp-required` when a code of the second factor is missing or wrong. Raises `TooMany` after ten
    failures.
    """
    if project_id is None:
        person, _ = await _prove(entry, username, password, otp)
        return await _issue(entry, await _open(entry, person), None, person)
    person_id = await accounts.select_person_of_name(entry.tx, project_id, username)
    known = await people.select_person(entry.tx, person_id) if person_id else None
    if known is None:
        # Whoever is somebody elsewhere is nobody here, and it takes as long to say so.
        await count_attempt(entry.tx, f"{project_id}/{username}", entry.address)
        await is_password(password, None, entry.ports.password_cost)
        raise Unauthenticated(_WRONG)
    person, memberships = await _prove(entry, known.email, password, otp)
    membership = next((each for each in memberships if each.organization_id == project_id), None)
    if membership is None:
        raise Unauthenticated(_WRONG)
    return await issue_id_token(entry, person, membership)


async def issue_id_token(entry: Entry, person: Person, membership: Membership) -> NewIdToken:
    """A token for a project, for modules that have made sure who it is. `Forbidden` when nobody may work there."""
    OrganizationStatus(membership.status).check_working()
    session = await _open(entry, person)
    await enter(entry, session, person, membership)
    await accounts.touch_account(entry.tx, membership.tenant_id, person.id, time.now())
    return await _issue(entry, session, membership.organization_id, person)


@unguarded("the token is the secret that is asked for")
async def authenticate_id_token(entry: Entry, text: str) -> IdTokenHolder:
    """Whose token this is. All is looked up, so that what is revoked is out at once.

    Raises `Unauthenticated` for a token that is not, or no longer, good; `Forbidden` when nobody may work in its
    project.
    """
    token = await store.select_id_token(entry.tx, tokens.digest(text), time.now())
    session = await realm_sessions.select_realm_session(entry.tx, token.session_id, time.now()) if token else None
    if token is None or session is None or session.person_id is None:
        raise Unauthenticated("the token is not good, or not any more: log in again")
    actor = None
    if token.organization_id is not None:
        actor = await _actor(entry, token, token.organization_id)
    return IdTokenHolder(
        person_id=UserId(session.person_id), session_id=session.id, expires_at=token.expires_at, actor=actor
    )


@unguarded("one's own projects are open to everyone")
async def list_projects_of(entry: Entry, holder: IdTokenHolder) -> list[Actor]:
    """The holder of a token for no project in each project they may work in, the one used last first."""
    person = await people.select_person(entry.tx, holder.person_id)
    if person is None:
        raise Unauthenticated("this account is gone")
    return [
        msgspec.structs.replace(
            membership.actor(person, entry, session_id=holder.session_id), expires_at=holder.expires_at
        )
        for membership in await people.select_memberships(entry.tx, person.id)
        if membership.status == OrganizationStatus.ACTIVE
    ]


@unguarded("the token was shown")
async def log_out(entry: Entry, text: str) -> None:
    """The token is not good any more, at once. One that is over already ends as silently."""
    token = await store.select_id_token(entry.tx, tokens.digest(text), time.now())
    if token is not None:
        await end_realm_session(entry, token.session_id)


async def _prove(entry: Entry, email: str, password: str, otp: str | None) -> tuple[Person, list[Membership]]:
    try:
        person, secrets = await prove_password(entry, email=email, password=password)
    except Unauthenticated as error:
        raise Unauthenticated(_WRONG) from error
    if secrets.totp_confirmed_at is not None:
        await totp.check_code(entry.tx, entry.ports, person, secrets, otp)
    return person, await people.select_memberships(entry.tx, person.id)


async def _open(entry: Entry, person: Person) -> RealmSession:
    now = time.now()
    session = RealmSession(
        id=new_id(),
        person_id=person.id,
        organization_id=None,
        authenticated_at=now,
        expires_at=now + ID_TOKEN_LIFE,
    )
    await realm_sessions.insert_realm_session(entry.tx, session, None)
    return session


async def _issue(entry: Entry, session: RealmSession, project_id: UUID | None, person: Person) -> NewIdToken:
    text = _START + tokens.new_secret()
    token = IdToken(session_id=session.id, organization_id=project_id, expires_at=session.expires_at)
    await store.insert_id_token(entry.tx, tokens.digest(text), token)
    return NewIdToken(token=text, person_id=person.id, project_id=project_id, expires_at=token.expires_at)


async def _actor(entry: Entry, token: IdToken, project_id: UUID) -> Actor:
    known = await realm.select_bearer(entry.tx, organization_id=project_id, session_id=token.session_id, at=time.now())
    if known is None:
        raise Unauthenticated("the token is not good any more: log in again")
    OrganizationStatus(known.status).check_working()
    return Actor(
        kind=ActorKind.USER,
        id=known.person_id,
        name=known.person_name,
        tenant_id=known.tenant_id,
        organization_id=known.organization_id,
        grants=rights_of(known.role, known.held).grants,
        role=known.role,
        session_id=token.session_id,
        request_id=entry.request_id,
        address=entry.address,
        expires_at=token.expires_at,
    )
