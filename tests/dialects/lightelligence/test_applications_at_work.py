"""Tokens of applications: what they let them and the people behind them do, and that losing it acts at once."""

from typing import Any

import httpx
import pytest

from roadstead.core.identity import Permission
from roadstead.kernel.actor import Role
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.programs import (
    add_application,
    as_application,
    install,
    permissions,
    through_application,
)

P = Permission
READS_APPLICATIONS = permissions(client=[P.APPLICATIONS_READ], user=[P.APPLICATIONS_READ])


async def test_an_application_may_what_was_consented_to_and_nothing_else(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex, permissions=READS_APPLICATIONS)
    await install(tenant, made)
    program = await as_application(globex, made)

    assert len(await program.data("listApplications")) == 1
    failure = await program.failure("uninstallApplication", applicationId=made["id"])
    assert failure == (403, "APP_FORBIDDEN")

    wider = permissions(client=[P.APPLICATIONS_READ, P.APPLICATIONS_WRITE])
    await developer.data("updateDevelopedApplication", applicationId=made["id"], json={"permissions": wider})
    failure = await program.failure("uninstallApplication", applicationId=made["id"])
    assert failure == (403, "APP_FORBIDDEN")
    assert len(await program.data("listApplications")) == 1  # what was consented to is still asked for
    await tenant.data("updateInstallation", applicationId=made["id"], json={"permissions": wider})
    await program.ask("uninstallApplication", applicationId=made["id"])


async def test_what_is_not_asked_for_any_more_is_not_granted(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex, permissions=READS_APPLICATIONS)
    await install(tenant, made)
    program = await as_application(globex, made)

    await developer.data("updateDevelopedApplication", applicationId=made["id"], json={"permissions": permissions()})
    assert await program.failure("listApplications") == (403, "APP_FORBIDDEN")


@pytest.mark.parametrize("kind", ["oauth2Client", "publicOauth2Client"])
async def test_people_may_through_an_application_what_both_may(acme: Tenant, globex: Tenant, kind: str) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    asked = permissions(user=[P.APPLICATIONS_READ, P.APPLICATIONS_DEVELOPMENT_READ])
    made = await add_application(developer, globex, permissions=asked, withPublicOauth2Client=True)
    await install(tenant, made)

    for role in (Role.OWNER, Role.MEMBER):
        person = await through_application(globex, made, role, kind=kind)
        assert len(await person.data("listApplications")) == 1
        assert await person.data("listDevelopedApplications") == []
        assert await person.failure("createApplication", json={"name": "Another"}) == (403, "APP_FORBIDDEN")
        failure = await person.failure("uninstallApplication", applicationId=made["id"])
        assert failure == (403, "APP_FORBIDDEN")


async def test_an_application_does_not_lend_people_what_it_may_by_itself(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex, permissions=permissions(client=[P.APPLICATIONS_READ]))
    await install(tenant, made)

    assert len(await (await as_application(globex, made)).data("listApplications")) == 1
    person = await through_application(globex, made)
    assert await person.failure("listApplications") == (403, "APP_FORBIDDEN")


@pytest.mark.parametrize(
    ("loss", "status"),
    [("uninstalled", 403), ("deleted", 401), ("inactive", 403), ("denied", 403), ("developer suspended", 403)],
)
async def test_an_application_loses_access_at_once(acme: Tenant, globex: Tenant, loss: str, status: int) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex, permissions=READS_APPLICATIONS)
    await install(tenant, made)
    program, person = await as_application(globex, made), await through_application(globex, made)
    for client in (program, person):
        assert len(await client.data("listApplications")) == 1

    names = {"applicationId": made["id"]}
    match loss:
        case "uninstalled":
            await tenant.ask("uninstallApplication", **names)
        case "deleted":
            await developer.ask("deleteDevelopedApplication", **names)
        case "inactive":
            await developer.data("updateDevelopedApplication", **names, json={"status": "inactive"})
        case "denied":
            await developer.ask("removeAllowedTenant", **names, tenantId=globex.organization_id)
        case "developer suspended":
            async with acme.edge.system_database.tx() as tx:
                await tx.run("UPDATE tenant SET status = 'SUSPENDED' WHERE tenant_id = %s", acme.tenant_id)
    for client in (program, person):
        assert (await client.failure("listApplications"))[0] == status


