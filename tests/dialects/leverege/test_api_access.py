"""/v1/project/{p}/apiAccess, and the tokens that servers sign with it."""

import time
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from roadstead.core.identity import Audience
from roadstead.dialects.leverege.app import make_litestar
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import new_id, to_base62
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.people import add_account, log_in
from tests.dialects.leverege.world import project_of


async def add_access(client: Client, **fields: Any) -> dict[str, Any]:
    """A key and its secret."""
    made: dict[str, Any] = await client.data(
        "api-access.create", json={"name": "importer"} | fields, projectId=project_of(client)
    )
    return made


def claims_of(access: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """What the recipe of the original puts into a token."""
    now = int(time.time())
    claims = {
        "type": "apiAccess",
        "iss": access["id"],
        "prj": access["projectId"],
        "aud": "https://prd-acme-imagine-api.leverege.com",
        "iat": now,
        "exp": now + 3600,
    }
    return {name: value for name, value in (claims | changed).items() if value is not None}


def sign(access: dict[str, Any], *, secret: str = "", algorithm: str = "HS256", **changed: Any) -> str:
    """A token as a server makes it."""
    key = OctKey.import_key(secret or access["secret"])
    return jwt.encode({"alg": algorithm, "typ": "JWT"}, claims_of(access, **changed), key, algorithms=[algorithm])


async def test_a_server_signs_its_own_tokens_and_works_in_its_project(acme: Tenant, globex: Tenant) -> None:
    owner = await Client.of(acme)
    access = await add_access(owner)
    server = Client(acme, sign(access))
    assert (await server.data("verify"))["id"] == access["id"]
    await add_account(server, "made-by-server")
    assert await server.failure("account.list", projectId=to_base62(globex.organization_id)) == 404
    async with acme.edge.tenant_database.tx(acme.tenant_id) as tx:
        rows = await tx.rows("SELECT actor_type, actor_name FROM audit_log WHERE action = 'account.create'")
    assert rows == [("API_KEY", "importer")]


async def test_the_secret_is_shown_once(acme: Tenant) -> None:
    owner = await Client.of(acme)
    access = await add_access(owner)
    names = {"projectId": project_of(owner), "apiAccessId": access["id"]}
    listed = await owner.data("api-access.list", projectId=project_of(owner))
    assert [item["id"] for item in listed["items"]] == [access["id"]]
    for shape in (listed["items"][0], await owner.data("api-access.get", **names)):
        assert "secret" not in shape
    async with acme.edge.tenant_database.tx(acme.tenant_id) as tx:
        assert access["secret"].encode() not in await tx.value("SELECT secret FROM api_access")


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": to_base62(new_id())},
        {"iss": "nobody"},
        {"prj": to_base62(new_id())},
        {"prj": None},
        {"type": "user"},
        {"exp": None},
        {"exp": int(time.time()) - 120},
        {"exp": int(time.time()) + 25 * 3600},
        {"secret": "another secret, which is long enough"},
        {"algorithm": "HS512"},
    ],
    ids=[
        "unknown",
        "no id",
        "other project",
        "no project",
        "type",
        "for ever",
        "over",
        "too long",
        "secret",
        "algorithm",
    ],
)
async def test_a_token_that_is_not_right_is_refused(acme: Tenant, changed: dict[str, Any]) -> None:
    access = await add_access(await Client.of(acme))
    assert await Client(acme, sign(access, **changed)).failure("verify") == 401


async def test_clocks_may_differ_by_a_minute(acme: Tenant) -> None:
    access = await add_access(await Client.of(acme))
    await Client(acme, sign(access, exp=int(time.time()) - 50)).data("verify")


async def test_an_unsigned_token_is_refused(acme: Tenant) -> None:
    access = await add_access(await Client.of(acme))
    header, payload, _ = sign(access).split(".")
    none = "eyJhbGciOiJub25lIn0"
    for token in (f"{none}.{payload}.", f"{header}.{payload}."):
        assert await Client(acme, token).failure("verify") == 401


async def test_a_secret_is_good_for_no_project_but_its_own(acme: Tenant, globex: Tenant) -> None:
    access = await add_access(await Client.of(acme))
    other = await add_access(await Client.of(globex))
    assert await Client(acme, sign(access, prj=other["projectId"])).failure("verify") == 401
    assert await Client(acme, sign(other, secret=access["secret"])).failure("verify") == 401


