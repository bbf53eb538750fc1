"""Tokens of the realm: how programs get them, what they say, and when they are over."""

import base64
import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from roadstead.core import identity
from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Unauthenticated
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.lightelligence.browsers import (
    CALLBACK,
    CONNECT,
    HOST,
    REALM,
    Browser,
    Program,
    add_application,
    arrived,
    tokens_of,
)
from tests.dialects.lightelligence.contract import check_answer
from tests.people import PASSWORD, account, add_person, entry

VERIFIER = secrets.token_urlsafe(48)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


async def let_time_pass(edge: Edge, table: str, column: str, **span: float) -> None:
    """What stands in a column happened so much earlier."""
    async with edge.system_database.tx() as tx:
        await tx.run(f"UPDATE {table} SET {column} = {column} - %s", timedelta(**span))


async def is_good(edge: Edge, tokens: dict[str, Any]) -> bool:
    """Whether an access token lets somebody in."""
    async with entry(edge) as door:
        try:
            await identity.authenticate_bearer(door, await identity.read_access_token(door, tokens["access_token"]))
        except Unauthenticated:
            return False
    return True


async def claims_of(edge: Edge, token: str) -> dict[str, Any]:
    """What a token says, checked with the published keys."""
    keys = (await Program(edge).http.get(f"{CONNECT}/certs")).json()
    return jwt.decode(token, KeySet.import_key_set(keys), algorithms=["RS256"]).claims


async def test_the_answer_has_the_members_of_old_and_new_clients(acme: Tenant) -> None:
    before = time.now()
    answer = await Program(acme.edge).exchange(
        await Browser(acme.edge).code(await add_person(acme), scope="openid email nonsense")
    )
    check_answer("oauthToken", answer)
    told = answer.json()
    assert told.keys() == {
        "access_token", "expires_in", "expires_at", "refresh_expires_in", "refresh_token", "token_type", "id_token",
        "not-before-policy", "session_state", "scope",
    }  # fmt: skip
    assert (told["expires_in"], told["refresh_expires_in"]) == (864_000, 950_400)
    assert (told["token_type"], told["not-before-policy"], told["scope"]) == ("bearer", 0, "openid email")
    assert datetime.fromisoformat(told["expires_at"]) >= before + timedelta(days=10)
    assert answer.headers["cache-control"] == "no-store"
    # Programs with oidc-client take over member by member; the number has to come last.
    assert list(told).index("expires_at") < list(told).index("expires_in")


async def test_an_access_token_says_who_where_and_for_how_long(acme: Tenant) -> None:
    person = await add_person(acme)
    tokens = await tokens_of(acme.edge, person)
    claims = await claims_of(acme.edge, tokens["access_token"])
    assert {name: claims[name] for name in claims.keys() - {"jti", "exp", "iat", "auth_time"}} == {
        "nbf": 0,
        "iss": HOST + REALM,
        "aud": "olt-portal",
        "sub": str(person.id),
        "typ": "Bearer",
        "azp": "olt-portal",
        "session_state": tokens["session_state"],
        "acr": "1",
        "allowed-origins": ["*"],
        "resource_access": {},
        "scope": "openid",
        "tenant": str(acme.organization_id),
    }
    assert claims["exp"] - claims["iat"] == 864_000
    assert claims["auth_time"] <= claims["iat"]
    assert str(UUID(claims["jti"])) == claims["jti"]

    refresh = await claims_of(acme.edge, tokens["refresh_token"])
    assert (refresh["typ"], refresh["exp"] - refresh["iat"]) == ("Refresh", 950_400)
    assert "tenant" not in refresh


async def test_an_id_token_says_who_has_signed_in(acme: Tenant) -> None:
    person = await add_person(acme)
    tokens = await tokens_of(acme.edge, person, nonce="abc")
    claims = await claims_of(acme.edge, tokens["id_token"])
    assert (claims["typ"], claims["aud"], claims["nonce"]) == ("ID", "olt-portal", "abc")
    assert (claims["sub"], claims["email"]) == (str(person.id), person.email)
    assert claims["tenant"] == str(acme.organization_id)
    half = base64.urlsafe_b64encode(hashlib.sha256(tokens["access_token"].encode()).digest()[:16])
    assert claims["at_hash"] == half.rstrip(b"=").decode()


