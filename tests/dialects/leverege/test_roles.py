"""/role and /project/{p}/role: what roles are, and what they are made of."""

import pytest

from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client, check_value
from tests.dialects.leverege.rights import add_role, add_user, bind
from tests.dialects.leverege.world import add_blueprint, project_of
from tests.people import last_actions


async def test_a_role_comes_back_as_it_was_made_and_belongs_to_one_project(acme: Tenant, globex: Tenant) -> None:
    owner, stranger = await Client.of(acme), await Client.of(globex)
    body = {
        "name": "viewer",
        "projectId": project_of(owner),
        "displayName": "Viewer",
        "category": "boats",
        "description": "looks",
        "metadata": {"colour": "blue"},
    }
    made = await owner.data("role.create", json=body)
    assert {name: made[name] for name in body} == body
    assert isinstance(made["id"], int)
    assert await owner.data("role.get", roleId=made["id"]) == made
    assert await owner.data("project-role.get", projectId=project_of(owner), roleId=made["id"]) == made
    assert await last_actions(acme, 1) == ["access_role.create"]

    assert await owner.failure("role.create", json=body) == 409
    assert await stranger.failure("role.create", json=body) == 404
    for operation in ("role.get", "role.delete"):
        assert await stranger.failure(operation, roleId=made["id"]) == 404
    assert await stranger.failure("project-role.list", projectId=project_of(owner)) == 404
    twin = await stranger.data("role.create", json=body | {"projectId": project_of(stranger)})
    await stranger.data("role.delete", roleId=twin["id"])
    assert await owner.data("role.get", roleId=made["id"]) == made


async def test_roles_are_listed_by_any_of_their_fields_with_limit_and_offset(acme: Tenant) -> None:
    owner = await Client.of(acme)
    for name, category in (("a", "x"), ("b", "x"), ("c", "y")):
        await add_role(owner, "device.read", name=name, category=category, displayName=name.upper())

    async def names(**params: object) -> list[str]:
        listed = await owner.data("role.list", params=params)
        for role in listed["items"]:
            check_value("role.list", "Role", role)
        return [role["name"] for role in listed["items"]]

    assert await names() == ["admin", "a", "b", "c"]
    assert await names(category="x") == ["a", "b"]
    assert await names(name="a,c") == ["a", "c"]
    assert await names(displayName=["B"]) == ["b"]
    assert await names(order='[["name", "desc"]]', limit=2) == ["c", "b"]
    assert await names(projectId=f"{project_of(owner)},other", category="y") == ["c"]
    assert await names(projectId="other") == []
    paged = await owner.data("role.list", params={"limit": 1, "offset": 2})
    assert (paged["count"], paged["limit"], paged["offset"]) == (4, 1, 2)
    assert [role["name"] for role in paged["items"]] == ["b"]
    assert "permissions" not in paged["items"][0]
    listed = await owner.data(
        "project-role.list", projectId=project_of(owner), params={"includePermissions": "true", "name": "a"}
    )
    (role,) = listed["items"]
    assert [(one["module"], one["name"]) for one in role["permissions"]] == [("device", "read")]
    assert await owner.failure("role.list", params={"limit": "many"}) == 400
    assert await owner.failure("role.list", params={"order": "name"}) == 400


async def test_what_a_role_is_called_changes_by_operations_and_by_partial_objects(acme: Tenant) -> None:
    owner = await Client.of(acme)
    made = await add_role(owner, name="old", description="first")
    steps = [{"op": "replace", "path": "name", "value": "new"}, {"op": "remove", "path": "description"}]
    changed = await owner.data("role.update", json=steps, roleId=made["id"])
    assert (changed["name"], changed.get("description")) == ("new", None)
    where = {"projectId": project_of(owner), "roleId": made["id"]}
    assert (await owner.data("project-role.update", json={"category": "boats"}, **where))["category"] == "boats"
    path = f"/v1/project/{where['projectId']}/role/{made['id']}"
    assert (await owner.http.patch(path, json={"name": "third"})).json()["name"] == "third"
    await add_role(owner, name="taken", category="boats")
    assert await owner.failure("role.update", json={"name": "taken"}, roleId=made["id"]) == 409
    assert await owner.failure("role.update", json={"name": ""}, roleId=made["id"]) == 400