async def test_switching_it_off_and_deleting_it_act_at_once(acme: Tenant) -> None:
    owner = await Client.of(acme)
    access = await add_access(owner)
    server, names = Client(acme, sign(access)), {"projectId": project_of(owner), "apiAccessId": access["id"]}
    await server.data("verify")
    await owner.data("api-access.update", json=[{"op": "replace", "path": "enabled", "value": False}], **names)
    assert await server.failure("verify") == 401
    await owner.data("api-access.update", json={"enabled": True}, **names)
    await server.data("verify")
    assert (await owner.data("api-access.delete", **names))["deleted"] is True
    assert await server.failure("verify") == 401
    assert await owner.failure("api-access.get", **names) == 404


async def test_a_key_can_be_limited_to_roles(acme: Tenant) -> None:
    owner = await Client.of(acme)
    role = await owner.data("role.create", json={"name": "people", "projectId": project_of(owner)})
    permissions = [{"module": "user", "name": "list"}]
    await owner.data("role.add-permissions", json={"permissions": permissions}, roleId=role["id"])
    access = await add_access(owner, permissions={"role": ["people"]})
    assert access["permissions"] == {"role": ["people"]}
    server = Client(acme, sign(access))
    await server.data("account.list", projectId=project_of(owner))
    body = {"username": "x", "password": "secret-7"}
    assert await server.failure("account.create", json=body, projectId=project_of(owner)) == 403
    assert await server.failure("api-access.list", projectId=project_of(owner)) == 403
    assert (
        await owner.failure(
            "api-access.create", json={"name": "x", "permissions": {"role": ["none"]}}, projectId=project_of(owner)
        )
        == 400
    )


async def test_nobody_makes_a_key_that_may_do_more_than_they(acme: Tenant) -> None:
    owner = await Client.of(acme)
    account = await add_account(owner, "maria")
    role = await owner.data("role.create", json={"name": "keys", "projectId": project_of(owner)})
    permissions = [{"module": "apiAccess", "name": "create"}]
    await owner.data("role.add-permissions", json={"permissions": permissions}, roleId=role["id"])
    binding = {"projectId": project_of(owner), "userId": account["id"], "role": role["id"]}
    await owner.data("user-role.create", json=binding | {"resourceId": project_of(owner), "resourceType": "project"})
    maria = await log_in(acme, "maria")
    assert await maria.failure("api-access.create", json={"name": "all"}, projectId=project_of(maria)) == 403
    await add_access(maria, permissions={"role": ["keys"]})


async def test_members_and_other_projects_do_not_see_keys(acme: Tenant, globex: Tenant) -> None:
    owner = await Client.of(acme)
    access = await add_access(owner)
    member = await Client.of(acme, Role.MEMBER)
    assert await member.failure("api-access.list", projectId=project_of(member)) == 403
    other = await Client.of(globex)
    names = {"projectId": project_of(other), "apiAccessId": access["id"]}
    for operation in ("api-access.get", "api-access.update", "api-access.delete"):
        assert await other.failure(operation, json={"name": "x"}, **names) == 404


async def test_a_strict_platform_takes_tokens_for_itself_only(acme: Tenant) -> None:
    access = await add_access(await Client.of(acme))
    app: Any = make_litestar(acme.edge, Audience(frozenset({"https://iot.acme.test"}), strict=True))
    for audience, status in [
        ("https://iot.acme.test", 200),
        ("https://iot.acme.test/", 200),
        (["https://a.test", "https://iot.acme.test"], 200),
        ("https://prd-acme-imagine-api.leverege.com", 401),
        (None, 401),
    ]:
        headers = {"Authorization": f"Bearer {sign(access, aud=audience)}"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://iot.acme.test") as client:
            assert (await client.get("/v1/verify", headers=headers)).status_code == status


async def test_limits_that_are_not_understood_are_no_licence(acme: Tenant) -> None:
    owner = await Client.of(acme)
    for wrong in ({"roles": ["viewer"]}, ["device.read"], {"role": "viewer"}):
        body = {"name": "x", "permissions": wrong}
        assert await owner.failure("api-access.create", json=body, projectId=project_of(owner)) == 400
