"""Whatever is served: nobody gets at it without a token, without a role, or from another project."""

import re
import secrets
from typing import Any

import httpx

from roadstead.dialects.leverege.app import make_litestar
from roadstead.web.ledger import read_ledger
from tests.conftest import Tenant
from tests.dialects.leverege.contract import OPERATIONS, Client
from tests.dialects.leverege.people import add_account
from tests.dialects.leverege.rights import add_role, add_user, bind
from tests.dialects.leverege.world import add_blueprint, add_object, add_system, project_of

SERVED = [line.operation for line in read_ledger("roadstead.dialects.leverege") if line.status in ("served", "partial")]
ABOUT_ONESELF = {"verify", "logout", "project.list", "can", "user-role.list"}
"""Everybody may: it tells and changes nothing but what is one's own."""
MAKES_A_PROJECT = "project.create"
"""Has rules of its own: see `test_projects.py`."""
NOT_FOUND, FORBIDDEN, UNKNOWN = 404, 403, 401

_UNKNOWN_ID = "0000000000000000000001"
_ROLE = {"permissions": ["device.read"]}
_FIND = {"limit": 10, "filter": None}
_SPAN = {"start": 0}


async def _found(owner: Client) -> tuple[dict[str, str], dict[str, Any]]:
    """A world with one of everything: what fills paths, and what operations are sent."""
    project_id = project_of(owner)
    where = {"projectId": project_id}
    boat = await add_blueprint(owner, "boat", {"path": "speed", "type": "number"})
    relation = {
        "path": "boats",
        "type": "relationship",
        "relationshipType": "oneToMany",
        "targetBlueprintId": boat["id"],
    }
    only = relation | {"path": "flagship", "relationshipType": "oneToOne"}
    await add_blueprint(owner, "harbour", relation, only)
    system = await add_system(owner, "main")
    harbour = await add_object(owner, "main/harbour", name="h")
    child = await add_object(owner, f"main/harbour/{harbour['id']}/boats", name="b")
    alias = {"networkId": f"net-{secrets.token_hex(4)}", "aliasKey": "serial", "deviceId": "1"}
    await add_object(owner, f"main/harbour/{harbour['id']}/flagship", name="f")
    network = await owner.data(
        "network.create", json={"name": "n", "networkId": alias["networkId"], "aliasKeys": ["serial"]}, **where
    )
    await owner.data(
        "device.update", json={"networkAliases": {alias["networkId"]: {"serial": "1"}}}, deviceId=child["id"]
    )
    template = await owner.data("template.create", json={"name": "t", "type": "email", "text": "x"}, **where)
    contact = await owner.data("system.contact-create", json={"name": "c"}, systemId=system["id"])
    timer_body = {
        "name": "t",
        "timer": {"type": "once", "delay": 60_000},
        "action": {"type": "queryUrl", "url": "http://127.0.0.1:9/"},
    }
    timer = await owner.data("timer.create", json=timer_body, **where)
    account = await add_account(owner)
    role = await add_role(owner, "device.read")
    await bind(owner, account["id"], role["id"], child["id"])
    permission = await owner.data("project-permission.create", json={"module": "m", "name": "p"}, **where)
    await owner.data("project-module.create", json={"name": "m"}, **where)
    path = f"/v1/interface/main/harbour/{harbour['id']}.rsrc/p/notes"
    await owner.http.post(path, json={"type": "note", "text": "x"})
    names = {
        "projectId": project_id,
        "systemId": system["id"],
        "blueprintId": boat["id"],
        "blueprint": "harbour",
        "objId": harbour["id"],
        "rel": "boats",
        "childId": child["id"],
        "deviceId": child["id"],
        "attributeId": boat["attributes"][0]["id"],
        "networkId": network["id"],
        "templateId": template["id"],
        "contactId": contact["id"],
        "timerId": timer["id"],
        "userId": account["id"],
        "username": account["username"],
        "roleId": str(role["id"]),
        "permissionId": str(permission["id"]),
        "moduleName": "m",
        "rsrcPath": "p/notes",
    }
    binding = {"userId": account["id"], "resourceId": child["id"]} | where
    bodies: dict[str, Any] = {
        "getDeviceByNetworkAlias": {**alias, "value": "1"},
        "attribute.create": {"path": "x", "type": "number"},
        "device.send-message": {"message": {"x": 1}},
        "device.inbound": alias | {"type": "inboundDataEventMsg", "data": [{"path": "speed", "value": 2}]},
        "device.set-value": [{"path": "speed", "value": 2}],
        "system.device-set-value": [{"path": "speed", "value": 2}],
        "system.device-create": {"name": "x", "blueprintId": boat["id"]},
        "role.create": {"name": "x"} | where,
        "role.delete-many": {"id": role["id"]} | where,
        "role.add-permissions": _ROLE,
        "role.remove-permissions": _ROLE,
        "user-role.create": binding | {"role": role["id"]},
        "user-role.delete": binding | {"roleId": role["id"]},
        "user.change-password": {"oldPassword": "secret-7", "newPassword": "secret-8"},
        "pending-user.add": {
            "issuer": "i",
            "emailOrName": "x@x.test",
            "perm": "role",
            "permValue": "admin",
            "contextType": "project",
            "contextId": project_id,
        },
    }
    return names, bodies


