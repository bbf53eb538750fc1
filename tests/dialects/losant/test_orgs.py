"""Organizations of whoever asks, and where the vendor's command line looks first."""

from roadstead.kernel.actor import Role
from roadstead.kernel.ids import to_hex24
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.world import add_application, add_device
from tests.people import add_person


async def test_an_organization_shows_its_members_and_how_much_is_in_it(acme: Tenant, globex: Tenant) -> None:
    owner = await add_person(acme, Role.OWNER)
    await add_person(acme, Role.MEMBER)
    client = await Client.of_person(acme, owner)
    id_ = await add_application(client)
    await add_device(client, id_, "Pump")
    org_id = to_hex24(acme.organization_id)
    shown = await client.data("org.get", orgId=org_id)
    assert (shown["name"], shown["orgId"], shown["_type"]) == ("Acme", org_id, "org")
    members = {each["email"]: each["role"] for each in shown["members"]}
    assert members[owner.email] == "admin"
    assert len(members) == 2
    assert {"appCount": 2, "deviceCount": 1, "memberCount": 2}.items() <= shown["summary"].items()
    only = await client.data("org.get", orgId=org_id, params={"summaryInclude": "appCount"})
    assert only["summary"] == {"appCount": 2}
    assert await client.failure("org.get", orgId=to_hex24(globex.organization_id)) == (404, "NotFound")


async def test_somebody_sees_the_organizations_they_are_in(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    await add_person(globex, Role.MEMBER, email=person.email, known=True)
    client = await Client.of_person(acme, person)
    found = await client.data("orgs.get")
    assert [each["name"] for each in found["items"]] == ["Acme", "Globex"]
    assert found["items"][1]["_links"]["self"] == {"href": f"/orgs/{to_hex24(globex.organization_id)}"}
    params = {"sortDirection": "desc", "perPage": 1}
    page = await client.data("orgs.get", params=params)
    assert ([each["name"] for each in page["items"]], page["totalCount"]) == (["Globex"], 2)
    some = await client.data("orgs.get", params={"filterField": "name", "filter": "gl*"})
    assert [each["name"] for each in some["items"]] == ["Globex"]


async def test_everybody_may_know_where_everything_is(acme: Tenant) -> None:
    answer = await Client(acme).http.get("/whitelabels/domain")
    assert answer.status_code == 200
    assert answer.json() == {"appUrl": "http://api.test", "endpointDomain": "api.test"}
