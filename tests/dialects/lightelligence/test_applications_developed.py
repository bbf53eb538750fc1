"""/v1/application-developer: what developers make, and who may install it."""

import re
from typing import Any

import pytest

from roadstead.core.identity import Permission
from roadstead.kernel.ids import new_id
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.programs import add_application, as_application, install, permissions
from tests.people import last_actions

P = Permission


async def test_an_application_shows_its_secret_once(acme: Tenant, globex: Tenant) -> None:
    developer, stranger = await Client.of(acme), await Client.of(globex)
    body = {
        "name": "Thermo-stat 2",
        "teaserDescription": "Keeps it warm",
        "url": "https://thermostat.example.test/",
        "withPublicOauth2Client": True,
        "redirectUris": ["https://thermostat.example.test/back", "com.example.thermostat:/back"],
        "permissions": permissions(client=[P.DEVICES_STATES_READ], user=[P.DEVICES_BASE_DATA_READ]),
        "allowedTenants": [{"tenantId": str(globex.organization_id), "comment": "the neighbours"}],
    }
    made = await developer.data("createApplication", json=body)

    secret = made["oauth2Client"].pop("secret")
    assert re.fullmatch(r"[A-Za-z0-9_-]{16}", secret)
    assert made["oauth2Client"]["type"] == "confidental"
    assert made["publicOauth2Client"]["type"] == "public"
    assert (made["tenantId"], made["status"], made["installationsCount"]) == (str(acme.organization_id), "active", 0)
    (allowed,) = made.pop("allowedTenants")
    assert (allowed["comment"], allowed["installed"], "tenantName" in allowed) == ("the neighbours", False, False)
    assert {name: made[name] for name in ("name", "redirectUris", "permissions")} == {
        name: body[name] for name in ("name", "redirectUris", "permissions")
    }
    assert await developer.data("getDevelopedApplication", applicationId=made["id"]) == made
    (listed,) = await developer.data("listDevelopedApplications")
    assert listed == {name: made[name] for name in made if name not in ("redirectUris", "permissions")}
    assert await stranger.data("listDevelopedApplications") == []
    failure = await stranger.failure("getDevelopedApplication", applicationId=made["id"])
    assert failure == (404, "APP_RESOURCE_NOT_FOUND")
    for line in (await last_actions(acme)), await _audit(acme):
        assert secret not in str(line)


async def test_applications_are_listed_newest_first_in_pages(acme: Tenant) -> None:
    developer = await Client.of(acme)
    for name in ("one", "two", "three"):
        await add_application(developer, name=f"Application {name}")

    answer = (await developer.ask("listDevelopedApplications", params={"pageSize": 2})).json()
    assert [each["name"] for each in answer["data"]] == ["Application three", "Application two"]
    assert answer["meta"] == {"page": 0, "pageSize": 2, "itemsTotal": 3, "pagesTotal": 2}
    assert (await developer.failure("listDevelopedApplications", params={"pageSize": 101})) == (400, "APP_VALIDATION")


async def test_a_name_is_taken_once_per_developer_until_it_is_free_again(acme: Tenant, globex: Tenant) -> None:
    developer, other = await Client.of(acme), await Client.of(globex)
    first = await add_application(developer)
    second = await add_application(developer, name="Other one")

    assert await developer.failure("createApplication", json={"name": "Thermostat"}) == (409, "APP_CONFLICT")
    failure = await developer.failure(
        "updateDevelopedApplication", applicationId=second["id"], json={"name": "Thermostat"}
    )
    assert failure == (409, "APP_CONFLICT")
    await add_application(other)
    await developer.ask("deleteDevelopedApplication", applicationId=first["id"])
    await add_application(developer)
    failure = await developer.failure("getDevelopedApplication", applicationId=first["id"])
    assert failure == (404, "APP_RESOURCE_NOT_FOUND")


WRONG: list[dict[str, Any]] = [
    {"name": "ab"},
    {"name": "x" * 33},
    {"name": "Thermostat!"},
    {"name": None},
    {"teaserDescription": "x" * 171},
    {"url": "thermostat.example.test"},
    {"url": "javascript:alert(1)"},
    {"redirectUris": ["https://*.example.test/"]},
    {"redirectUris": ["/back"]},
    {"redirectUris": ["https://a.example.test/#fragment"]},
    {"redirectUris": ["javascript:alert(1)"]},
    {"redirectUris": "https://a.example.test/"},
    {"permissions": permissions(user=[P.TENANT_READ])},
    {"permissions": permissions(client=[P.TENANT_USER_MANAGEMENT_WRITE])},
    {"permissions": permissions(client=[P.INGEST_WRITE, P.INGEST_WRITE])},
    {"permissions": {"client": []}},
    {"permissions": {"client": [{"id": str(new_id())}], "user": []}},
    {"allowedTenants": [{"tenantId": "acme"}]},
    {"allowedTenants": [{"tenantId": str(new_id()), "comment": "x" * 256}]},
]


