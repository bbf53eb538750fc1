"""/userRole: who has which role on what; and what follows for what they see."""

from typing import Any

from roadstead.kernel.actor import Role
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client, check_value
from tests.dialects.leverege.people import add_account, log_in
from tests.dialects.leverege.rights import add_role, add_user, bind
from tests.dialects.leverege.world import add_blueprint, add_object, add_system, project_of


async def test_a_binding_is_made_listed_by_any_field_and_taken_away(acme: Tenant, globex: Tenant) -> None:
    owner = await Client.of(acme)
    system = await add_system(owner, "main")
    role = await add_role(owner, "system.read", name="viewer")
    account, other = await add_account(owner), await add_account(owner)
    made = await bind(owner, account["id"], role["id"], system["id"])
    assert made == {
        "projectId": project_of(owner),
        "userId": account["id"],
        "roleId": role["id"],
        "resourceId": system["id"],
        "resourceType": "system",
        "createdAt": made["createdAt"],
    }
    assert await bind(owner, account["id"], str(role["id"]), system["id"]) == made
    on_project = await bind(owner, other["id"], {"name": "viewer", "projectId": project_of(owner)})
    assert on_project["resourceType"] == "project"

    async def listed(**params: Any) -> list[Any]:
        answer = await owner.data("user-role.list", params=params)
        assert answer["count"] == len(answer["items"])
        return list(answer["items"])

    assert await listed(roleId=role["id"]) == [made, on_project]
    assert await listed(userId=account["id"]) == [made] == await listed(resourceId=system["id"])
    assert await listed(resourceType="project") == [on_project]
    assert await listed(projectId="other") == []
    assert await listed(roleId=role["id"], format="userIds") == [account["id"], other["id"]]
    (full,) = await listed(userId=account["id"], format="includeRoles")
    check_value("user-role.list", "UserRole", full)
    assert full["role"] == role
    assert await owner.failure("user-role.list", params={"format": "other"}) == 400

    body = {"userId": account["id"], "role": {"name": "viewer", "projectId": project_of(owner)}}
    assert await owner.failure("user-role.delete", json=body) == 400
    told = await owner.data("user-role.delete", json=body | {"resourceId": system["id"]})
    assert told == body | {"resourceId": system["id"], "status": 200, "count": 1}
    assert await listed(roleId=role["id"]) == [on_project]
    await owner.data("user-role.delete", json={"roleId": role["id"], "confirm": "bulkDelete"})
    assert await listed(roleId=role["id"]) == []


async def test_only_what_is_of_the_project_can_be_bound(acme: Tenant, globex: Tenant) -> None:
    owner, stranger = await Client.of(acme), await Client.of(globex)
    account, theirs = await add_account(owner), await add_account(stranger)
    role, system = await add_role(stranger, "system.read"), await add_system(stranger, "main")
    body = {"projectId": project_of(owner), "userId": account["id"], "role": 1, "resourceId": project_of(owner)}
    for change in (
        {"projectId": project_of(stranger)},
        {"userId": theirs["id"]},
        {"role": role["name"]},
        {"resourceId": system["id"]},
        {"resourceId": project_of(stranger)},
        {"resourceType": "device"},
    ):
        assert await owner.failure("user-role.create", json=body | change) == 404, change
    assert await owner.failure("user-role.create", json=body | {"resourceType": "planet"}) == 400
    gone = {"userId": account["id"], "roleId": 1, "resourceId": system["id"]}
    assert await owner.failure("user-role.delete", json=gone) == 404
    assert (await stranger.data("user-role.list"))["items"] == []


async def test_what_somebody_may_see_follows_from_what_they_have_a_role_on(acme: Tenant) -> None:
    owner = await Client.of(acme)
    await add_blueprint(owner, "boat")
    await add_blueprint(owner, "car")
    main, second = await add_system(owner, "main"), await add_system(owner, "second")
    boat, other = [await add_object(owner, "main/boat", name=name) for name in ("a", "b")]
    car, far = await add_object(owner, "main/car"), await add_object(owner, "second/boat")

    async def seen(user: Client) -> set[str]:
        found = set()
        for path in ("main/boat", "main/car", "second/boat"):
            answer = await user.http.get(f"/v1/interface/{path}")
            if answer.status_code == 200:
                found |= {item["id"] for item in answer.json()["items"]}
        for device in (boat, other, car, far):
            answer = await user.http.get(f"/v1/device/{device['id']}")
            assert answer.status_code == (200 if device["id"] in found else 404), answer.text
        return found

    rights = ("device.read", "device.list")
    assert await seen((await add_user(owner))[1]) == set()
    assert await seen((await add_user(owner, *rights, on=boat["id"]))[1]) == {boat["id"]}
    assert await seen((await add_user(owner, *rights, on=main["id"]))[1]) == {boat["id"], other["id"], car["id"]}
    assert await seen((await add_user(owner, *rights))[1]) == {one["id"] for one in (boat, other, car, far)}
    blueprint = boat["blueprintId"]
    of_boats = [{"module": blueprint, "name": "read"}, {"module": blueprint, "name": "list"}]
    assert await seen((await add_user(owner, *of_boats))[1]) == {boat["id"], other["id"], far["id"]}
    assert await seen((await add_user(owner, *of_boats, on=second["id"]))[1]) == {far["id"]}


