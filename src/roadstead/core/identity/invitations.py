"""Asking people to join."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from roadstead.core import tenancy
from roadstead.core.identity import model, passwords, tokens
from roadstead.core.identity.model import Invitation, InvitationStatus, Membership, Person, SignedIn
from roadstead.core.identity.roles import give_roles
from roadstead.core.identity.sessions import open_session
from roadstead.core.identity.store import members as store
from roadstead.core.identity.store import people, roles
from roadstead.core.operation import operation, unguarded
from roadstead.core.ports import Mail
from roadstead.core.work import Entry, Work
from roadstead.kernel import time
from roadstead.kernel.actor import Actor, ActorKind, Grant, Role
from roadstead.kernel.errors import Conflict, Forbidden, Gone, Invalid, NotFound, Unauthenticated
from roadstead.kernel.ids import UserId, new_id
from roadstead.kernel.page import Page, PageQuery

VALID_FOR = timedelta(days=7)


@operation(Grant.MEMBERS_WRITE, changes=False)
async def list_invitations(work: Work, query: PageQuery) -> Page[Invitation]:
    """Invitations that are open, newest first."""
    return await store.page_invitations(work.tx, work.tenant_id, work.now(), query)


@operation(Grant.MEMBERS_WRITE)
async def create_invitation(work: Work, *, email: str, role: Role) -> Invitation:
    """Mail somebody a token that lets them join within 7 days; an earlier one to the same address is withdrawn.

    Raises `Conflict` for a member, `Forbidden` for a role that may do more than whoever invites, and `Unavailable` when
    the mail cannot be handed over: then there is no invitation either.
    """
    model.check_email(email)
    if role is Role.OWNER:
        raise Invalid.field("/role", "cannot be OWNER; make a member owner once they have joined")
    model.check_within(work.actor.grants, model.grants_of(role))
    await check_not_member(work, email)
    await store.revoke_invitations_to(work.tx, work.tenant_id, email, work.now())
    return await invite(work, email=email, role=role, role_ids=[], spoken=role.lower())


async def check_not_member(work: Work, email: str) -> None:
    """Raises `Conflict` for the address of a member."""
    if await store.select_member_named(work.tx, work.tenant_id, email):
        raise Conflict.taken("member", "email", email, code="already-member")


async def invite(work: Work, *, email: str, role: Role, role_ids: Sequence[UUID], spoken: str) -> Invitation:
    """Mail somebody an invitation, for modules that have asked for rights. `spoken` says what for.

    Whoever accepts gets the roles of the tenant named here; with none, the role on the platform.
    """
    organization = await tenancy.load_organization(work)
    token = tokens.new_secret()
    invitation = Invitation(
        tenant_id=work.tenant_id,
        id=new_id(),
        email=email,
        role=role,
        invited_by=work.actor.id,
        created_at=work.now(),
        expires_at=work.now() + VALID_FOR,
    )
    await store.insert_invitation(work.tx, invitation, tokens.digest(token))
    await roles.insert_offered_roles(work.tx, work.tenant_id, invitation.id, role_ids)
    work.record("invitation.create", invitation.id, after=invitation)
    mail = _mail(email, organization.name, work.actor.name, work.ports.public_url, spoken=spoken, token=token)
    await work.ports.mailer.send(mail)
    return invitation


@operation(Grant.MEMBERS_WRITE)
async def withdraw_invitation(work: Work, invitation_id: UUID) -> None:
    """Nobody can accept it any more. Raises `NotFound` when it is not open."""
    before = await store.revoke_invitation(work.tx, work.tenant_id, invitation_id, work.now())
    if before is None:
        raise NotFound("invitation", invitation_id)
    work.record("invitation.delete", invitation_id, before=before)


@unguarded("the mailed token is what is asked for")
async def accept_invitation(
    entry: Entry, token: str, *, actor: Actor | None, name: str | None, password: str | None
) -> SignedIn:
    """Join: as the person who has signed in (`actor`), or as a new one with a name and a password.

    Raises `NotFound` for a token that never was, `Gone` for one that was accepted, withdrawn or has run out,
    `Unauthenticated` when somebody with this address has an account and has not signed in to it.
    """
    now = time.now()
    invitation = await store.select_invitation(entry.tx, tokens.digest(token))
    if invitation is None:
        raise NotFound("invitation")
    status = invitation.status(now)
    if status is not InvitationStatus.PENDING:
        raise Gone(f"this invitation is {status.lower()}; ask for another")
    person = await _joining(entry, invitation, actor, name, password)
    return await open_session(entry, person, await join(entry, invitation, person))


async def join(entry: Entry, invitation: Invitation, person: Person) -> Membership:
    """Somebody becomes a member with what they were offered, for modules that have made sure who it is.

    Raises `Conflict` for a member.
    """
    now = time.now()
    if not await store.insert_member(entry.tx, invitation.tenant_id, person.id, invitation.role, now):
        raise Conflict("you are a member of this organization already", code="already-member")
    await store.accept_invitation(entry.tx, invitation, now)
    offered = await roles.select_offered_roles(entry.tx, invitation.tenant_id, invitation.id)
    if offered:
        await give_roles(entry.tx, invitation.tenant_id, person.id, offered)

    memberships = await people.select_memberships(entry.tx, person.id)
    joined = next(each for each in memberships if each.tenant_id == invitation.tenant_id)
    entry.as_actor(joined.actor(person, entry)).record("invitation.accept", invitation.id)
    return joined


async def _joining(
    entry: Entry, invitation: Invitation, actor: Actor | None, name: str | None, password: str | None
) -> Person:
    if actor is not None:
        if actor.kind is not ActorKind.USER:
            raise Forbidden("an invitation is for people, not for keys")
        person = await people.select_person(entry.tx, UserId(actor.id))
        if person is None:
            raise Unauthenticated("this account is gone")
        return person
    if await people.select_person_named(entry.tx, invitation.email):
        raise Unauthenticated(f"{invitation.email} has an account: sign in first, then accept the invitation")
    if password is None:
        raise Invalid.field("/password", "is required for a new account", code="required")
    passwords.check_password(password, field="/password")
    person = Person(id=UserId(new_id()), email=invitation.email, name=name or "")
    hashed = await passwords.hash_password(password, entry.ports.password_cost)
    if not await people.insert_person(entry.tx, person, hashed, time.now()):
        raise Conflict.taken("user", "email", invitation.email)
    return person


def _mail(email: str, organization: str, inviter: str, public_url: str, *, spoken: str, token: str) -> Mail:
    url = f"{public_url}/api/v1/invitations/{token}/accept"
    text = (
        f"{inviter} asks you to join {organization} at {public_url} as {spoken}.\n\n"
        f"This token is good once and for seven days:\n\n  {token}\n\n"
        "Without a console at hand, this makes your account:\n\n"
        f"  curl {url} -H 'Content-Type: application/json' \\\n"
        """    -d '{"name": "Your name", "password": "at least 12 characters"}'\n\n"""
        "If you have an account already, sign in and send its token along:\n\n"
        f"  curl {url} -H 'Content-Type: application/json' -H 'Authorization: Bearer ...' -d '{{}}'\n"
    )
    return Mail(email, f"Join {organization}", text)
