"""`roadstead tenant`: the organizations of a platform."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from roadstead.cli.database import Password, do, every, make_password
from roadstead.cli.output import AsJson, show_list, show_one
from roadstead.core import identity, tenancy
from roadstead.core.identity import KeyDraft
from roadstead.core.tenancy import Organization, OrganizationDraft
from roadstead.core.work import Entry
from roadstead.kernel import time

app = App(name="tenant", help="List, create, suspend and restore organizations.", help_epilogue="")

Slug = Annotated[str, Parameter(help="Slug or id of the organization.")]


@app.command(name="list")
def list_tenants(*, as_json: AsJson = False) -> None:
    """List all organizations."""
    found = do(lambda entry: every(lambda query: tenancy.list_organizations(entry, query)))
    columns = {"name": "name", "slug": "slug", "status": "status", "created": "createdAt", "id": "id"}
    show_list([_spell(one) for one in found], columns, as_json=as_json, empty="there are no organizations yet")


@app.command
def create(
    name: Annotated[str, Parameter(help="What people call it.")],
    /,
    *,
    owner: Annotated[str, Parameter(help="E-mail address of its owner, a new person.")],
    slug: Annotated[str | None, Parameter(help="Its short name for commands; default made from NAME.")] = None,
    password: Password = None,
    as_json: AsJson = False,
) -> None:
    """Create an organization with its owner and an API key for everything; the secrets are shown once."""
    secret = password or make_password()

    async def found(entry: Entry) -> dict[str, Any]:
        founded = await tenancy.found_organization(entry, OrganizationDraft(name=name, slug=slug))
        await identity.create_owner(entry, founded, email=owner, name="", password=secret)
        key = await identity.create_system_key(entry, founded, KeyDraft(name="first key"))
        return {"organizationId": str(founded.public_id), "slug": founded.slug, "email": owner, "apiKey": key.secret}

    created = do(found)
    show_one(created if password else created | {"password": secret}, as_json=as_json)


@app.command
def suspend(tenant: Slug, /, *, as_json: AsJson = False) -> None:
    """Stop all work in an organization until it is restored; its devices are cut off."""
    show_one(_spell(do(lambda entry: tenancy.suspend_organization(entry, tenant))), as_json=as_json)


@app.command
def restore(tenant: Slug, /, *, as_json: AsJson = False) -> None:
    """Let one that was suspended, or deleted less than 14 days ago, work again."""
    show_one(_spell(do(lambda entry: tenancy.restore_organization(entry, tenant))), as_json=as_json)


def _spell(organization: Organization) -> dict[str, Any]:
    return {
        "id": str(organization.public_id),
        "name": organization.name,
        "slug": organization.slug,
        "status": organization.status,
        "createdAt": time.spell_instant(organization.created_at),
    }