async def test_a_token_works_in_its_own_tenant_only(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex, acme, permissions=READS_APPLICATIONS)
    await install(tenant, made)

    assert (await (await as_application(acme, made)).failure("listApplications")) == (403, "APP_FORBIDDEN")
    assert (await (await through_application(acme, made)).failure("listApplications")) == (403, "APP_FORBIDDEN")


async def test_a_public_client_that_was_taken_away_opens_nothing(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex, permissions=READS_APPLICATIONS, withPublicOauth2Client=True)
    await install(tenant, made)
    person = await through_application(globex, made, kind="publicOauth2Client")
    assert len(await person.data("listApplications")) == 1

    body = {"withPublicOauth2Client": False}
    await developer.data("updateDevelopedApplication", applicationId=made["id"], json=body)
    assert (await person.failure("listApplications")) == (401, "APP_UNAUTHORIZED")


async def test_a_token_without_tenant_fits_application_info_only(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex, acme, permissions=READS_APPLICATIONS)
    await install(tenant, made)
    program = await as_application(globex, made, bound=False)

    assert await program.failure("listApplications") == (403, "APP_FORBIDDEN")
    assert await program.data("listInstalledTenants") == [{"tenantId": str(globex.organization_id), "name": "Globex"}]
    assert await program.failure("getOwnInstallation") == (404, "APP_RESOURCE_NOT_FOUND")


async def test_an_application_asks_about_its_installations(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex, acme, permissions=READS_APPLICATIONS)
    other = await add_application(developer, globex, name="Other one")
    for each in (made, other):
        await install(tenant, each)
    await install(developer, made)
    program = await as_application(globex, made)

    assert await program.data("getOwnInstallation") == await tenant.data("getInstallation", applicationId=made["id"])

    async def reach(**params: Any) -> list[str]:
        return [each["name"] for each in await program.data("listInstalledTenants", params=params)]

    assert await reach() == ["Globex", "Acme"]
    assert await reach(page=1, pageSize=1) == ["Acme"]
    await developer.ask("removeAllowedTenant", applicationId=made["id"], tenantId=acme.organization_id)
    assert await reach() == ["Globex"]
    await tenant.ask("uninstallApplication", applicationId=made["id"])
    assert await program.failure("getOwnInstallation") == (404, "APP_RESOURCE_NOT_FOUND")
    assert await reach() == []


async def test_people_are_not_told_what_is_for_applications(acme: Tenant) -> None:
    person = await Client.of(acme)
    for operation in ("listInstalledTenants", "getOwnInstallation"):
        assert await person.failure(operation) == (403, "APP_FORBIDDEN")


async def test_the_audit_log_names_the_application(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    asked = permissions(client=[P.APPLICATIONS_DEVELOPMENT_WRITE])
    made = await add_application(developer, globex, permissions=asked)
    await install(tenant, made)
    program = await as_application(globex, made)
    await program.data("createApplication", json={"name": "By a program"})

    lines = (await globex.api.get("/api/v1/audit-log", params={"action": "application.create"})).json()["items"]
    (line,) = [line for line in lines if line["action"] == "application.create"]
    assert (line["actorType"], line["actorName"]) == ("APPLICATION", "Thermostat")
    assert line["actorId"] == made["oauth2Client"]["id"]


async def test_an_application_gets_its_token_for_its_secret(acme: Tenant, globex: Tenant) -> None:
    developer, tenant = await Client.of(acme), await Client.of(globex)
    made = await add_application(developer, globex, permissions=READS_APPLICATIONS)

    async def ask_token(secret: str) -> httpx.Response:
        client = made["oauth2Client"]
        return await tenant.http.post(
            "/v1/id/auth/realms/olt/protocol/openid-connect/token",
            data={"grant_type": "client_credentials", "client_id": client["id"], "client_secret": secret},
            headers={"tenant": str(globex.organization_id)},
        )

    secret = made["oauth2Client"]["secret"]
    assert (await ask_token(secret)).status_code >= 400  # it is not installed yet
    await install(tenant, made)
    token = (await ask_token(secret)).json()["access_token"]
    assert len(await Client(globex, token).data("listApplications")) == 1

    fresh = await developer.data("regenerateSecret", applicationId=made["id"], json={})
    assert (await ask_token(secret)).status_code >= 400
    assert (await ask_token(fresh["secret"])).status_code == 200
