"""/can: whether somebody may do something."""

from typing import Any

from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.people import add_account
from tests.dialects.leverege.rights import add_user
from tests.dialects.leverege.world import add_blueprint, add_object, add_system, project_of


def asked(module: str, name: str, *resources: str) -> dict[str, Any]:
    """One of a list, or a leaf of a tree."""
    resource = resources[0] if len(resources) == 1 else list(resources)
    return {"permission": {"module": module, "name": name}} | ({"resource": resource} if resources else {})


async def test_a_permission_holds_where_it_was_given_and_below(acme: Tenant) -> None:
    owner = await Client.of(acme)
    await add_blueprint(owner, "boat")
    main, second = await add_system(owner, "main"), await add_system(owner, "second")
    boat, far = await add_object(owner, "main/boat"), await add_object(owner, "second/boat")
    user_id, user = await add_user(owner, "device.read", on=main["id"])

    async def can(client: Client, module: str, name: str, resource: str | None = None) -> bool:
        permission = {"projectId": project_of(owner), "module": module, "name": name}
        body = {"user": user_id, "permission": permission} | ({"resourceId": resource} if resource else {})
        answer = await client.data("can", json=body)
        assert answer in (True, False)
        return bool(answer)

    for client in (owner, user):
        assert await can(client, "device", "read", boat["id"])
        assert await can(client, "device", "read", main["id"])
        assert await can(client, boat["blueprintId"], "read", boat["id"])
        assert not await can(client, "device", "read", far["id"])
        assert not await can(client, "device", "read", second["id"])
        assert not await can(client, "device", "read", project_of(owner))
        assert not await can(client, "device", "read")
        assert not await can(client, "device", "update", boat["id"])
        assert not await can(client, "reports", "print", boat["id"])


async def test_of_a_list_any_will_do_and_a_tree_is_followed(acme: Tenant) -> None:
    owner = await Client.of(acme)
    main, second = await add_system(owner, "main"), await add_system(owner, "second")
    user_id, user = await add_user(owner, "system.read", on=main["id"])
    yes, no = asked("system", "read", main["id"]), asked("system", "read", second["id"])

    async def can(**body: Any) -> Any:
        return await user.data("can", json={"user": user_id} | body)

    assert await can(permissions=[no, yes]) is True
    assert await can(permissions=[no]) is False
    assert await can(permissions=[]) is False
    assert await can(permissions=[asked("system", "read", main["id"], second["id"])]) is False
    assert await can(condition={"type": "and", "conditions": [yes, no]}) is False
    assert await can(condition={"type": "or", "conditions": [no, {"type": "and", "conditions": [yes, yes]}]}) is True
    assert await can(condition=yes) is True
    deep: Any = yes
    for _ in range(30):
        deep = {"type": "or", "conditions": [deep]}
    for body in (
        {},
        {"condition": deep},
        {"condition": {"type": "xor", "conditions": [yes]}},
        {"condition": [yes]},
        {"permissions": [{"resource": main["id"]}]},
        {"permission": {"module": "system", "name": "read"}, "permissions": [yes]},
    ):
        assert await user.failure("can", json={"user": user_id} | body) == 400, body


async def test_permissions_of_a_projects_own_making_are_asked_for_like_the_others(acme: Tenant) -> None:
    owner = await Client.of(acme)
    body = {"module": "reports", "name": "print"}
    await owner.data("project-permission.create", json=body, projectId=project_of(owner))
    main = await add_system(owner, "main")
    user_id, user = await add_user(owner, "reports.print", on=main["id"])
    assert await user.data("can", json={"user": user_id} | {"permissions": [asked("reports", "print", main["id"])]})
    assert not await user.data("can", json={"user": user_id, "permission": body})
    # It opens nothing of the program's own.
    assert await user.failure("role.list") == 403


async def test_whoever_may_not_read_users_asks_about_themselves_only(acme: Tenant, globex: Tenant) -> None:
    owner, stranger = await Client.of(acme), await Client.of(globex)
    user_id, user = await add_user(owner)
    other = await add_account(owner)
    body = {"permission": {"module": "device", "name": "read"}}
    assert await user.data("can", json={"user": user_id} | body) is False
    assert await user.failure("can", json={"user": other["id"]} | body) == 403
    assert await stranger.failure("can", json={"user": user_id} | body) == 404
    system = await add_system(stranger, "main")
    assert await owner.failure("can", json={"user": user_id, "resourceId": system["id"]} | body) == 404
    foreign = {"permission": {"projectId": project_of(stranger), "module": "device", "name": "read"}}
    assert await owner.failure("can", json={"user": user_id} | foreign) == 404
    owner_id = (await owner.data("verify"))["id"]
    assert await owner.data("can", json={"user": owner_id} | body) is True
