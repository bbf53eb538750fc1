"""/auth over HTTP."""

import re

import httpx
import pyotp
import structlog.testing

from roadstead.kernel import time
from roadstead.kernel.actor import Grant, Role
from tests.conftest import Postbox, Tenant
from tests.people import PASSWORD, add_person, client_of, person_client, sign_in

NEW = "a much better password"


async def login(tenant: Tenant, email: str, password: str = PASSWORD, **more: str) -> httpx.Response:
    return await tenant.client().post("/api/v1/auth/login", json={"email": email, "password": password, **more})


async def test_a_session_is_what_the_contract_says(acme: Tenant) -> None:
    person = await add_person(acme)
    answer = await login(acme, person.email)
    session = answer.json()

    assert answer.status_code == 200
    assert session.keys() == {"accessToken", "tokenType", "expiresIn", "refreshToken", "user", "organization"}
    assert (session["tokenType"], session["expiresIn"]) == ("Bearer", 900)
    assert session["user"] == {"id": str(person.id), "email": person.email, "name": person.name}
    assert session["organization"]["slug"] == acme.slug


async def test_a_failed_login_tells_nothing_and_ten_lock_with_a_time_to_come_back(acme: Tenant) -> None:
    person = await add_person(acme)
    wrong, unknown = await login(acme, person.email, "wrong"), await login(acme, "nobody@nowhere.test", "wrong")
    told = [{**answer.json(), "requestId": ""} for answer in (wrong, unknown)]
    assert wrong.status_code == 401 and told[0] == told[1]
    assert wrong.headers["www-authenticate"].startswith("Bearer")

    answers = [await login(acme, person.email, "wrong") for _ in range(10)]
    assert [answer.status_code for answer in answers] == [401] * 9 + [429]
    assert answers[-1].json()["code"] == "rate-limited" and 0 < int(answers[-1].headers["retry-after"]) <= 900


async def test_login_asks_for_the_second_factor(acme: Tenant) -> None:
    person, me = await person_client(acme)
    begun = (await me.post("/api/v1/auth/totp", json={"password": PASSWORD})).json()
    app = pyotp.TOTP(begun["secret"])
    assert begun["uri"].startswith("otpauth://totp/Roadstead:") and begun["secret"] in begun["uri"]
    confirmed = await me.post("/api/v1/auth/totp/confirm", json={"otp": app.at(time.now())})
    codes = confirmed.json()["recoveryCodes"]

    asked = await login(acme, person.email)
    assert (asked.status_code, asked.json()["code"]) == (401, "otp-required")
    assert (await login(acme, person.email, otp=codes[0])).status_code == 200
    assert (await me.get("/api/v1/auth/me")).json()["secondFactor"] is True
    removed = await me.request("DELETE", "/api/v1/auth/totp", json={"password": PASSWORD, "otp": codes[1]})
    assert removed.status_code == 204
    assert (await login(acme, person.email)).status_code == 200


async def test_refresh_and_logout(acme: Tenant) -> None:
    first = (await login(acme, (await add_person(acme)).email)).json()
    second = (await acme.client().post("/api/v1/auth/refresh", json={"refreshToken": first["refreshToken"]})).json()
    me = acme.client(second["accessToken"])
    assert (await me.get("/api/v1/auth/me")).status_code == 200

    out = await acme.client().post("/api/v1/auth/logout", json={"refreshToken": second["refreshToken"]})
    assert (out.status_code, out.content) == (204, b"")
    assert (await me.get("/api/v1/auth/me")).status_code == 401
    again = await acme.client().post("/api/v1/auth/refresh", json={"refreshToken": second["refreshToken"]})
    assert (again.status_code, again.json()["code"]) == (401, "unauthenticated")


async def test_me_is_a_person_or_a_key(acme: Tenant) -> None:
    person, me = await person_client(acme, Role.MEMBER)
    as_person, as_key = (await me.get("/api/v1/auth/me")).json(), (await acme.api.get("/api/v1/auth/me")).json()

    assert (as_person["kind"], as_person["id"], as_person["email"]) == ("USER", str(person.id), person.email)
    assert (as_person["role"], "members:write" in as_person["scopes"]) == ("MEMBER", False)
    assert (as_key["kind"], set(as_key["scopes"])) == ("API_KEY", set(Grant))
    assert as_key.keys() == {"kind", "id", "name", "organizationId", "scopes"}