async def test_tokens_can_be_checked_with_the_key_of_the_realm(acme: Tenant) -> None:
    tokens = await tokens_of(acme.edge, await add_person(acme))
    info = await Program(acme.edge).http.get(REALM)
    check_answer("oauthRealmInfo", info)
    pem = f"-----BEGIN PUBLIC KEY-----\n{info.json()['public_key']}\n-----END PUBLIC KEY-----\n"
    key = RSAKey.import_key(pem)
    assert jwt.decode(tokens["access_token"], key, algorithms=["RS256"]).claims["azp"] == "olt-portal"


async def test_somebody_is_described_to_their_program(acme: Tenant) -> None:
    person = await add_person(acme)
    answer = await Program(acme.edge).userinfo((await tokens_of(acme.edge, person))["access_token"])
    check_answer("oauthUserInfo", answer)
    assert answer.json() == {
        "sub": str(person.id),
        "emailVerified": True,
        "name": person.name,
        "preferred_username": person.email,
        "given_name": person.name,
        "family_name": "",
        "email": person.email,
        "twoFactorAuthEnabled": False,
        "tenant": str(acme.organization_id),
    }


async def test_nobody_is_described_to_who_shows_no_good_token(acme: Tenant) -> None:
    tokens = await tokens_of(acme.edge, await add_person(acme))
    program = Program(acme.edge)
    for token in ("nonsense", tokens["refresh_token"], tokens["id_token"], acme.key):
        answer = await program.userinfo(token)
        check_answer("oauthUserInfo", answer)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert (await program.http.get(f"{CONNECT}/userinfo")).status_code == 401


# --- codes -----------------------------------------------------------------------------------------------------------


