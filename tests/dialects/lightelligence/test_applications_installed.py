"""/v1/applications: what a tenant may install, and what it consents to."""

from typing import Any

import pytest

from roadstead.core.identity import Permission
from roadstead.kernel.ids import new_id
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.programs import add_application, as_application, install, permissions

P = Permission
ASKED = permissions(client=[P.DEVICES_STATES_READ], user=[P.DEVICES_BASE_DATA_READ, P.DEVICES_BASE_DATA_WRITE])


async def test_only_those_who_may_install_an_application_see_it(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex, teaserDescription="Warm", permissions=ASKED)
    hidden = await add_application(developer, name="Not for them")

    (seen,) = await tenant.data("listApplications")
    assert seen == {
        "id": made["id"], "name": "Thermostat", "teaserDescription": "Warm", "available": True,
        "availableCode": "APP_AVAILABLE",
    }  # fmt: skip
    assert await tenant.data("getApplication", applicationId=made["id"]) == seen
    assert await tenant.data("getApplicationPermissions", applicationId=made["id"]) == ASKED
    assert await developer.data("listApplications") == []  # not even its developer, who was not allowed
    for operation in ("getApplication", "getApplicationPermissions", "getInstallation"):
        failure = await tenant.failure(operation, applicationId=hidden["id"])
        assert failure == (404, "APP_RESOURCE_NOT_FOUND")
    failure = await tenant.failure(
        "installApplication", applicationId=hidden["id"], json={"permissions": permissions()}
    )
    assert failure == (404, "APP_RESOURCE_NOT_FOUND")


async def test_installing_repeats_all_that_is_asked_for(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex, permissions=ASKED)
    names = {"applicationId": made["id"]}

    for wrong in (
        {},
        {"permissions": permissions()},
        {"permissions": {**ASKED, "client": []}},
        {"permissions": {**ASKED, "user": ASKED["user"][:1]}},
        {"permissions": {**ASKED, "client": [*ASKED["client"], *ASKED["user"]]}},
        {"permissions": {"client": [{"id": str(new_id())}], "user": []}},
    ):
        assert await tenant.failure("installApplication", **names, json=wrong) == (400, "APP_VALIDATION"), wrong
    assert await tenant.failure("getInstallation", **names) == (404, "APP_RESOURCE_NOT_FOUND")

    turned = {**ASKED, "user": ASKED["user"][::-1]}  # the order says nothing
    installed = await tenant.data("installApplication", **names, json={"permissions": turned})
    assert (installed["applicationId"], installed["tenantId"]) == (made["id"], str(globex.organization_id))
    assert installed["status"] == "ok"
    assert await tenant.data("getInstallation", **names) == installed
    (seen,) = await tenant.data("listApplications")
    assert seen["installation"] == {name: installed[name] for name in ("tenantId", "status", "createdAt")}
    failure = await tenant.failure("installApplication", **names, json={"permissions": ASKED})
    assert failure == (409, "APP_CONFLICT")


