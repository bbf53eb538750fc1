"""What the realm tells about itself, signing out, and a client library that knows nothing of us."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
import pytest_asyncio
import structlog
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc import jwt
from joserfc.jwk import KeySet

from roadstead.core import identity
from roadstead.dialects.lightelligence import Terms
from roadstead.gateways.http import HttpServer
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.lightelligence.browsers import (
    CALLBACK,
    CONNECT,
    HOST,
    REALM,
    Browser,
    Form,
    Program,
    add_application,
    arrived,
    platform_of,
    title_of,
    tokens_of,
)
from tests.people import PASSWORD, add_person, last_actions

DISCOVERY = "/.well-known/openid-configuration"
SHORT_REALM = "/auth/realms/olt"


async def is_open(edge: Edge, tokens: dict[str, Any]) -> bool:
    """Whether the access token is good."""
    return (await Program(edge).userinfo(tokens["access_token"])).status_code == 200


# --- discovery -------------------------------------------------------------------------------------------------------


async def test_whoever_asks_is_told_urls_where_they_have_asked(acme: Tenant) -> None:
    http = Program(acme.edge).http
    for base, path in (
        (HOST, REALM),
        (HOST, SHORT_REALM),
        ("http://api.test/lightelligence", REALM),
        ("http://api.test/lightelligence", SHORT_REALM),
    ):
        told = (await http.get(base + path + DISCOVERY)).json()
        assert told["issuer"] == HOST + REALM
        for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "end_session_endpoint",
                     "jwks_uri", "check_session_iframe", "introspection_endpoint"):  # fmt: skip
            assert told[name].startswith(f"{base}{path}/protocol/openid-connect/"), name
        assert (await http.get(told["jwks_uri"])).json()["keys"]
        assert (await http.get(told["check_session_iframe"])).status_code == 200
        assert title_of(await http.get(told["end_session_endpoint"])) == "Signed out"
        for name in ("token_endpoint", "introspection_endpoint"):
            assert (await http.post(told[name])).json()["error"] == "invalid_request"


async def test_the_issuer_is_below_the_public_url_unless_it_is_set(acme: Tenant) -> None:
    browser = Browser(acme.edge, base="http://api.test", terms=Terms())
    told = (await browser.http.get("/lightelligence" + SHORT_REALM + DISCOVERY)).json()
    assert told["issuer"] == "http://api.test/lightelligence" + REALM


async def test_the_configuration_is_one_that_libraries_take(acme: Tenant) -> None:
    told = (await Program(acme.edge).http.get(REALM + DISCOVERY)).json()
    secure = {
        name: value.replace("http:", "https:") if isinstance(value, str) else value for name, value in told.items()
    }
    OpenIDProviderMetadata(secure).validate()
    assert told["response_types_supported"] == ["code"]
    assert told["response_modes_supported"] == ["query", "fragment", "form_post"]
    assert told["code_challenge_methods_supported"] == ["plain", "S256"]
    assert told["id_token_signing_alg_values_supported"] == ["RS256"]


async def test_programs_in_browsers_may_ask_from_anywhere(acme: Tenant) -> None:
    http = Program(acme.edge).http
    asked = {
        "Origin": "https://app.test",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-requested-with,tenant",
    }
    for path in ("/token", "/userinfo", "/certs"):
        answer = await http.options(CONNECT + path, headers=asked)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        allowed = answer.headers["access-control-allow-headers"].lower()
        assert {"authorization", "content-type", "x-requested-with", "tenant"} <= set(
            allowed.replace(" ", "").split(",")
        )
    answer = await http.post(CONNECT + "/token", headers={"Origin": "https://app.test"})
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_what_is_not_there_is_told_in_the_words_of_the_realm(acme: Tenant) -> None:
    http = Program(acme.edge).http
    for answer in (await http.get(f"{CONNECT}/nothing"), await http.get(f"{CONNECT}/token")):
        assert answer.status_code in (404, 405)
        assert answer.json().keys() == {"error", "error_description"}


# --- signing out -----------------------------------------------------------------------------------------------------


async def test_who_signs_out_has_signed_out_everywhere_at_once(acme: Tenant, globex: Tenant) -> None:
    person, browser, program = await add_person(acme), Browser(acme.edge), Program(acme.edge)
    tokens = (await program.exchange(await browser.code(person))).json()
    other = (await program.exchange(arrived(await browser.authorize())["code"])).json()
    elsewhere = await tokens_of(acme.edge, person)
    await add_person(globex, email=person.email, known=True)
    switched = (await program.renew(other["refresh_token"], headers={"tenant": str(globex.organization_id)})).json()

    answer = await browser.open(
        f"{CONNECT}/logout",
        id_token_hint=tokens["id_token"],
        post_logout_redirect_uri="https://app.test",
        state="s",
    )
    assert answer.headers["location"] == "https://app.test?state=s"
    for each in (tokens, other, switched):
        assert not await is_open(acme.edge, each)
        assert (await program.renew(each["refresh_token"])).json()["error"] == "invalid_grant"
    assert await is_open(acme.edge, elsewhere)
    assert title_of(await browser.authorize()) == "Sign in"
    assert "session.delete" in await last_actions(acme)
    assert "session.delete" in await last_actions(globex)


async def test_who_comes_without_an_id_token_is_asked_first(acme: Tenant) -> None:
    person, browser, program = await add_person(acme), Browser(acme.edge), Program(acme.edge)
    tokens = (await program.exchange(await browser.code(person))).json()
    asked = {"client_id": "olt-portal", "post_logout_redirect_uri": CALLBACK}
    page = await browser.open(f"{CONNECT}/logout", **asked)
    assert title_of(page) == "Sign out"
    assert await is_open(acme.edge, tokens)
    forged = await browser.http.post(f"{CONNECT}/logout", data={**asked, "csrf": "x"})
    assert title_of(forged) == "Sign out"
    assert await is_open(acme.edge, tokens)

    answer = await browser.fill(page)
    assert answer.headers["location"] == CALLBACK
    assert not await is_open(acme.edge, tokens)
    assert title_of(await browser.open(f"{CONNECT}/logout")) == "Signed out"


async def test_a_program_signs_out_its_own_person_only(acme: Tenant) -> None:
    person, other, browser = await add_person(acme), await add_person(acme), Browser(acme.edge)
    tokens = (await Program(acme.edge).exchange(await browser.code(person))).json()
    page = await browser.authorize(prompt="login")
    told = arrived(await browser.fill(page, email=other.email, password=PASSWORD))
    theirs = (await Program(acme.edge).exchange(told["code"])).json()
    await browser.open(f"{CONNECT}/logout", id_token_hint=tokens["id_token"])
    assert not await is_open(acme.edge, tokens)
    assert await is_open(acme.edge, theirs)


@pytest.mark.parametrize(
    "asked",
    [
        {"post_logout_redirect_uri": "https://evil.test"},
        {"post_logout_redirect_uri": "https://app.test/elsewhere"},
        {"post_logout_redirect_uri": "https://app.test.evil.test"},
        {"client_id": "nobody"},
        {"id_token_hint": "nonsense"},
    ],
)
async def test_nobody_is_sent_anywhere_else_after_signing_out(acme: Tenant, asked: dict[str, str]) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    tokens = (await Program(acme.edge).exchange(await browser.code(person))).json()
    sent = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": CALLBACK, **asked}
    page = await browser.open(f"{CONNECT}/logout", **sent)
    assert (page.status_code, title_of(page)) == (400, "That did not work")
    assert await is_open(acme.edge, tokens)


async def test_an_access_token_is_no_hint(acme: Tenant) -> None:
    tokens = await tokens_of(acme.edge, await add_person(acme))
    answer = await Browser(acme.edge).open(f"{CONNECT}/logout", id_token_hint=tokens["access_token"])
    assert answer.status_code == 400
    assert await is_open(acme.edge, tokens)


async def test_a_frame_hears_whether_somebody_is_still_signed_in(acme: Tenant) -> None:
    tokens = await tokens_of(acme.edge, await add_person(acme))
    http = Program(acme.edge).http
    page = await http.get(f"{CONNECT}/login-status-iframe.html")
    assert "frame-ancestors" not in page.headers["content-security-policy"]
    script = await http.get(f"{REALM}/resources/login_status.js")
    assert 'fetch("login-status?session_state=' in script.text
    asked = f"{CONNECT}/login-status?session_state={tokens['session_state']}"
    assert (await http.get(asked)).json() == {"open": True}
    await Browser(acme.edge).open(f"{CONNECT}/logout", id_token_hint=tokens["id_token"])
    assert (await http.get(asked)).json() == {"open": False}
    for nobody in ("", "nonsense", "00000000-0000-8000-8000-000000000000"):
        assert (await http.get(f"{CONNECT}/login-status?session_state={nobody}")).json() == {"open": False}


# --- a client library over the network -------------------------------------------------------------------------------


class Server:
    """The platform on a port, as its clients find it."""

    def __init__(self, edge: Edge, url: str) -> None:
        self.edge = edge
        self.url = url
        self.issuer = f"{url}/lightelligence{REALM}"

    async def metadata(self) -> dict[str, Any]:
        """What a library loads first."""
        async with httpx.AsyncClient() as http:
            told: dict[str, Any] = (await http.get(get_well_known_url(self.issuer, external=True))).json()
        assert told["issuer"] == self.issuer
        return told


@pytest_asyncio.fixture
async def server(edge: Edge) -> AsyncIterator[Server]:
    """The platform."""
    found: list[Any] = []

    async def front(scope: Any, receive: Any, send: Any) -> None:
        await found[0](scope, receive, send)

    http = HttpServer(front, lifespan=False)
    url = f"http://127.0.0.1:{await http.start('127.0.0.1', 0)}"
    told = msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, public_url=url))
    found.append(platform_of(told, Terms(portal_redirect_uris=(CALLBACK,))))
    yield Server(told, url)
    await http.stop()


async def authorized(server: Server, url: str, person: identity.Person) -> httpx.Response:
    """What a browser gets that follows a program to the realm, where somebody signs in."""
    browser = Browser.over(server.url)
    page = await browser.open(url)
    return await browser.fill(page, email=person.email, password=PASSWORD)


async def checked(metadata: dict[str, Any], token: str, *, nonce: str, client_id: str) -> dict[str, Any]:
    """The claims of an id token as a library checks them."""
    async with httpx.AsyncClient() as http:
        keys = KeySet.import_key_set((await http.get(metadata["jwks_uri"])).json())
    claims = jwt.decode(token, keys, algorithms=metadata["id_token_signing_alg_values_supported"]).claims
    options = {"iss": {"value": metadata["issuer"]}, "aud": {"value": client_id}}
    read = CodeIDToken(claims, {"alg": "RS256"}, options, {"nonce": nonce, "client_id": client_id})
    read.validate()
    return claims


@pytest.mark.parametrize("mode", ["query", "fragment"])
async def test_a_library_gets_somebody_through_the_code_flow(acme: Tenant, server: Server, mode: str) -> None:
    person, metadata = await add_person(acme), await server.metadata()
    async with AsyncOAuth2Client(
        "olt-portal", scope="openid email", redirect_uri=CALLBACK, code_challenge_method="S256",
        token_endpoint_auth_method="none",
    ) as client:  # fmt: skip
        verifier = "v" * 48
        url, state = client.create_authorization_url(
            metadata["authorization_endpoint"], code_verifier=verifier, nonce="n-1", response_mode=mode
        )
        answer = await authorized(server, url, person)
        # Libraries read the query; scripts in browsers take the fragment apart themselves.
        came = answer.headers["location"].replace("#", "?")
        tokens = await client.fetch_token(
            metadata["token_endpoint"], authorization_response=came, code_verifier=verifier, state=state
        )
        claims = await checked(metadata, tokens["id_token"], nonce="n-1", client_id="olt-portal")
        info = (await client.get(metadata["userinfo_endpoint"])).json()
        assert info["sub"] == claims["sub"] == str(person.id)
        assert info["email"] == person.email

        renewed = await client.refresh_token(metadata["token_endpoint"], tokens["refresh_token"])
        assert renewed["access_token"] != tokens["access_token"]
        switched = await client.refresh_token(
            metadata["token_endpoint"], renewed["refresh_token"], headers={"tenant": str(acme.organization_id)}
        )
        assert (await client.get(metadata["userinfo_endpoint"])).status_code == 200

        hint = {"id_token_hint": switched["id_token"], "post_logout_redirect_uri": CALLBACK}
        left = await httpx.AsyncClient().get(metadata["end_session_endpoint"], params=hint)
        assert left.headers["location"] == CALLBACK
        assert (await client.get(metadata["userinfo_endpoint"])).status_code == 401


async def test_a_library_takes_an_answer_that_comes_as_a_form(acme: Tenant, server: Server) -> None:
    person, metadata = await add_person(acme), await server.metadata()
    async with AsyncOAuth2Client(
        "olt-portal", scope="openid", redirect_uri=CALLBACK, token_endpoint_auth_method="none"
    ) as client:
        url, state = client.create_authorization_url(
            metadata["authorization_endpoint"], nonce="n-2", response_mode="form_post"
        )
        form = Form(await authorized(server, url, person))
        assert (form.action, form.fields["state"]) == (CALLBACK, state)
        tokens = await client.fetch_token(metadata["token_endpoint"], code=form.fields["code"])
        await checked(metadata, tokens["id_token"], nonce="n-2", client_id="olt-portal")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_library_gets_tokens_for_an_application(acme: Tenant, server: Server, method: str) -> None:
    made, metadata = await add_application(acme), await server.metadata()
    client_id = str(made.application.client_id)
    async with AsyncOAuth2Client(client_id, made.secret, token_endpoint_auth_method=method) as client:
        tenant = {"tenant": str(acme.organization_id)}
        tokens = await client.fetch_token(metadata["token_endpoint"], grant_type="client_credentials", headers=tenant)
        told = await client.introspect_token(metadata["introspection_endpoint"], token=tokens["access_token"])
        assert told.json()["active"] is True
        assert told.json()["tenant"] == str(acme.organization_id)
        renewed = await client.refresh_token(metadata["token_endpoint"], tokens["refresh_token"])
        assert renewed["scope"] == "olt-applications"


async def test_no_secret_is_logged(acme: Tenant, server: Server) -> None:
    person, metadata = await add_person(acme), await server.metadata()
    made = await add_application(acme)
    client_id = str(made.application.client_id)
    browser = Browser.over(server.url)
    async with AsyncOAuth2Client(client_id, made.secret, scope="openid", redirect_uri=CALLBACK) as client:
        with structlog.testing.capture_logs() as lines:
            url, _ = client.create_authorization_url(metadata["authorization_endpoint"])
            page = await browser.open(url)
            csrf = Form(page).fields["csrf"]
            await browser.fill(page, email=person.email, password="not the right one")
            answer = await browser.fill(page, email=person.email, password=PASSWORD)
            code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
            tokens = await client.fetch_token(metadata["token_endpoint"], code=code)
            program = Program(server.edge, client_id, made.secret)
            await program.exchange(code)
            await program.renew(tokens["refresh_token"])
            cookies = list(dict(browser.http.cookies).values())
            await browser.open(metadata["end_session_endpoint"], id_token_hint=tokens["id_token"])
    assert any(line["event"] == "request" for line in lines)
    assert any(line["event"] == "code used twice" for line in lines)
    assert len(cookies) == 2
    told = repr(lines)
    for secret in (
        PASSWORD, "not the right one", made.secret, code, csrf, tokens["access_token"], tokens["refresh_token"],
        tokens["id_token"], *cookies,
    ):  # fmt: skip
        assert secret not in told
