"""`roadstead user`: people and what they are in organizations."""

from typing import Annotated

from cyclopts import App, Parameter

from roadstead.cli.database import Password, TenantName, do, do_within, every, load_organization, make_password
from roadstead.cli.output import AsJson, show_list, show_one
from roadstead.core import identity
from roadstead.core.work import Entry, Work
from roadstead.kernel import time
from roadstead.kernel.actor import Role

app = App(name="user", help="List, create and add people, set passwords.", help_epilogue="")

RoleInIt = Annotated[Role, Parameter(help="What they may do in the organization.")]
Email = Annotated[str, Parameter(help="E-mail address of the person.")]


@app.command(name="list")
def list_users(*, tenant: TenantName = None, as_json: AsJson = False) -> None:
    """List the members of an organization."""

    async def find(work: Work) -> list[identity.Member]:
        return await every(lambda query: identity.list_members(work, roles=(), text=None, query=query))

    rows = [
        {
            "email": member.email,
            "name": member.name,
            "role": member.role,
            "joinedAt": time.spell_instant(member.joined_at),
        }
        for member in do_within(tenant, find)
    ]
    columns = {"e-mail": "email", "name": "name", "role": "role", "joined": "joinedAt"}
    show_list(rows, columns, as_json=as_json, empty="it has no members")


@app.command
def create(
    email: Email,
    /,
    *,
    name: Annotated[str, Parameter(help="What people call them.")] = "",
    role: RoleInIt = Role.MEMBER,
    tenant: TenantName = None,
    password: Password = None,
    as_json: AsJson = False,
) -> None:
    """Create a person with a role in an organization."""
    secret = password or make_password()

    async def make(entry: Entry) -> None:
        organization = await load_organization(entry, tenant)
        await identity.create_member(entry, organization, email=email, name=name, password=secret, role=role)

    do(make)
    created = {"email": email, "role": role}
    show_one(created if password else created | {"password": secret}, as_json=as_json)


@app.command
def add(
    email: Email,
    /,
    *,
    role: RoleInIt = Role.MEMBER,
    tenant: TenantName = None,
    as_json: AsJson = False,
) -> None:
    """Add somebody who has an account already to one more organization."""

    async def join(entry: Entry) -> None:
        organization = await load_organization(entry, tenant)
        await identity.create_member(entry, organization, email=email, name="", password=None, role=role)

    do(join)
    show_one({"email": email, "role": role}, as_json=as_json)


@app.command(name="set-password")
def set_password(email: Email, /, *, password: Password = None, as_json: AsJson = False) -> None:
    """Set a password, end the person's sessions and open what failed sign-ins had locked."""
    secret = password or make_password()
    do(lambda entry: identity.set_password(entry, email=email, password=secret))
    show_one({"email": email} | ({} if password else {"password": secret}), as_json=as_json)