async def test_applications_are_listed_in_order_of_creation_installed_or_not(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = [await add_application(developer, globex, name=f"Application {name}") for name in "abc"]
    await install(tenant, made[1])

    async def names(**params: Any) -> list[str]:
        return [each["name"][-1] for each in await tenant.data("listApplications", params=params)]

    assert await names() == ["a", "b", "c"]
    assert await names(installed="true") == ["b"]
    assert await names(installed="false") == ["a", "c"]
    assert await names(page=1, pageSize=2) == ["c"]
    assert await tenant.failure("listApplications", params={"installed": "perhaps"}) == (400, "APP_VALIDATION")


async def test_other_permissions_than_before_need_another_consent(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex, permissions=ASKED)
    names = {"applicationId": made["id"]}
    before = await install(tenant, made)

    wider = {**ASKED, "client": [*ASKED["client"], *permissions(client=[P.INGEST_WRITE])["client"]]}
    await developer.data("updateDevelopedApplication", **names, json={"permissions": wider})
    outdated = await tenant.data("getInstallation", **names)
    assert (outdated["status"], outdated["permissions"]) == ("outdated", before["permissions"])
    (seen,) = await tenant.data("listApplications")
    assert (seen["available"], seen["installation"]["status"]) == (True, "outdated")

    failure = await tenant.failure("updateInstallation", **names, json={"permissions": ASKED})
    assert failure == (400, "APP_VALIDATION")
    renewed = await tenant.data("updateInstallation", **names, json={"permissions": wider})
    assert (renewed["status"], renewed["permissions"], renewed["createdAt"]) == ("ok", wider, before["createdAt"])


async def test_an_application_says_why_it_cannot_be_used(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex)
    names = {"applicationId": made["id"]}
    allowed = {**names, "tenantId": globex.organization_id}
    await install(tenant, made)

    async def code() -> tuple[bool, str]:
        seen = await tenant.data("getApplication", **names)
        return seen["available"], seen["availableCode"]

    await developer.data("updateDevelopedApplication", **names, json={"status": "inactive"})
    assert await code() == (False, "APP_INACTIVE")
    failure = await tenant.failure("updateInstallation", **names, json={"permissions": permissions()})
    assert failure == (403, "APP_FORBIDDEN")
    await developer.data("updateDevelopedApplication", **names, json={"status": "active"})
    await developer.ask("removeAllowedTenant", **allowed)
    assert await code() == (False, "APP_DENIED")
    await developer.data("addAllowedTenant", **allowed, json={})
    assert await code() == (True, "APP_AVAILABLE")
    await developer.ask("deleteDevelopedApplication", **names)
    assert await code() == (False, "APP_DELETED")
    async with acme.edge.system_database.tx() as tx:
        await tx.run("DELETE FROM tenant WHERE tenant_id = %s", acme.tenant_id)
    assert await code() == (False, "APP_UNKNOWN")

    await tenant.ask("uninstallApplication", **names)
    assert await tenant.failure("getApplication", **names) == (404, "APP_RESOURCE_NOT_FOUND")
    assert await tenant.failure("uninstallApplication", **names) == (404, "APP_RESOURCE_NOT_FOUND")


async def test_an_application_that_is_not_installed_and_cannot_be_is_not_shown(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex)
    await developer.data("updateDevelopedApplication", applicationId=made["id"], json={"status": "inactive"})

    assert await tenant.data("listApplications") == []
    failure = await tenant.failure("installApplication", applicationId=made["id"], json={"permissions": permissions()})
    assert failure == (404, "APP_RESOURCE_NOT_FOUND")


@pytest.mark.parametrize("body", [None, {"permissions": ASKED}])
async def test_old_programs_install_by_put(acme: Tenant, globex: Tenant, body: dict[str, Any] | None) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex, permissions=ASKED)

    answer = await tenant.http.put(f"/v1/applications/{made['id']}/installation", json=body)
    assert answer.status_code == 200, answer.text
    installed = await tenant.data("getInstallation", applicationId=made["id"])
    assert answer.json()["data"] == {name: installed[name] for name in ("tenantId", "createdAt")}
    assert installed["permissions"] == ASKED


async def test_those_who_have_installed_an_application_see_its_custom_permissions(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex)
    body = {"alias": "rooms:heat", "category": "rooms", "name": "Heat rooms"}
    permission = await developer.data("createCustomPermission", applicationId=made["id"], json=body)
    path = f"/v1/applications/{made['id']}/custom-permissions"

    assert (await tenant.http.get(path)).json()["data"] == []
    await install(tenant, made)
    assert (await tenant.http.get(path)).json()["data"] == [permission]
    assert (await developer.http.get(path)).json()["data"] == []


async def test_nobody_consents_to_more_than_they_may_do(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    small = await add_application(developer, globex, permissions=permissions(client=[P.APPLICATIONS_WRITE]))
    large = await add_application(
        developer, globex, name="Large one", permissions=permissions(client=[P.AUDIT_LOGS_READ])
    )
    await install(tenant, small)
    program = await as_application(globex, small)

    body = {"permissions": permissions(client=[P.AUDIT_LOGS_READ])}
    failure = await program.failure("installApplication", applicationId=large["id"], json=body)
    assert failure == (403, "APP_FORBIDDEN")
    await developer.data("updateDevelopedApplication", applicationId=small["id"], json=body)
    failure = await program.failure("updateInstallation", applicationId=small["id"], json=body)
    assert failure[0] == 403
    await tenant.data("installApplication", applicationId=large["id"], json=body)