async def test_me_changes_field_by_field_and_names_what_is_wrong(acme: Tenant) -> None:
    _, me = await person_client(acme)
    changed = await me.patch("/api/v1/auth/me", json={"name": "Ada", "timeZone": "Europe/Zurich"})
    cleared = await me.patch("/api/v1/auth/me", json={"timeZone": None, "preferences": {"mail": False}})
    assert (changed.json()["name"], changed.json()["timeZone"]) == ("Ada", "Europe/Zurich")
    assert cleared.json()["preferences"] == {"mail": False} and "timeZone" not in cleared.json()

    for body, pointer in (({"timeZone": "Mars"}, "/timeZone"), ({"name": ""}, "/name"), ({"email": "x@y"}, "/email")):
        refused = await me.patch("/api/v1/auth/me", json=body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_keys_have_no_account(acme: Tenant) -> None:
    for method, path, body in (
        ("PATCH", "/api/v1/auth/me", {"name": "x"}),
        ("POST", "/api/v1/auth/password", {"currentPassword": "x", "newPassword": NEW}),
        ("POST", "/api/v1/auth/totp", {"password": "x"}),
        ("GET", "/api/v1/organizations", None),
    ):
        assert (await acme.api.request(method, path, json=body)).status_code == 403


async def test_switching_organizations(acme: Tenant, globex: Tenant) -> None:
    person, me = await person_client(acme)
    for foreign in (str(globex.organization_id), "not-an-id"):
        refused = await me.post("/api/v1/auth/switch-organization", json={"organizationId": foreign})
        assert refused.status_code == 403
    await add_person(globex, Role.MEMBER, email=person.email, known=True)

    body = {"organizationId": str(globex.organization_id)}
    there = (await me.post("/api/v1/auth/switch-organization", json=body)).json()
    assert (await acme.client(there["accessToken"]).get("/api/v1/organizations/current")).json()["slug"] == globex.slug


async def test_a_changed_password_ends_other_sessions(acme: Tenant) -> None:
    person, me = await person_client(acme)
    other = client_of(acme, await sign_in(acme, person))
    wrong = await me.post("/api/v1/auth/password", json={"currentPassword": "x", "newPassword": NEW})
    short = await me.post("/api/v1/auth/password", json={"currentPassword": PASSWORD, "newPassword": "x"})
    assert (wrong.status_code, short.status_code) == (401, 422)

    done = await me.post("/api/v1/auth/password", json={"currentPassword": PASSWORD, "newPassword": NEW})
    assert done.status_code == 204
    assert [(await each.get("/api/v1/auth/me")).status_code for each in (me, other)] == [200, 401]


async def test_a_forgotten_password_is_set_with_a_mailed_token(acme: Tenant, postbox: Postbox) -> None:
    person = await add_person(acme)
    before = len(postbox.mails)
    for email in (person.email, f"nobody@{acme.slug}.test"):
        answer = await acme.client().post("/api/v1/auth/password/forgot", json={"email": email})
        assert (answer.status_code, answer.content) == (202, b"")
    assert len(postbox.mails) == before + 1

    token = re.findall(r"\b[0-9A-Za-z]{43}\b", postbox.newest(person.email).text)[0]
    body = {"token": token, "newPassword": NEW}
    assert (await acme.client().post("/api/v1/auth/password/reset", json=body)).status_code == 204
    again = await acme.client().post("/api/v1/auth/password/reset", json=body)
    assert (again.status_code, again.json()["code"]) == (410, "gone")
    assert (await login(acme, person.email, NEW)).status_code == 200


async def test_public_keys_are_at_their_place_for_everyone(acme: Tenant) -> None:
    await sign_in(acme, await add_person(acme))
    answer = await acme.client().get("/api/.well-known/jwks.json")
    assert answer.json()["keys"][0].keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert "max-age" in answer.headers["cache-control"]


async def test_secrets_do_not_reach_the_log(acme: Tenant) -> None:
    with structlog.testing.capture_logs() as lines:
        await acme.client().post(f"/api/v1/invitations/{'x' * 43}/accept", json={})
        session = (await login(acme, (await add_person(acme)).email)).json()
        await acme.client(session["accessToken"]).get("/api/v1/auth/me")
    text = str(lines)
    assert "/accept" in text
    for secret in ("x" * 43, PASSWORD, session["accessToken"], session["refreshToken"]):
        assert secret not in text
