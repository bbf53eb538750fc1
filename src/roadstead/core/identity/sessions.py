"""Signing in, staying signed in, signing out."""

from datetime import timedelta
from uuid import UUID

import structlog

from roadstead.core import tenancy
from roadstead.core.identity import attempts, passwords, signing, tokens, totp
from roadstead.core.identity.model import Membership, Person, Secrets, Session, SignedIn
from roadstead.core.identity.store import people, sessions
from roadstead.core.operation import unguarded
from roadstead.core.tenancy import OrganizationStatus
from roadstead.core.work import Account, Entry, Work
from roadstead.kernel import time
from roadstead.kernel.errors import Forbidden, Unauthenticated
from roadstead.kernel.ids import new_id

RENEWABLE_FOR = timedelta(days=30)

log = structlog.get_logger()


@unguarded("the password is what is asked for")
async def sign_in(
    entry: Entry, *, email: str, password: str, organization_id: UUID | None = None, otp: str | None = None
) -> SignedIn:
    """A session of a person in one of their organizations: the one named, or the one they used last.

    Raises `Unauthenticated`, the same and after the same time for a wrong password and for an unknown address; with
    code `otp-required` when the password was right and a code of the second factor is asked for, or the one sent is
    wrong. Raises `TooMany` after ten failures, `Forbidden` for an organization they cannot work in.
    """
    person, secrets = await prove_password(entry, email=email, password=password)
    if secrets.totp_confirmed_at is not None:
        await totp.check_code(entry.tx, entry.ports, person, secrets, otp)
    membership = _choose(await people.select_memberships(entry.tx, person.id), organization_id)
    return await open_session(entry, person, membership)


@unguarded("one's own organizations are open to everyone")
async def switch_organization(account: Account, organization_id: UUID) -> SignedIn:
    """A session in another of the person's organizations; the one they have stays. Raises `Forbidden` elsewhere."""
    person = await people.select_person(account.tx, account.person_id)
    if person is None:
        raise Unauthenticated("this account is gone")
    membership = _choose(await people.select_memberships(account.tx, account.person_id), organization_id)
    actor = account.actor
    return await open_session(
        Entry(account.tx, account.ports, address=actor.address, request_id=actor.request_id), person, membership
    )


@unguarded("the refresh token is what is asked for")
async def refresh_session(entry: Entry, refresh_token: str) -> SignedIn:
    """New tokens for a session. A refresh token is good once: one that comes again was stolen, and ends the session."""
    now, token_hash = time.now(), tokens.digest(refresh_token)
    token = await sessions.select_refresh_token(entry.tx, token_hash)
    if token is None:
        raise Unauthenticated("no such refresh token")
    if token.used_at is not None:
        session = await sessions.revoke_session(entry.tx, token.tenant_id, token.session_id, now)
        if session is not None:
            log.warning("refresh token used twice", session=str(session.id), address=entry.address)
            await record(entry, session, "session.revoke")
        # Kept although the request fails: whoever stole the token is out.
        await entry.tx.commit()
        raise Unauthenticated("this refresh token was used before; the session is over, sign in again")
    session = await sessions.select_open_session(entry.tx, token.tenant_id, token.session_id, now)
    if session is None or token.expires_at <= now:
        raise Unauthenticated("the session is over; sign in again")

    person = await people.select_person(entry.tx, session.person_id)
    memberships = await people.select_memberships(entry.tx, session.person_id)
    membership = next((each for each in memberships if each.tenant_id == session.tenant_id), None)
    if person is None or membership is None:
        raise Unauthenticated("the session is over; sign in again")
    OrganizationStatus(membership.status).check_working()
    await sessions.use_refresh_token(entry.tx, token_hash, now)
    await sessions.prolong_session(entry.tx, session, now + RENEWABLE_FOR)
    return await _issue(
        entry.as_actor(membership.actor(person, entry, session_id=session.id)), person, membership, session.id
    )


@unguarded("the refresh token is what is asked for")
async def sign_out(entry: Entry, refresh_token: str) -> None:
    """End the session of a refresh token, at once. One that is over or never was ends as silently."""
    token = await sessions.select_refresh_token(entry.tx, tokens.digest(refresh_token))
    if token is None:
        return
    session = await sessions.revoke_session(entry.tx, token.tenant_id, token.session_id, time.now())
    if session is not None:
        await record(entry, session, "session.delete")


async def open_session(entry: Entry, person: Person, membership: Membership) -> SignedIn:
    """A fresh session, for rooms and modules that have made sure who it is."""
    OrganizationStatus(membership.status).check_working()
    now = time.now()
    session = Session(
        tenant_id=membership.tenant_id,
        id=new_id(),
        person_id=person.id,
        address=entry.address,
        created_at=now,
        expires_at=now + RENEWABLE_FOR,
    )
    await sessions.insert_session(entry.tx, session)
    await people.remember_organization(entry.tx, person.id, membership.tenant_id)
    work = entry.as_actor(membership.actor(person, entry, session_id=session.id))
    work.record("session.create", session.id)
    return await _issue(work, person, membership, session.id)


async def prove_password(entry: Entry, *, email: str, password: str) -> tuple[Person, Secrets]:
    """Who has this address and this password, and what else they can be asked for. Raises like `sign_in`."""
    await attempts.count_attempt(entry.tx, email, entry.address)
    person = await people.select_person_named(entry.tx, email)
    secrets = await people.select_secrets(entry.tx, person.id) if person else None
    hashed = secrets.password_hash if secrets else None
    right = await passwords.is_password(password, hashed, entry.ports.password_cost)
    if person is None or secrets is None or hashed is None or not right:
        raise Unauthenticated("e-mail address or password is wrong")
    await attempts.forgive(entry.tx, email, entry.address)
    if passwords.is_outdated(hashed, entry.ports.password_cost):
        renewed = await passwords.hash_password(password, entry.ports.password_cost)
        await people.update_password(entry.tx, person.id, renewed, time.now())
    return person, secrets


async def _issue(work: Work, person: Person, membership: Membership, session_id: UUID) -> SignedIn:
    refresh_token, now = tokens.new_secret(), time.now()
    await sessions.insert_refresh_token(
        work.tx,
        membership.tenant_id,
        session_id,
        tokens.digest(refresh_token),
        created_at=now,
        expires_at=now + RENEWABLE_FOR,
    )
    access_token = await signing.issue_token(
        work.tx,
        work.ports,
        person_id=person.id,
        organization_id=membership.organization_id,
        role=membership.role,
        session_id=session_id,
    )
    return SignedIn(
        access_token=access_token,
        expires_in_s=int(signing.LIFETIME.total_seconds()),
        refresh_token=refresh_token,
        person=person,
        organization=await tenancy.load_organization(work),
    )


def _choose(memberships: list[Membership], organization_id: UUID | None) -> Membership:
    if organization_id is not None:
        for membership in memberships:
            if membership.organization_id == organization_id:
                return membership
        raise Forbidden("you are not a member of this organization")
    for membership in memberships:
        if membership.status == OrganizationStatus.ACTIVE:
            return membership
    raise Forbidden("there is no organization you can work in; ask for an invitation")


async def record(entry: Entry, session: Session, action: str) -> None:
    """An audit line about a session, in the name of whose it is."""
    person = await people.select_person(entry.tx, session.person_id)
    memberships = await people.select_memberships(entry.tx, session.person_id)
    for membership in memberships:
        if person is not None and membership.tenant_id == session.tenant_id:
            entry.as_actor(membership.actor(person, entry, session_id=session.id)).record(action, session.id)