async def test_an_application_that_cannot_be_is_refused(acme: Tenant) -> None:
    developer = await Client.of(acme)
    for wrong in WRONG:
        body = {"name": "Thermostat", **wrong}
        assert await developer.failure("createApplication", json=body) == (400, "APP_VALIDATION"), wrong
    assert await developer.data("listDevelopedApplications") == []


async def test_a_change_answers_what_was_sent_and_leaves_the_rest(acme: Tenant) -> None:
    developer = await Client.of(acme)
    made = await add_application(developer, teaserDescription="Warm", url="https://a.example.test/")

    changed = await developer.data(
        "updateDevelopedApplication", applicationId=made["id"], json={"status": "inactive", "teaserDescription": ""}
    )
    assert changed == {
        "id": made["id"], "status": "inactive", "teaserDescription": "", "updatedAt": changed["updatedAt"],
    }  # fmt: skip
    read = await developer.data("getDevelopedApplication", applicationId=made["id"])
    assert (read["status"], read["name"], read["url"]) == ("inactive", "Thermostat", "https://a.example.test/")
    assert "teaserDescription" not in read
    assert await developer.failure(
        "updateDevelopedApplication", applicationId=made["id"], json={"status": "asleep"}
    ) == (400, "APP_VALIDATION")


async def test_a_public_client_that_was_taken_away_comes_back_as_another(acme: Tenant) -> None:
    developer = await Client.of(acme)
    made = await add_application(developer, withPublicOauth2Client=True)

    async def switch(on: bool) -> dict[str, Any]:
        changed: dict[str, Any] = await developer.data(
            "updateDevelopedApplication", applicationId=made["id"], json={"withPublicOauth2Client": on}
        )
        return changed

    assert (await switch(True))["publicOauth2Client"] == made["publicOauth2Client"]
    assert "publicOauth2Client" not in await switch(False)
    assert (await switch(True))["publicOauth2Client"]["id"] != made["publicOauth2Client"]["id"]


async def test_a_tenant_is_allowed_with_a_comment_and_shown_by_name_once_it_has_installed(
    acme: Tenant, globex: Tenant
) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer)
    names = {"applicationId": made["id"], "tenantId": globex.organization_id}

    first = await developer.data("addAllowedTenant", **names, json={"comment": "new"})
    assert (first["installed"], first["comment"]) == (False, "new")
    assert (await developer.data("addAllowedTenant", **names, json={}))["comment"] == ""
    await developer.data("addAllowedTenant", applicationId=made["id"], tenantId=new_id(), json={})
    await install(tenant, made)

    listed = await developer.data("listAllowedTenants", applicationId=made["id"])
    assert [(each["installed"], each.get("tenantName")) for each in listed] == [(True, "Globex"), (False, None)]
    read = await developer.data("getDevelopedApplication", applicationId=made["id"])
    assert read["installationsCount"] == 1
    await developer.ask("removeAllowedTenant", **names)
    assert await developer.failure("removeAllowedTenant", **names) == (404, "APP_RESOURCE_NOT_FOUND")
    assert len(await developer.data("listAllowedTenants", applicationId=made["id"])) == 1


async def test_nobody_else_touches_an_application(acme: Tenant, globex: Tenant) -> None:
    developer, stranger = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex)
    await install(stranger, made)
    names = {"applicationId": made["id"], "tenantId": globex.organization_id}

    for operation, body in {
        "updateDevelopedApplication": {"name": "Mine now"},
        "deleteDevelopedApplication": None,
        "regenerateSecret": {},
        "listAllowedTenants": None,
        "addAllowedTenant": {},
        "removeAllowedTenant": None,
        "createCustomPermission": {"alias": "mine", "category": "mine", "name": "mine"},
        "listCustomPermissions": None,
    }.items():
        assert (await stranger.failure(operation, **names, json=body))[0] == 404, operation
    assert (await developer.data("getDevelopedApplication", applicationId=made["id"]))["name"] == "Thermostat"


