"""The first organization, its owner and its key; and what the command line does with accounts."""

import msgspec

from roadstead.core import tenancy
from roadstead.core.identity import keys, model, passwords, signing
from roadstead.core.identity.model import KeyDraft, NewKey, Person
from roadstead.core.identity.store import members, people, sessions
from roadstead.core.operation import unguarded
from roadstead.core.tenancy import Organization, OrganizationDraft
from roadstead.core.work import Entry
from roadstead.kernel import time
from roadstead.kernel.actor import Role, system_actor
from roadstead.kernel.errors import Conflict, NotFound
from roadstead.kernel.ids import UserId, new_id


class FirstStart(msgspec.Struct, frozen=True, kw_only=True):
    """What there is after the first start. The key's secret is shown this once."""

    organization: Organization
    owner: Person
    key: NewKey


@unguarded("for the first start: whoever runs the platform")
async def found_platform(entry: Entry, *, organization: str, email: str, name: str, password: str) -> FirstStart | None:
    """The first organization with its owner, an API key for everything and a signing key, in one transaction.

    None, and nothing is changed, when there is an organization already; of several who try at once, one founds.
    """
    if not await tenancy.is_platform_empty(entry):
        return None
    founded = await tenancy.found_organization(entry, OrganizationDraft(name=organization))
    owner = await create_owner(entry, founded, email=email, name=name, password=password)
    key = await create_system_key(entry, founded, KeyDraft(name="first key"))
    await signing.rotate_signing_keys(entry)
    return FirstStart(organization=founded, owner=owner, key=key)


@unguarded("for the command line: whoever runs the platform")
async def create_owner(
    entry: Entry, organization: Organization, *, email: str, name: str, password: str | None
) -> Person:
    """Make somebody owner of an organization. See `create_member`."""
    return await create_member(entry, organization, email=email, name=name, password=password, role=Role.OWNER)


@unguarded("for the command line: whoever runs the platform")
async def create_member(
    entry: Entry, organization: Organization, *, email: str, name: str, password: str | None, role: Role
) -> Person:
    """A person with a role in an organization: a new one, or with `password` None one who has an account already.

    Raises `Conflict` for a new person whose address is taken and for a member, `NotFound` for nobody to add.
    """
    model.check_email(email)
    now = time.now()
    if password is None:
        person = await people.select_person_named(entry.tx, email)
        if person is None:
            raise NotFound("user", email)
    else:
        passwords.check_password(password, field="/password")
        person = Person(id=UserId(new_id()), email=email, name=name)
        hashed = await passwords.hash_password(password, entry.ports.password_cost)
        if not await people.insert_person(entry.tx, person, hashed, now):
            raise Conflict.taken("user", "email", email)
    if not await members.insert_member(entry.tx, organization.tenant_id, person.id, role, now):
        raise Conflict.taken("member", "email", email, code="already-member")
    member = await members.select_member(entry.tx, organization.tenant_id, person.id)
    work = entry.as_actor(system_actor(organization.tenant_id, organization.public_id))
    work.record("member.create", person.id, after=member)
    return person


@unguarded("for the command line: whoever runs the platform")
async def create_system_key(entry: Entry, organization: Organization, draft: KeyDraft) -> NewKey:
    """A key of an organization, made by the platform itself. The secret is shown this once."""
    return await keys.create_key(entry.as_actor(system_actor(organization.tenant_id, organization.public_id)), draft)


@unguarded("for the command line: whoever runs the platform")
async def set_password(entry: Entry, *, email: str, password: str) -> None:
    """Set somebody's password, end their sessions and open what failed attempts had locked. Raises `NotFound`."""
    passwords.check_password(password, field="/password")
    person = await people.select_person_named(entry.tx, email)
    if person is None:
        raise NotFound("user", email)
    hashed = await passwords.hash_password(password, entry.ports.password_cost)
    await people.update_password(entry.tx, person.id, hashed, time.now())
    await people.delete_failures(entry.tx, email.lower(), None)
    await sessions.revoke_sessions_of_person(entry.tx, person.id, time.now())
    for membership in await people.select_memberships(entry.tx, person.id):
        work = entry.as_actor(system_actor(membership.tenant_id, membership.organization_id))
        work.record("user.set-password", person.id)