async def test_a_relation_lets_somebody_see_what_belongs_to_what_they_have_a_role_on(acme: Tenant) -> None:
    owner = await Client.of(acme)
    boat = await add_blueprint(owner, "boat")
    relation = {
        "path": "boats",
        "type": "relationship",
        "relationshipType": "oneToMany",
        "targetBlueprintId": boat["id"],
    }
    harbour = await add_blueprint(owner, "harbour", relation)
    await add_system(owner, "main")
    here, there = await add_object(owner, "main/harbour"), await add_object(owner, "main/harbour")
    inside = await add_object(owner, f"main/harbour/{here['id']}/boats")
    outside = await add_object(owner, f"main/harbour/{there['id']}/boats")
    rights = [{"module": harbour["id"], "name": f"{verb}/boats"} for verb in ("read", "list")]
    _, user = await add_user(owner, "device.read", *rights, on=here["id"])
    assert (await user.http.get(f"/v1/device/{inside['id']}")).status_code == 200
    assert (await user.http.get(f"/v1/device/{outside['id']}")).status_code == 404
    assert [item["id"] for item in (await user.http.get("/v1/interface/main/boat")).json()["items"]] == [inside["id"]]
    assert (await user.http.get(f"/v1/interface/main/harbour/{there['id']}/boats")).json()["items"] == []


async def test_rights_are_looked_up_with_each_request(acme: Tenant) -> None:
    owner = await Client.of(acme)
    system = await add_system(owner, "main")
    user_id, user = await add_user(owner)
    role = await add_role(owner, "system.read")
    assert await user.failure("system.get", systemId="main") in (403, 404)
    await bind(owner, user_id, role["id"], system["id"])
    assert (await user.data("system.get", systemId="main"))["id"] == system["id"]
    body = {"permissions": ["system.list"], "set": True}
    await owner.data("role.add-permissions", json=body, roleId=role["id"])
    assert await user.failure("system.get", systemId="main") in (403, 404)


async def test_nobody_gives_more_than_they_have_there(acme: Tenant) -> None:
    owner = await Client.of(acme)
    main, second = await add_system(owner, "main"), await add_system(owner, "second")
    weak, strong = await add_role(owner, "system.read"), await add_role(owner, "system.delete")
    admin = next(one["id"] for one in (await owner.data("role.list", params={"name": "admin"}))["items"])
    account = await add_account(owner)
    _, manager = await add_user(owner, "user.assignRoles", "system.read", on=main["id"])

    def body(role: int, resource: str) -> dict[str, Any]:
        return {"projectId": project_of(owner), "userId": account["id"], "role": role, "resourceId": resource}

    await manager.data("user-role.create", json=body(weak["id"], main["id"]))
    assert await manager.failure("user-role.create", json=body(strong["id"], main["id"])) == 403
    assert await manager.failure("user-role.create", json=body(admin, main["id"])) == 403
    assert await manager.failure("user-role.create", json=body(weak["id"], second["id"])) in (403, 404)
    assert await manager.failure("user-role.create", json=body(weak["id"], project_of(owner))) == 403
    await bind(owner, account["id"], strong["id"], main["id"])
    taken = {"userId": account["id"], "roleId": strong["id"], "resourceId": main["id"]}
    assert await manager.failure("user-role.delete", json=taken) == 403


async def test_whoever_has_the_role_with_everything_may_do_everything_there(acme: Tenant) -> None:
    owner = await Client.of(acme)
    main = await add_system(owner, "main")
    on_system, on_project = await add_account(owner), await add_account(owner)
    await bind(owner, on_system["id"], "admin", main["id"])
    await bind(owner, on_project["id"], "admin")
    there, everywhere = await log_in(acme, on_system["username"]), await log_in(acme, on_project["username"])
    assert (await there.data("system.update", json={"name": "x"}, systemId="main"))["name"] == "x"
    assert await there.failure("role.list") == 403
    assert await there.failure("blueprint.create", json={"name": "x"}, projectId=project_of(owner)) == 403
    made = await everywhere.data("role.create", json={"name": "x", "projectId": project_of(owner)})
    await everywhere.data("role.add-permissions", json={"permissions": ["device.delete"]}, roleId=made["id"])
    await add_blueprint(everywhere, "boat")