async def test_permissions_are_named_by_id_by_name_or_as_objects(acme: Tenant) -> None:
    owner = await Client.of(acme)
    listed = await owner.data("project-permission.list", projectId=project_of(owner), params={"name": "list"})
    by_module = {one["module"]: one["id"] for one in listed["items"]}
    role = await add_role(
        owner, by_module["system"], "device.read", {"module": "device", "name": "list"}, str(by_module["user"])
    )

    def held(role: dict[str, list[dict[str, str]]]) -> set[str]:
        return {f"{one['module']}.{one['name']}" for one in role["permissions"]}

    assert held(role) == {"system.list", "device.read", "device.list", "user.list"}
    where = {"roleId": role["id"]}
    more = await owner.data("role.add-permissions", json={"permissions": ["device.update"]}, **where)
    assert held(more) == held(role) | {"device.update"}
    less = await owner.data("role.remove-permissions", json={"permissions": ["device.update", "user.list"]}, **where)
    assert held(less) == {"system.list", "device.read", "device.list"}
    assert held(await owner.data("role.remove-permission", permissionId=by_module["system"], **where)) == {
        "device.read",
        "device.list",
    }
    assert await owner.failure("role.remove-permission", permissionId=by_module["system"], **where) == 404
    only = await owner.data("role.add-permissions", json={"permissions": ["system.read"], "set": True}, **where)
    assert held(only) == {"system.read"} == held(await owner.data("role.get", **where))
    assert await owner.failure("role.add-permissions", json={"permissions": ["device.fly"]}, **where) == 400


async def test_the_role_with_everything_stays_as_it_is(acme: Tenant) -> None:
    owner = await Client.of(acme)
    (admin,) = (await owner.data("role.list", params={"name": "admin"}))["items"]
    assert await owner.failure("role.update", json={"name": "x"}, roleId=admin["id"]) == 403
    assert await owner.failure("role.delete", roleId=admin["id"]) == 403
    body = {"permissions": ["device.read"], "set": True}
    assert await owner.failure("role.add-permissions", json=body, roleId=admin["id"]) == 403


async def test_deleting_a_role_takes_it_from_those_who_have_it_at_once(acme: Tenant) -> None:
    owner = await Client.of(acme)
    user_id, user = await add_user(owner)
    role = await add_role(owner, "role.list")
    await bind(owner, user_id, role["id"])
    await user.data("role.list")
    assert await owner.data("role.delete", roleId=role["id"]) == {
        "status": 200,
        "deleted": True,
        "roleId": str(role["id"]),
    }
    assert await user.failure("role.list") == 403
    assert (await owner.data("user-role.list", params={"userId": user_id}))["items"] == []


async def test_many_roles_are_deleted_by_what_the_body_names_and_never_all(acme: Tenant) -> None:
    owner = await Client.of(acme)
    roles = {name: (await add_role(owner, name=name, category="boats"))["id"] for name in ("a", "b", "c", "d")}
    body = {"projectId": project_of(owner)}
    assert await owner.failure("role.delete-many", json=body) == 400
    assert await owner.failure("role.delete-many", json={"projectId": "other", "name": "a"}) == 404
    assert (await owner.data("role.delete-many", json=body | {"id": [roles["a"], str(roles["b"])]}))["count"] == 2
    assert (await owner.data("role.delete-many", json=body | {"name": "c", "category": "x"}))["count"] == 0
    await owner.data("role.delete-many", json=body | {"name": ["c"], "category": "boats"})
    left = (await owner.data("role.list", params={"category": "boats"}))["items"]
    assert [role["name"] for role in left] == ["d"]
    where = {"projectId": project_of(owner), "roleId": roles["d"]}
    assert (await owner.data("project-role.delete", **where))["deleted"] is True


async def test_nobody_makes_a_role_that_may_do_more_than_they_themselves(acme: Tenant) -> None:
    owner = await Client.of(acme)
    _, manager = await add_user(owner, "role.create", "role.update", "role.read", "device.read")
    made = await manager.data("role.create", json={"name": "helper", "projectId": project_of(owner)})
    where = {"roleId": made["id"]}
    await manager.data("role.add-permissions", json={"permissions": ["device.read"]}, **where)
    assert await manager.failure("role.add-permissions", json={"permissions": ["device.delete"]}, **where) == 403
    strong = await add_role(owner, "device.delete")
    body = {"permissions": ["device.read"], "set": True}
    assert await manager.failure("role.add-permissions", json=body, roleId=strong["id"]) == 403


@pytest.mark.parametrize("role_id", ["0", "abc", "999999999999999999"])
async def test_what_is_no_role_is_not_there(acme: Tenant, role_id: str) -> None:
    assert await (await Client.of(acme)).failure("role.get", roleId=role_id) == 404


async def test_blueprint_roles_carry_the_blueprint_as_their_category(acme: Tenant) -> None:
    owner = await Client.of(acme)
    boat = await add_blueprint(owner, "boat")
    role = await add_role(owner, {"module": boat["id"], "name": "read"}, name="viewer", category=boat["id"])
    await add_role(owner, name="viewer")
    listed = await owner.data("role.list", params={"category": boat["id"]})
    assert [one["id"] for one in listed["items"]] == [role["id"]]