async def test_developing_needs_its_own_permissions(acme: Tenant) -> None:
    developer = await Client.of(acme)
    made = await add_application(
        developer, acme, permissions=permissions(client=[P.APPLICATIONS_WRITE, P.APPLICATIONS_DEVELOPMENT_READ])
    )
    await install(developer, made)
    program = await as_application(acme, made)

    assert len(await program.data("listDevelopedApplications")) == 1
    assert await program.failure("createApplication", json={"name": "Child"}) == (403, "APP_FORBIDDEN")
    assert await program.failure("regenerateSecret", applicationId=made["id"]) == (403, "APP_FORBIDDEN")
    assert await program.failure("listApplications") == (403, "APP_FORBIDDEN")
    assert await Client(acme).failure("listApplications") == (401, "APP_UNAUTHORIZED")


async def test_custom_permissions_are_kept_for_an_application(acme: Tenant) -> None:
    developer = await Client.of(acme)
    made = await add_application(developer)
    other = await add_application(developer, name="Other one")
    names = {"applicationId": made["id"]}
    body = {"alias": "rooms:heat", "category": "rooms", "name": "Heat rooms", "description": "May make it warm"}

    first = await developer.data("createCustomPermission", **names, json=body)
    assert {name: first[name] for name in (*body, "applicationId")} == {**body, "applicationId": made["id"]}
    second = await developer.data(
        "createCustomPermission", **names, json={"alias": "rooms:cool", "category": "rooms", "name": "Cool rooms"}
    )
    assert await developer.failure("createCustomPermission", **names, json=body) == (409, "ID_CONFLICT")
    await developer.data("createCustomPermission", applicationId=other["id"], json=body)
    assert await developer.data("listCustomPermissions", **names) == [second, first]

    one = {**names, "permissionId": first["id"]}
    assert await developer.data("getCustomPermission", **one) == first
    changed = await developer.data("updateCustomPermission", **one, json={"category": "climate"})
    assert changed == {"id": first["id"], "category": "climate", "updatedAt": changed["updatedAt"]}
    assert (await developer.data("getCustomPermission", **one))["category"] == "climate"
    assert await developer.failure("updateCustomPermission", **one, json={"category": "!"}) == (400, "ID_VALIDATION")

    foreign = {"applicationId": other["id"], "permissionId": first["id"]}
    assert await developer.failure("getCustomPermission", **foreign) == (404, "ID_RESOURCE_NOT_FOUND")
    await developer.ask("deleteCustomPermission", **one)
    assert await developer.failure("getCustomPermission", **one) == (404, "ID_RESOURCE_NOT_FOUND")


@pytest.mark.parametrize("wrong", [{"alias": "ab"}, {"name": "a/b/c"}, {"category": "x" * 33}, {"alias": 1}])
async def test_a_custom_permission_that_cannot_be_is_refused(acme: Tenant, wrong: dict[str, Any]) -> None:
    developer = await Client.of(acme)
    made = await add_application(developer)
    body = {"alias": "rooms:heat", "category": "rooms", "name": "Heat rooms", **wrong}
    failure = await developer.failure("createCustomPermission", applicationId=made["id"], json=body)
    assert failure == (400, "ID_VALIDATION")


async def test_an_old_client_works_at_once_in_its_own_tenant(acme: Tenant, globex: Tenant) -> None:
    developer, stranger = await Client.of(acme), await Client.of(globex)
    body = {"name": "Old client", "redirectUris": ["https://old.example.test/back"], "webOrigins": ["*"]}
    answer = await developer.http.post("/v1/clients", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]
    assert len(made.pop("secret")) == 16

    path = f"/v1/clients/{made['clientId']}"
    assert (await developer.http.get(path)).json()["data"] == made
    assert (await stranger.http.get(path)).status_code == 404
    program = await as_application(acme, {"oauth2Client": {"id": made["clientId"]}})
    assert len(await program.data("listApplications")) == 1
    assert (await stranger.http.delete(path)).status_code == 404
    assert (await developer.http.delete(path)).status_code == 204
    assert (await program.failure("listApplications"))[0] == 401
    for wrong in ({"secret": "of my own"}, {"implicitFlowEnabled": True}):
        assert (await developer.http.post("/v1/clients", json={**body, **wrong})).status_code == 400


async def _audit(tenant: Tenant) -> list[Any]:
    async with tenant.edge.tenant_database.tx(tenant.tenant_id) as tx:
        return await tx.rows("SELECT action, changes::text FROM audit_log")
