"""/v1/project/{p}/oidcClient, pendingUser, and signing in with a provider: our own realm of the other dialect."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
import pytest_asyncio

from roadstead.core import applications
from roadstead.core.applications import ApplicationDraft, NewApplication
from roadstead.core.identity import Person
from roadstead.dialects.lightelligence import Terms
from roadstead.gateways.http import HttpServer
from roadstead.kernel.ids import new_id, to_base62
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client, check_answer
from tests.dialects.leverege.people import add_account
from tests.dialects.leverege.world import add_system, project_of
from tests.dialects.lightelligence.browsers import REALM, Browser, platform_of
from tests.people import PASSWORD, add_person

CALLBACK = "http://api.test/leverege/v1/oidc/callback"
SUCCESS, FAILURE = "https://app.acme.test/in?from=here", "https://app.acme.test/out"


class Provider(msgspec.Struct, frozen=True):
    """Our realm, which knows a program of this name, and somebody with an account there."""

    url: str
    program: NewApplication
    person: Person

    @property
    def issuer(self) -> str:
        """What it calls itself."""
        return f"{self.url}/lightelligence{REALM}"


@pytest_asyncio.fixture
async def provider(edge: Edge, globex: Tenant) -> AsyncIterator[Provider]:
    """The realm on a port of this machine."""
    found: list[Any] = []

    async def front(scope: Any, receive: Any, send: Any) -> None:
        await found[0](scope, receive, send)

    http = HttpServer(front, lifespan=False)
    url = f"http://127.0.0.1:{await http.start('127.0.0.1', 0)}"
    told = msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, public_url=url))
    found.append(platform_of(told, Terms()))
    draft = ApplicationDraft(name="acme sign-in", redirect_uris=[CALLBACK])
    async with globex.work() as work:
        program = await applications.create_own_application(work, draft)
    yield Provider(url, program, await add_person(globex))
    await http.stop()


async def add_client(owner: Client, provider: Provider, **fields: Any) -> dict[str, Any]:
    """The realm as a provider of a project."""
    body = {
        "name": "Realm",
        "alias": "realm",
        "discoveryUrl": f"{provider.issuer}/.well-known/openid-configuration",
        "clientId": str(provider.program.application.client_id),
        "clientSecret": provider.program.secret,
        "redirectUrls": [SUCCESS, FAILURE],
    }
    made: dict[str, Any] = await owner.data("oidc-client.create", json=body | fields, projectId=project_of(owner))
    return made


async def begin(tenant: Tenant, name: str, **changed: str) -> httpx.Response:
    """What a browser is answered that wants to sign in."""
    params = {"successUrl": SUCCESS, "failureUrl": FAILURE} | changed
    project = to_base62(tenant.organization_id)
    return await Client(tenant).ask("oidc.login", params=params, projectId=project, clientOrAlias=name)


async def come_back(tenant: Tenant, url: str) -> httpx.Response:
    """What a browser is answered that the provider has sent to us."""
    assert url.startswith(CALLBACK)
    answer = await Client(tenant).http.get(f"/v1/oidc/callback?{urlsplit(url).query}")
    check_answer("oidc.callback", answer)
    return answer


async def travel(tenant: Tenant, provider: Provider, name: str) -> str:
    """A browser signs in at the provider; answers with which URL it leaves from there."""
    begun = await begin(tenant, name)
    assert begun.status_code == 302, begun.text
    browser = Browser.over(provider.url)
    page = await browser.open(begun.headers["location"])
    done = await browser.fill(page, email=provider.person.email, password=PASSWORD)
    assert done.is_redirect, done.text
    return str(done.headers["location"])


async def sign_in(tenant: Tenant, provider: Provider, name: str) -> Client:
    """All the way: a client with the token that the program gets."""
    answer = await come_back(tenant, await travel(tenant, provider, name))
    query = query_of(answer)
    assert answer.headers["location"].startswith("https://app.acme.test/in?from=here&token=")
    assert answer.headers["cache-control"] == "no-store"
    return Client(tenant, query["token"])


def query_of(answer: httpx.Response) -> dict[str, str]:
    """What a browser is sent along with."""
    assert answer.status_code == 302, answer.text
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


async def test_somebody_signs_in_with_a_provider_and_is_the_same_the_next_time(
    acme: Tenant, provider: Provider
) -> None:
    owner = await Client.of(acme)
    client = await add_client(owner, provider)
    first = await (await sign_in(acme, provider, "realm")).data("verify")
    assert first["username"] == first["email"] == provider.person.email
    assert first["id"] != to_base62(provider.person.id), "somebody with an account elsewhere is another person here"
    again = await (await sign_in(acme, provider, client["id"])).data("verify")
    assert again["id"] == first["id"]
    assert "client_secret" not in str(client) and provider.program.secret not in str(client)


async def test_a_provider_makes_nobody_of_those_who_were_there_unless_it_is_sure(
    acme: Tenant, provider: Provider
) -> None:
    owner = await Client.of(acme)
    await add_client(owner, provider)
    account = await add_account(owner, provider.person.email)
    profile = await (await sign_in(acme, provider, "realm")).data("verify")
    assert profile["id"] != account["id"]
    assert profile["username"] == f"{provider.person.id}@realm"


async def test_who_signs_in_for_the_first_time_gets_what_waits_for_them(acme: Tenant, provider: Provider) -> None:
    owner = await Client.of(acme)
    await add_client(owner, provider)
    system = await add_system(owner, "north")
    project = project_of(owner)
    role = await owner.data("role.create", json={"name": "viewer", "projectId": project})
    permissions = [{"module": "system", "name": "read"}]
    await owner.data("role.add-permissions", json={"permissions": permissions}, roleId=role["id"])
    waiting = {
        "issuer": provider.issuer,
        "emailOrName": provider.person.email.upper(),
        "perm": "role",
        "permValue": "viewer",
        "contextType": "system",
        "contextId": system["id"],
    }
    other = waiting | {"emailOrName": "somebody@else.test"}
    assert await owner.data("pending-user.add", json=waiting, projectId=project) == waiting
    await owner.data("pending-user.add", json=other, projectId=project)

    client = await sign_in(acme, provider, "realm")
    assert (await client.data("system.get", systemId="north"))["id"] == system["id"]
    listed = await owner.data("pending-user.list", projectId=project)
    assert listed["items"] == [other]
    assert await owner.data("pending-user.delete", json=other, projectId=project) == {"status": 200}
    assert await owner.failure("pending-user.delete", json=other, projectId=project) == 404


async def test_what_waits_is_checked(acme: Tenant, globex: Tenant) -> None:
    owner = await Client.of(acme)
    project = project_of(owner)
    good = {
        "issuer": "realm",
        "emailOrName": "a@b.test",
        "perm": "admin",
        "permValue": "true",
        "contextType": "project",
        "contextId": project,
    }
    for wrong, status in [
        ({"perm": "colour"}, 400),
        ({"perm": "role", "permValue": "none"}, 400),
        ({"contextType": "planet"}, 400),
        ({"emailOrName": ""}, 400),
        ({"contextId": to_base62(globex.organization_id)}, 404),
        ({"contextType": "device", "contextId": to_base62(new_id())}, 404),
    ]:
        assert await owner.failure("pending-user.add", json=good | wrong, projectId=project) == status, wrong
    await owner.data("pending-user.add", json=good, projectId=project)
    other = await Client.of(globex)
    assert (await other.data("pending-user.list", projectId=project_of(other)))["items"] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"successUrl": "https://evil.test/in"},
        {"successUrl": "https://app.acme.test.evil.test/in"},
        {"successUrl": "https://app.acme.test@evil.test/in"},
        {"successUrl": "https://app.acme.test/in/../out2"},
        {"successUrl": "http://app.acme.test/in"},
        {"successUrl": "https://app.acme.test:444/in"},
        {"successUrl": "javascript:alert(1)"},
        {"successUrl": "//app.acme.test/in"},
        {"successUrl": ""},
        {"failureUrl": "https://evil.test/out"},
    ],
    ids=str,
)
async def test_browsers_are_sent_to_registered_places_only(
    acme: Tenant, provider: Provider, changed: dict[str, str]
) -> None:
    await add_client(await Client.of(acme), provider)
    assert (await begin(acme, "realm", **changed)).status_code == 400


async def test_a_state_is_good_once_and_for_a_code_of_its_own(acme: Tenant, provider: Provider) -> None:
    await add_client(await Client.of(acme), provider)
    url = await travel(acme, provider, "realm")
    assert "token" in query_of(await come_back(acme, url))
    assert (await come_back(acme, url)).status_code == 400
    assert (await come_back(acme, f"{CALLBACK}?code=x&state=made-up")).status_code == 400
    assert (await come_back(acme, f"{CALLBACK}?code=x")).status_code == 400
    # A code of one browser with the state of another: PKCE.
    mine, theirs = [parse_qs(urlsplit(await travel(acme, provider, "realm")).query) for _ in range(2)]
    mixed = await come_back(acme, f"{CALLBACK}?code={theirs['code'][0]}&state={mine['state'][0]}")
    assert mixed.headers["location"].startswith(FAILURE)
    assert "token" not in query_of(mixed)


async def test_who_is_turned_away_is_sent_to_the_failure_url(acme: Tenant, provider: Provider) -> None:
    owner = await Client.of(acme)
    await add_client(owner, provider, clientSecret="another")
    answer = await come_back(acme, await travel(acme, provider, "realm"))
    assert answer.headers["location"].startswith(FAILURE)
    assert query_of(answer) == {"error": "unauthenticated"}
    begun = await begin(acme, "realm")
    [state] = parse_qs(urlsplit(begun.headers["location"]).query)["state"]
    denied = await come_back(acme, f"{CALLBACK}?error=access_denied&state={state}")
    assert query_of(denied) == {"error": "access_denied"}


async def test_a_provider_that_is_away_or_somebody_else_is_told_as_such(acme: Tenant, provider: Provider) -> None:
    owner = await Client.of(acme)
    await add_client(owner, provider, alias="gone", discoveryUrl="http://127.0.0.1:9/realm")
    await add_client(owner, provider, alias="other", discoveryUrl=f"{provider.url}/lightelligence/v1/devices")
    project = to_base62(acme.organization_id)
    params = {"successUrl": SUCCESS, "failureUrl": FAILURE}
    for alias in ("gone", "other"):
        answer = await Client(acme).http.get(f"/v1/oidc/{project}/{alias}/login", params=params)
        assert answer.status_code == 503


async def test_clients_are_kept_per_project_and_their_aliases_are_unique(
    acme: Tenant, globex: Tenant, provider: Provider
) -> None:
    owner, other = await Client.of(acme), await Client.of(globex)
    made = await add_client(owner, provider)
    await add_client(other, provider)
    project = project_of(owner)
    names = {"projectId": project, "oidcClientId": made["id"]}
    assert await owner.data("oidc-client.get", **names) == made
    assert [item["id"] for item in (await owner.data("oidc-client.list", projectId=project))["items"]] == [made["id"]]
    body = {"name": "x", "alias": "realm", "discoveryUrl": provider.issuer, "clientId": "x", "clientSecret": "x"}
    assert await owner.failure("oidc-client.create", json=body, projectId=project) == 409
    assert await owner.failure("oidc-client.create", json=body | {"alias": "a b"}, projectId=project) == 400
    local = body | {"alias": "local", "discoveryUrl": "http://10.0.0.1/realm"}
    assert await owner.failure("oidc-client.create", json=local, projectId=project) == 400
    foreign = names | {"projectId": project_of(other)}
    for operation in ("oidc-client.get", "oidc-client.update", "oidc-client.delete"):
        assert await other.failure(operation, json={"name": "x"}, **foreign) == 404
    changed = await owner.data("oidc-client.update", json=[{"op": "replace", "path": "name", "value": "R"}], **names)
    assert changed["name"] == "R"
    await sign_in(acme, provider, "realm")
    await owner.data("oidc-client.delete", **names)
    assert (await begin(acme, "realm")).status_code == 404
