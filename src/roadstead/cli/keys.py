"""`roadstead key`: the API keys of an organization."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from roadstead.cli.database import TenantName, do, do_within, every, load_organization
from roadstead.cli.failures import CommandFailed
from roadstead.cli.output import AsJson, show_list, show_one
from roadstead.core import identity
from roadstead.core.identity import KeyDraft
from roadstead.core.work import Entry, Work
from roadstead.kernel import time
from roadstead.kernel.ids import KeyId, parse_uuid

app = App(name="key", help="List, create and revoke API keys.", help_epilogue="")


@app.command(name="list")
def list_keys(*, tenant: TenantName = None, as_json: AsJson = False) -> None:
    """List the API keys of an organization, without their secrets."""
    rows = [_spell(key) for key in do_within(tenant, _find)]
    columns = {
        "name": "name",
        "begins with": "prefix",
        "status": "status",
        "last used": "lastUsedAt",
        "expires": "expiresAt",
        "id": "id",
    }
    show_list(rows, columns, as_json=as_json, empty="it has no keys")


@app.command
def create(
    name: Annotated[str, Parameter(help="What it is for.")],
    /,
    *,
    scopes: Annotated[
        str | None, Parameter(help="What it may do, by comma, such as devices:read,readings:read; default everything.")
    ] = None,
    tenant: TenantName = None,
    as_json: AsJson = False,
) -> None:
    """Create an API key; its secret is shown once."""
    draft = KeyDraft(name=name, scopes=scopes.split(",") if scopes else None)

    async def make(entry: Entry) -> identity.NewKey:
        return await identity.create_system_key(entry, await load_organization(entry, tenant), draft)

    made = do(make)
    show_one({"id": str(made.key.id), "name": made.key.name, "apiKey": made.secret}, as_json=as_json)


@app.command
def revoke(
    key: Annotated[str, Parameter(help="Id of the key, or what it begins with (sk_live_...) in the list.")],
    /,
    *,
    tenant: TenantName = None,
    as_json: AsJson = False,
) -> None:
    """Make a key worthless at once; the record stays."""

    async def end(work: Work) -> identity.ApiKey:
        id_ = await _choose(work, key)
        await identity.revoke_key(work, id_)
        return await identity.get_key(work, id_)

    show_one(_spell(do_within(tenant, end)), as_json=as_json)


async def _choose(work: Work, text: str) -> KeyId:
    if id_ := parse_uuid(text):
        return KeyId(id_)
    found = [key.id for key in await _find(work) if key.prefix == text]
    if len(found) != 1:
        raise CommandFailed(f"there {'are several keys' if found else 'is no key'} '{text}': see 'roadstead key list'")
    return found[0]


async def _find(work: Work) -> list[identity.ApiKey]:
    return await every(lambda query: identity.list_keys(work, (), query))


def _spell(key: identity.ApiKey) -> dict[str, Any]:
    spelled: dict[str, Any] = {
        "id": str(key.id),
        "name": key.name,
        "prefix": key.prefix,
        "status": key.status(time.now()),
        "scopes": [str(scope) for scope in key.scopes],
    }
    instants = {"createdAt": key.created_at, "lastUsedAt": key.last_used_at, "expiresAt": key.expires_at}
    return spelled | {name: time.spell_instant(instant) for name, instant in instants.items() if instant}