async def test_a_code_that_comes_again_ends_the_session(acme: Tenant) -> None:
    person, browser, program = await add_person(acme), Browser(acme.edge), Program(acme.edge)
    bystander = await tokens_of(acme.edge, person)
    code = await browser.code(person)
    tokens = (await program.exchange(code)).json()
    assert await is_good(acme.edge, tokens)

    again = await program.exchange(code)
    check_answer("oauthToken", again)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert not await is_good(acme.edge, tokens)
    assert (await program.renew(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert await is_good(acme.edge, bystander)


async def test_a_code_is_good_for_a_minute(acme: Tenant) -> None:
    code = await Browser(acme.edge).code(await add_person(acme))
    await let_time_pass(acme.edge, "authorization_code", "expires_at", seconds=61)
    assert (await Program(acme.edge).exchange(code)).json()["error"] == "invalid_grant"


async def test_a_code_is_good_for_the_program_and_place_it_was_given_for(acme: Tenant) -> None:
    made = await add_application(acme)
    code = await Browser(acme.edge).code(await add_person(acme))
    other = Program(acme.edge, str(made.application.client_id), made.secret)
    assert (await other.exchange(code)).json()["error"] == "invalid_grant"
    mine = Program(acme.edge)
    elsewhere = await mine.exchange(code, redirect_uri="https://app.test/cb?from=here")
    assert elsewhere.json()["error"] == "invalid_grant"
    assert (await mine.exchange(code[:-1] + "x")).json()["error"] == "invalid_grant"
    assert (await mine.exchange(code)).status_code == 200


@pytest.mark.parametrize(
    "asked",
    [
        {"code_challenge": CHALLENGE, "code_challenge_method": "S256"},
        {"code_challenge": VERIFIER, "code_challenge_method": "plain"},
        {"code_challenge": VERIFIER},
    ],
)
async def test_a_code_that_was_asked_for_with_a_challenge_needs_its_verifier(
    acme: Tenant, asked: dict[str, str]
) -> None:
    code, program = await Browser(acme.edge).code(await add_person(acme), **asked), Program(acme.edge)
    for wrong in ({}, {"code_verifier": VERIFIER + "x"}, {"code_verifier": CHALLENGE}):
        assert (await program.exchange(code, **wrong)).json()["error"] == "invalid_grant"
    assert (await program.exchange(code, code_verifier=VERIFIER)).status_code == 200


async def test_a_verifier_without_a_challenge_is_refused(acme: Tenant) -> None:
    code = await Browser(acme.edge).code(await add_person(acme))
    answer = await Program(acme.edge).exchange(code, code_verifier=VERIFIER)
    assert answer.json()["error"] == "invalid_grant"


# --- refresh tokens --------------------------------------------------------------------------------------------------


async def test_tokens_are_renewed_in_the_same_tenant(acme: Tenant) -> None:
    tokens, program = await tokens_of(acme.edge, await add_person(acme)), Program(acme.edge)
    answer = await program.renew(tokens["refresh_token"])
    check_answer("oauthToken", answer)
    renewed = answer.json()
    assert renewed["session_state"] == tokens["session_state"]
    assert renewed["refresh_token"] != tokens["refresh_token"]
    claims = await claims_of(acme.edge, renewed["access_token"])
    assert claims["tenant"] == str(acme.organization_id)
    assert await is_good(acme.edge, renewed)


@pytest.mark.parametrize("header", ["tenant", "X-Requested-With"])
async def test_a_header_leads_into_another_tenant(acme: Tenant, globex: Tenant, header: str) -> None:
    person, program = await add_person(acme), Program(acme.edge)
    tokens = await tokens_of(acme.edge, person)
    wanted = {header: str(globex.organization_id)}
    refused = await program.renew(tokens["refresh_token"], headers=wanted)
    check_answer("oauthToken", refused)
    assert refused.json()["error"] == "invalid_grant"

    await add_person(globex, Role.MEMBER, email=person.email, known=True)
    switched = (await program.renew(tokens["refresh_token"], headers=wanted)).json()
    assert switched["session_state"] == tokens["session_state"]
    assert (await claims_of(acme.edge, switched["access_token"]))["tenant"] == str(globex.organization_id)
    stays = (await program.renew(switched["refresh_token"])).json()
    assert (await claims_of(acme.edge, stays["access_token"]))["tenant"] == str(globex.organization_id)
    assert await is_good(acme.edge, tokens)


async def test_a_header_that_names_no_tenant_is_refused_or_is_none(acme: Tenant) -> None:
    tokens, program = await tokens_of(acme.edge, await add_person(acme)), Program(acme.edge)
    answer = await program.renew(tokens["refresh_token"], headers={"tenant": "acme"})
    assert answer.json()["error"] == "invalid_request"
    answer = await program.renew(tokens["refresh_token"], headers={"X-Requested-With": "XMLHttpRequest"})
    assert answer.status_code == 200


async def test_a_stolen_refresh_token_ends_the_session(acme: Tenant) -> None:
    tokens, program = await tokens_of(acme.edge, await add_person(acme)), Program(acme.edge)
    first = (await program.renew(tokens["refresh_token"])).json()
    # Two tabs of a browser at the same moment.
    assert (await program.renew(tokens["refresh_token"])).status_code == 200
    await let_time_pass(acme.edge, "realm_token", "used_at", seconds=61)
    again = await program.renew(tokens["refresh_token"])
    assert again.json()["error"] == "invalid_grant"
    assert not await is_good(acme.edge, first)
    assert (await program.renew(first["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_program_that_proves_itself_may_keep_its_refresh_token(acme: Tenant) -> None:
    made = await add_application(acme)
    client_id = str(made.application.client_id)
    program = Program(acme.edge, client_id, made.secret)
    code = await Browser(acme.edge).code(await add_person(acme), client_id=client_id)
    tokens = (await program.exchange(code)).json()
    await program.renew(tokens["refresh_token"])
    await let_time_pass(acme.edge, "realm_token", "used_at", seconds=61)
    assert (await program.renew(tokens["refresh_token"])).status_code == 200
    without = Program(acme.edge, client_id)
    assert (await without.renew(tokens["refresh_token"])).json()["error"] == "invalid_client"
    assert (await Program(acme.edge).renew(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_refresh_token_is_good_for_eleven_days_and_renews_the_session(acme: Tenant) -> None:
    tokens, program = await tokens_of(acme.edge, await add_person(acme)), Program(acme.edge)
    for _ in range(2):
        for table in ("realm_session", "realm_token", "session"):
            await let_time_pass(acme.edge, table, "expires_at", days=10)
        tokens = (await program.renew(tokens["refresh_token"])).json()
        assert await is_good(acme.edge, tokens)
    await let_time_pass(acme.edge, "realm_token", "expires_at", days=11)
    assert (await program.renew(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_scopes_can_become_fewer(acme: Tenant) -> None:
    tokens, program = await tokens_of(acme.edge, await add_person(acme), scope="openid email"), Program(acme.edge)
    renewed = (await program.renew(tokens["refresh_token"], scope="email phone")).json()
    assert renewed["scope"] == "email"
    assert "id_token" not in renewed
    assert (await program.renew(renewed["refresh_token"], scope="openid")).json()["error"] == "invalid_scope"


# --- the end of sessions ---------------------------------------------------------------------------------------------


async def test_tokens_are_over_with_the_password(acme: Tenant) -> None:
    person = await add_person(acme)
    browser, program = Browser(acme.edge), Program(acme.edge)
    tokens = (await program.exchange(await browser.code(person))).json()
    async with entry(acme.edge) as door:
        actor = (await identity.authenticate_bearer(
            door, await identity.read_access_token(door, tokens["access_token"])
        )).within_tenant()  # fmt: skip
    other = await tokens_of(acme.edge, person)
    async with account(acme.edge, actor) as own:
        await identity.change_password(own, current=PASSWORD, new="another good one")
    assert await is_good(acme.edge, tokens)
    assert not await is_good(acme.edge, other)
    assert (await program.renew(other["refresh_token"])).json()["error"] == "invalid_grant"


async def test_tokens_for_no_tenant_are_over_with_the_password_too(acme: Tenant) -> None:
    person = await add_person(acme, Role.MEMBER)
    async with acme.work() as work:
        await identity.remove_member(work, person.id)
    tokens = await tokens_of(acme.edge, person)
    assert await is_good(acme.edge, tokens)
    async with entry(acme.edge) as door:
        await identity.set_password(door, email=person.email, password="another good one")
    assert not await is_good(acme.edge, tokens)


async def test_tokens_are_over_with_the_membership(acme: Tenant, globex: Tenant) -> None:
    person, program = await add_person(acme, Role.MEMBER), Program(acme.edge)
    tokens = await tokens_of(acme.edge, person)
    await add_person(globex, Role.MEMBER, email=person.email, known=True)
    switched = (await program.renew(tokens["refresh_token"], headers={"tenant": str(globex.organization_id)})).json()
    async with acme.work() as work:
        await identity.remove_member(work, person.id)
    assert not await is_good(acme.edge, tokens)
    assert await is_good(acme.edge, switched)
    assert (await program.userinfo(tokens["access_token"])).status_code == 401
    back = await program.renew(switched["refresh_token"], headers={"tenant": str(acme.organization_id)})
    assert back.json()["error"] == "invalid_grant"


async def test_a_token_that_has_expired_is_over(acme: Tenant) -> None:
    tokens = await tokens_of(acme.edge, await add_person(acme))
    claims = await claims_of(acme.edge, tokens["access_token"])
    async with entry(acme.edge) as door:
        old = await identity.realm_keys.sign(door.tx, door.ports, {**claims, "exp": claims["iat"] - 60})
    assert not await is_good(acme.edge, {"access_token": old})


# --- applications ----------------------------------------------------------------------------------------------------


async def test_an_application_acts_by_itself_where_it_is_installed(acme: Tenant, globex: Tenant) -> None:
    made = await add_application(acme)
    client_id = str(made.application.client_id)
    program = Program(acme.edge, client_id, made.secret)
    answer = await program.act(acme)
    check_answer("oauthToken", answer)
    assert answer.json()["scope"] == "olt-applications"
    assert "id_token" not in answer.json()
    claims = await claims_of(acme.edge, answer.json()["access_token"])
    assert (claims["clientId"], claims["azp"], claims["tenant"]) == (client_id, client_id, str(acme.organization_id))
    assert {"clientHost", "clientAddress"} <= claims.keys()

    for_none = (await program.act()).json()
    assert "tenant" not in await claims_of(acme.edge, for_none["access_token"])
    elsewhere = await program.act(globex)
    check_answer("oauthToken", elsewhere)
    assert elsewhere.json()["error"] == "invalid_grant"

    renewed = (await program.renew(answer.json()["refresh_token"])).json()
    assert (await claims_of(acme.edge, renewed["access_token"]))["tenant"] == str(acme.organization_id)
    assert (await program.userinfo(renewed["access_token"])).json()["error"] == "insufficient_scope"


async def test_an_application_proves_itself_by_its_secret(acme: Tenant) -> None:
    made = await add_application(acme, public=True)
    client_id, public_id = str(made.application.client_id), str(made.application.public_client_id)
    for program in (
        Program(acme.edge, client_id),
        Program(acme.edge, client_id, "wrong"),
        Program(acme.edge, "nobody", made.secret),
        Program(acme.edge, public_id, made.secret),
        Program(acme.edge, "olt-portal", made.secret),
    ):
        answer = await program.act(acme)
        check_answer("oauthToken", answer)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")
    for program in (Program(acme.edge, public_id), Program(acme.edge)):
        assert (await program.act(acme)).json()["error"] == "unauthorized_client"


async def test_an_application_may_prove_itself_in_a_header(acme: Tenant) -> None:
    made = await add_application(acme)
    client_id, program = str(made.application.client_id), Program(acme.edge)
    asked = {"grant_type": "client_credentials"}
    answer = await program.http.post(f"{CONNECT}/token", data=asked, auth=(client_id, made.secret))
    assert answer.status_code == 200
    wrong = await program.http.post(f"{CONNECT}/token", data=asked, auth=(client_id, "wrong"))
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert wrong.headers["www-authenticate"].startswith("Basic")
    mixed = await program.http.post(
        f"{CONNECT}/token", data={**asked, "client_id": "olt-portal"}, auth=(client_id, made.secret)
    )
    assert mixed.json()["error"] == "invalid_request"


# --- what is no grant ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grant", ["id_token", "password", "urn:ietf:params:oauth:grant-type:device_code"])
async def test_there_are_no_other_grants(acme: Tenant, grant: str) -> None:
    answer = await Program(acme.edge).post("/token", grant_type=grant, id_token="x", username="x", password="x")
    check_answer("oauthToken", answer)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


async def test_parameters_in_the_url_are_not_read(acme: Tenant) -> None:
    code, program = await Browser(acme.edge).code(await add_person(acme)), Program(acme.edge)
    asked = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "client_id": "olt-portal"}
    for answer in (
        await program.http.post(f"{CONNECT}/token", params=asked),
        await program.http.post(f"{CONNECT}/token", params=asked, data={"client_id": "olt-portal"}),
        await program.http.post(f"{CONNECT}/token", json=asked),
        await program.http.post(
            f"{CONNECT}/token",
            content="grant_type=a&grant_type=b",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ),
    ):
        check_answer("oauthToken", answer)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    for missing in ("code", "redirect_uri", "client_id"):
        answer = await program.http.post(f"{CONNECT}/token", data={**asked, missing: ""})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


# --- introspection ---------------------------------------------------------------------------------------------------


async def test_a_program_can_ask_whether_a_token_is_good(acme: Tenant) -> None:
    made = await add_application(acme)
    program = Program(acme.edge, str(made.application.client_id), made.secret)
    person = await add_person(acme, Role.MEMBER)
    tokens = await tokens_of(acme.edge, person)
    told = (await program.post("/token/introspect", token=tokens["access_token"])).json()
    assert (told["active"], told["sub"], told["client_id"]) == (True, str(person.id), "olt-portal")
    assert told["tenant"] == str(acme.organization_id)
    own = (await program.act(acme)).json()
    good = [own["access_token"], own["refresh_token"], tokens["refresh_token"]]
    for token in good:
        assert (await program.post("/token/introspect", token=token)).json()["active"] is True
    for token in ("nonsense", tokens["id_token"], acme.key):
        assert (await program.post("/token/introspect", token=token)).json() == {"active": False}

    async with acme.work() as work:
        await identity.remove_member(work, person.id)
    answer = await program.post("/token/introspect", token=tokens["access_token"])
    assert answer.json() == {"active": False}


async def test_only_a_program_with_a_secret_may_ask_about_tokens(acme: Tenant) -> None:
    tokens = await tokens_of(acme.edge, await add_person(acme))
    answer = await Program(acme.edge).post("/token/introspect", token=tokens["access_token"])
    assert answer.json()["error"] == "unauthorized_client"


async def test_codes_and_tokens_are_kept_as_hashes_only(acme: Tenant) -> None:
    browser, program = Browser(acme.edge), Program(acme.edge)
    answer = await browser.sign_in(await add_person(acme))
    code = arrived(answer)["code"]
    tokens = (await program.exchange(code)).json()
    secrets_ = [code, tokens["access_token"], tokens["refresh_token"], *dict(browser.http.cookies).values()]
    async with acme.edge.system_database.tx() as tx:
        for table in ("realm_session", "authorization_code", "realm_token", "session", "audit_log"):
            rows = await tx.rows(f"SELECT t::text FROM {table} t")
            text = " ".join(row for (row,) in rows)
            for secret in secrets_:
                assert secret not in text
                assert secret.encode().hex() not in text