async def test_members_of_the_platform_may_do_here_what_they_may_do_elsewhere(acme: Tenant) -> None:
    owner, member = await Client.of(acme), await Client.of(acme, Role.MEMBER)
    await add_system(owner, "main")
    await member.data("system.get", systemId="main")
    assert await member.failure("role.create", json={"name": "x", "projectId": project_of(owner)}) == 403


async def test_people_see_their_own_roles_systems_and_devices(acme: Tenant, globex: Tenant) -> None:
    owner, stranger = await Client.of(acme), await Client.of(globex)
    await add_blueprint(owner, "boat")
    main = await add_system(owner, "main")
    await add_system(owner, "second")
    boat = await add_object(owner, "main/boat")
    user_id, user = await add_user(owner, "device.read", on=boat["id"])
    viewer = await add_role(owner, "system.read", name="viewer")
    await bind(owner, user_id, viewer["id"], main["id"])
    where = {"projectId": project_of(owner), "userId": user_id}
    roles: list[dict[str, Any]] = []
    for client in (owner, user):
        roles = (await client.data("account.roles", **where))["items"]
        assert [role["resourceType"] for role in roles] == ["device", "system"]
        for role in roles:
            check_value("account.roles", "UserRole", role)
        on_device = (await client.data("account.roles", params={"resourceId": boat["id"]}, **where))["items"]
        assert [role["resourceId"] for role in on_device] == [boat["id"]]
        systems = (await client.data("user.systems", userId=user_id))["items"]
        assert [system["id"] for system in systems] == [main["id"]]
        devices = (await client.data("user.devices", userId=user_id))["items"]
        assert [device["id"] for device in devices] == [boat["id"]]
    shared = await owner.data("system.user-devices", systemId="main")
    (name,) = (one["role"]["name"] for one in roles if one["resourceType"] == "device")
    assert shared["items"] == [{"userId": user_id, "deviceId": boat["id"], "permissions": {"role": [name]}}]
    assert (await owner.data("system.user-devices", systemId="second"))["items"] == []

    path = f"/v1/project/{project_of(owner)}/account/{user_id}/roles"
    assert (await owner.http.get(path)).status_code == 200
    other_id, other = await add_user(owner)
    assert (await other.data("account.roles", projectId=project_of(owner), userId=other_id))["items"] == []
    assert await other.failure("account.roles", **where) == 403
    assert await other.failure("user.systems", userId=user_id) == 403
    assert await stranger.failure("user.devices", userId=user_id) == 404
    assert await stranger.failure("account.roles", projectId=project_of(stranger), userId=user_id) == 404


async def test_bindings_go_with_the_device_and_with_the_account(acme: Tenant) -> None:
    owner = await Client.of(acme)
    await add_blueprint(owner, "boat")
    await add_system(owner, "main")
    boat = await add_object(owner, "main/boat")
    await add_user(owner, "device.read", on=boat["id"])
    other_id, _ = await add_user(owner, "device.read")
    await owner.data("interface.delete", systemId="main", blueprint="boat", objId=boat["id"])
    await owner.data("account.delete", projectId=project_of(owner), userId=other_id)
    assert (await owner.data("user-role.list"))["items"] == []


async def test_data_is_written_as_far_as_the_blueprint_says_or_anywhere(acme: Tenant) -> None:
    owner = await Client.of(acme)
    await add_blueprint(owner, "boat", {"path": "speed", "type": "number"}, {"path": "place", "type": "object"})
    await add_system(owner, "main")
    boat = await add_object(owner, "main/boat")
    _, reader = await add_user(owner, "device.read", on=boat["id"])
    _, writer = await add_user(owner, "device.read", "device.updateData", on=boat["id"])
    _, anything = await add_user(owner, "device.read", "device.updateAnyData", on=boat["id"])

    async def status(client: Client, path: str) -> int:
        body = {"values": [{"path": path, "value": 1}]}
        return (await client.ask("device.set-value", json=body, deviceId=boat["id"])).status_code

    assert [await status(reader, path) for path in ("speed", "depth")] == [403, 403]
    assert [await status(writer, path) for path in ("speed", "place/x", "depth", "speedy")] == [200, 200, 403, 403]
    assert [await status(anything, path) for path in ("speed", "depth")] == [200, 200]