async def _call(client: Client, operation: str, names: dict[str, str], bodies: dict[str, Any]) -> httpx.Response:
    told = OPERATIONS[operation]
    if operation == "interface.one-unlink":
        names = names | {"rel": "flagship"}
    path = re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], _UNKNOWN_ID), told["path"])
    params = bodies.get(path.rpartition("/")[2])
    body = bodies.get(operation, _FIND if path.endswith(".search") else _SPAN if "istor" in path else {"name": "x"})
    return await client.http.request(told["method"], path, json=body, params=params)


def _for_anybody(tenant: Tenant) -> set[str]:
    """Operations that ask for no token: signing in."""
    return {
        str(handler.operation_id)
        for route in make_litestar(tenant.edge).routes
        for handler in getattr(route, "route_handlers", ())
        if handler.opt.get("token") == "none"
    }


async def test_without_a_token_nothing_is_served(acme: Tenant) -> None:
    names, bodies = await _found(await Client.of(acme))
    wrong = {}
    for operation in set(SERVED) - _for_anybody(acme):
        answer = await _call(Client(acme), operation, names, bodies)
        if answer.status_code != UNKNOWN:
            wrong[operation] = (answer.status_code, answer.text[:80])
    assert wrong == {}


async def test_an_account_without_a_role_sees_and_changes_nothing(acme: Tenant) -> None:
    owner = await Client.of(acme)
    names, bodies = await _found(owner)
    _, user = await add_user(owner)
    before = await _seen(owner, names, bodies)
    wrong = {}
    for operation in _guarded(acme):
        answer = await _call(user, operation, names, bodies)
        if answer.status_code not in (NOT_FOUND, FORBIDDEN) and not _is_empty(answer):
            wrong[operation] = (answer.status_code, answer.text[:80])
    assert wrong == {}
    assert await _seen(owner, names, bodies) == before


async def test_another_project_is_not_there(acme: Tenant, globex: Tenant) -> None:
    owner, stranger = await Client.of(acme), await Client.of(globex)
    names, bodies = await _found(owner)
    await add_system(stranger, "other")
    await add_blueprint(stranger, "harbour")
    before = await _seen(owner, names, bodies)
    wrong = {}
    for operation in _guarded(acme):
        if "{" not in OPERATIONS[operation]["path"] and operation not in bodies:
            continue
        answer = await _call(stranger, operation, names, bodies)
        if answer.status_code not in (NOT_FOUND, FORBIDDEN) and not _is_empty(answer):
            wrong[operation] = (answer.status_code, answer.text[:80])
    assert wrong == {}
    assert await _seen(owner, names, bodies) == before


def _guarded(tenant: Tenant) -> list[str]:
    return sorted(set(SERVED) - ABOUT_ONESELF - {MAKES_A_PROJECT} - _for_anybody(tenant))


def _is_empty(answer: httpx.Response) -> bool:
    if answer.status_code not in (200, 202):
        return False
    told = answer.json()
    if isinstance(told, dict) and "accepted" in told:
        return bool(told["accepted"] == 0)
    return told == [] or (isinstance(told, dict) and told.get("items") == [] and not told.get("total", 0))


async def _seen(owner: Client, names: dict[str, str], bodies: dict[str, Any]) -> dict[str, Any]:
    """What the owner reads of single things: nothing of it may have changed."""
    reads = [one for one in SERVED if OPERATIONS[one]["method"] == "GET" and one.endswith((".get", "-get", ".list"))]
    return {one: (await _call(owner, one, names, bodies)).text for one in reads}
