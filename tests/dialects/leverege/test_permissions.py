"""/project/{p}/permission and /project/{p}/module: what roles are made of."""

from typing import Any

from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client, check_value
from tests.dialects.leverege.rights import add_role
from tests.dialects.leverege.world import add_blueprint, project_of


async def permissions(client: Client, **params: Any) -> dict[str, dict[str, Any]]:
    """All there are, by module and name."""
    listed = await client.data(
        "project-permission.list", projectId=project_of(client), params={"limit": 10_000} | params
    )
    for one in listed["items"]:
        check_value("project-permission.list", "Permission", one)
    assert listed["count"] == len(listed["items"])
    return {f"{one['module']}.{one['name']}": one for one in listed["items"]}


async def test_the_permissions_of_the_contract_are_there_under_ids_that_stay(acme: Tenant, globex: Tenant) -> None:
    owner, stranger = await Client.of(acme), await Client.of(globex)
    known = await permissions(owner, category="imagine")
    common = {f"{module}.{name}" for module in ("device", "system") for name in ("create", "read", "update", "list")}
    assert common | {"device.updateAnyData", "device.readByNetworkAlias", "user.assignRoles"} <= known.keys()
    assert len({one["id"] for one in known.values()}) == len(known)
    others = await permissions(stranger, category="imagine")
    assert {name: one["id"] for name, one in known.items()} == {name: one["id"] for name, one in others.items()}
    assert known["device.readByNetworkAlias"]["displayName"] == "read by network alias device"


async def test_blueprints_and_relations_have_permissions_as_long_as_they_are_there(
    acme: Tenant, globex: Tenant
) -> None:
    owner = await Client.of(acme)
    boat = await add_blueprint(owner, "boat")
    relation = {
        "path": "boats",
        "type": "relationship",
        "relationshipType": "oneToMany",
        "targetBlueprintId": boat["id"],
    }
    harbour = await add_blueprint(owner, "harbour", relation)
    known = await permissions(owner, category="project")
    assert known[f"{boat['id']}.read"]["displayName"] == "read boat"
    inner = known[f"{harbour['id']}.read/boats"]
    assert inner["displayName"] == "read boat from harbour"
    where = {"projectId": project_of(owner)}
    assert await owner.data("project-permission.get", permissionId=inner["id"], **where) == inner
    assert await owner.failure("project-permission.delete", permissionId=inner["id"], **where) == 403
    assert await permissions(await Client.of(globex), module=boat["id"]) == {}

    role = await add_role(owner, inner["id"], "device.read")
    await owner.data("blueprint.delete", blueprintId=harbour["id"])
    assert await owner.failure("project-permission.get", permissionId=inner["id"], **where) == 404
    left = await owner.data("role.get", roleId=role["id"])
    assert [one["module"] for one in left["permissions"]] == ["device"]


async def test_a_project_makes_permissions_of_its_own(acme: Tenant, globex: Tenant) -> None:
    owner, stranger = await Client.of(acme), await Client.of(globex)
    where = {"projectId": project_of(owner)}
    body = {"module": "reports", "name": "print", "displayName": "Print", "description": "on paper"}
    made = await owner.data("project-permission.create", json=body, **where)
    assert {name: made[name] for name in body} == body
    assert made["category"] == "custom"
    assert list(await permissions(owner, category="custom")) == ["reports.print"]
    assert await owner.failure("project-permission.create", json=body, **where) == 409
    assert await owner.failure("project-permission.create", json={"module": "device", "name": "read"}, **where) == 409
    assert await owner.failure("project-permission.create", json={"module": "reports"}, **where) == 400
    assert await owner.failure("project-permission.create", json=body | {"category": "imagine"}, **where) == 400

    role = await add_role(owner, "reports.print")
    one = {"permissionId": made["id"]} | where
    changed = await owner.data("project-permission.update", json={"name": "share"}, **one)
    assert (changed["name"], changed["displayName"], changed["id"]) == ("share", "Print", made["id"])
    told = await owner.data("role.get", roleId=role["id"])
    assert [each["name"] for each in told["permissions"]] == ["share"]

    other = {"projectId": project_of(stranger), "permissionId": made["id"]}
    for operation in ("project-permission.get", "project-permission.delete"):
        assert await stranger.failure(operation, **other) == 404
        assert await stranger.failure(operation, **one) == 404
    assert await owner.data("project-permission.delete", **one) == {
        "status": 200,
        "deleted": True,
        "permissionId": str(made["id"]),
    }
    assert (await owner.data("role.get", roleId=role["id"]))["permissions"] == []


async def test_a_project_makes_modules_of_its_own(acme: Tenant, globex: Tenant) -> None:
    owner, stranger = await Client.of(acme), await Client.of(globex)
    where = {"projectId": project_of(owner)}
    made = await owner.data("project-module.create", json={"name": "reports", "displayName": "Reports"}, **where)
    assert await owner.data("project-module.get", moduleName="reports", **where) == made
    assert await owner.failure("project-module.create", json={"name": "reports"}, **where) == 409
    assert await owner.failure("project-module.create", json={"name": "device"}, **where) == 409
    boat = await add_blueprint(owner, "boat")
    listed = await owner.data("project-module.list", **where)
    names = [module["name"] for module in listed["items"]]
    assert {"device", boat["id"], "reports"} <= set(names)
    for module in listed["items"]:
        check_value("project-module.list", "Module", module)
    one = await owner.data("project-module.list", params={"name": "reports"}, **where)
    assert (one["count"], one["items"]) == (1, [made])

    await owner.data("project-permission.create", json={"module": "reports", "name": "print"}, **where)
    role = await add_role(owner, "reports.print")
    changed = await owner.data("project-module.update", json={"name": "papers"}, moduleName="reports", **where)
    assert (changed["name"], changed["displayName"]) == ("papers", "Reports")
    assert list(await permissions(owner, category="custom")) == ["papers.print"]
    assert await owner.failure("project-module.get", moduleName="reports", **where) == 404
    assert await owner.failure("project-module.update", json={"name": "x"}, moduleName="device", **where) == 403
    assert await owner.failure("project-module.delete", moduleName=boat["id"], **where) == 403
    assert await stranger.failure("project-module.delete", moduleName="papers", **where) == 404
    assert await stranger.failure("project-module.get", moduleName="papers", projectId=project_of(stranger)) == 404

    answer = await owner.data("project-module.delete", moduleName="papers", **where)
    assert answer == {"status": 200, "deleted": True, "name": "papers"}
    assert await permissions(owner, category="custom") == {}
    assert (await owner.data("role.get", roleId=role["id"]))["permissions"] == []
