"""How people get through the pages of the realm, and what is refused there."""

import re
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from roadstead.core import identity
from roadstead.dialects.lightelligence import Terms
from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.web.limits import Limits
from tests.conftest import Tenant
from tests.core.identity.test_totp import let_step_pass, turn_on
from tests.dialects.lightelligence.browsers import (
    CALLBACK,
    CONNECT,
    HOST,
    PORTAL,
    REALM,
    Browser,
    Form,
    Program,
    add_application,
    arrived,
    title_of,
    tokens_of,
)
from tests.dialects.lightelligence.contract import check_answer
from tests.people import PASSWORD, add_person, entry

ELSEWHERE = "https://evil.test/callback"


async def join(tenant: Tenant, person: identity.Person) -> None:
    """Somebody we know becomes a member of another tenant."""
    await add_person(tenant, Role.MEMBER, email=person.email, known=True)


async def leave(tenant: Tenant, person: identity.Person) -> None:
    """They are a member no longer."""
    async with tenant.work() as work:
        await identity.remove_member(work, person.id)


async def test_somebody_signs_in_and_comes_back_with_a_code(acme: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    page = await browser.authorize(state="x y&z")
    assert (page.status_code, title_of(page)) == (200, "Sign in")

    answer = await browser.fill(page, email=person.email.upper(), password=PASSWORD)
    assert answer.headers["location"].startswith(CALLBACK + "?")
    told = arrived(answer)
    assert told.keys() == {"code", "session_state", "state"}
    assert told["state"] == "x y&z"
    assert (await Program(acme.edge).exchange(told["code"])).status_code == 200


async def test_the_answer_comes_where_the_program_wants_it(acme: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    fragment = await browser.sign_in(person, response_mode="fragment")
    assert "?" not in fragment.headers["location"]
    assert arrived(fragment).keys() == {"code", "session_state"}

    with_query = await browser.authorize(redirect_uri="https://app.test/cb?from=here")
    assert with_query.headers["location"].startswith("https://app.test/cb?from=here&code=")

    page = await browser.authorize(response_mode="form_post", nonce="n", state='"><script>alert(1)</script>')
    form = Form(page)
    assert form.action == CALLBACK
    assert form.fields.keys() == {"code", "session_state", "state"}
    assert form.fields["state"] == '"><script>alert(1)</script>'
    assert form.buttons.keys() == {"Go on"}
    assert (await Program(acme.edge).exchange(form.fields["code"])).status_code == 200


async def test_a_form_of_a_program_leads_to_the_same_pages(acme: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    answer = await browser.http.post(f"{CONNECT}/auth", data={**PORTAL, "response_mode": "query"})
    check_answer("oauthAuthorize", answer)
    page = await browser.open(str(answer.url.join(answer.headers["location"])))
    assert title_of(page) == "Sign in"
    assert "code" in arrived(await browser.fill(page, email=person.email, password=PASSWORD))


async def test_a_wrong_password_and_an_unknown_address_are_told_alike(acme: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    wrong = await browser.fill(await browser.authorize(), email=person.email, password="not mine at all")
    unknown = await browser.fill(await browser.authorize(), email="nobody@acme.test", password="not mine at all")
    for answer, email in ((wrong, person.email), (unknown, "nobody@acme.test")):
        assert answer.status_code == 401
        assert "E-mail address or password is wrong." in answer.text
        assert 'role="alert"' in answer.text
        assert Form(answer).fields["email"] == email
        assert "not mine at all" not in answer.text
    again = await browser.fill(wrong, email=person.email, password=PASSWORD)
    assert "code" in arrived(again)


async def test_guessing_is_slowed_down(acme: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    page = await browser.authorize()
    for _ in range(10):
        assert (await browser.fill(page, email=person.email, password="a guess of mine")).status_code == 401
    assert (await browser.fill(page, email=person.email, password=PASSWORD)).status_code == 429


async def test_who_has_a_second_factor_is_asked_for_its_code(acme: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    app, recovery = await turn_on(acme, person)
    await let_step_pass(acme)

    page = await browser.sign_in(person)
    assert (page.status_code, title_of(page)) == (200, "Second factor")
    wrong = await browser.fill(page, code="000000")
    assert (wrong.status_code, title_of(wrong)) == (401, "Second factor")
    assert "code" in arrived(await browser.fill(wrong, code=app.at(time.now())))

    other = Browser(acme.edge)
    assert "code" in arrived(await other.fill(await other.sign_in(person), code=recovery[0]))


async def test_half_a_sign_in_is_worth_nothing_after_the_password_was_changed(acme: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    app, _ = await turn_on(acme, person)
    await let_step_pass(acme)
    page = await browser.sign_in(person)
    async with entry(acme.edge) as door:
        await identity.set_password(door, email=person.email, password="another good one")

    answer = await browser.fill(page, code=app.at(time.now()))
    assert (answer.status_code, title_of(answer)) == (401, "Sign in")


async def test_an_access_token_is_no_half_of_a_sign_in(acme: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    tokens = await tokens_of(acme.edge, person)
    page = await browser.authorize()
    for proof in (tokens["access_token"], tokens["id_token"], "nonsense"):
        answer = await browser.fill(page, proof=proof, code="123456")
        assert (answer.status_code, title_of(answer)) == (401, "Sign in")


async def test_who_has_several_tenants_chooses_one_each_time(acme: Tenant, globex: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    await join(globex, person)
    page = await browser.sign_in(person)
    assert title_of(page) == "Choose a tenant"
    assert list(Form(page).buttons) == ["Acme", "Globex"]

    for name, tenant in (("Globex", globex), ("Acme", acme)):
        page = await browser.authorize()
        told = arrived(await browser.fill(page, press=name))
        tokens = (await Program(acme.edge).exchange(told["code"])).json()
        info = (await Program(acme.edge).userinfo(tokens["access_token"])).json()
        assert info["tenant"] == str(tenant.organization_id)


async def test_nobody_enters_a_tenant_that_is_not_theirs(acme: Tenant, globex: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    page = await browser.fill(await browser.authorize(prompt="select_account"), email=person.email, password=PASSWORD)
    assert list(Form(page).buttons) == ["Acme"]
    refused = arrived(await browser.fill(page, tenant=str(globex.organization_id)))
    assert refused["error"] == "access_denied"
    assert (await browser.fill(page, tenant="nonsense")).status_code == 400


async def test_who_has_no_tenant_gets_tokens_for_none(acme: Tenant) -> None:
    person, other = await add_person(acme), await add_person(acme)
    await leave(acme, person)
    tokens = await tokens_of(acme.edge, person)
    info = await Program(acme.edge).userinfo(tokens["access_token"])
    check_answer("oauthUserInfo", info)
    assert info.json()["sub"] == str(person.id)
    assert "tenant" not in info.json()
    assert "tenant" in (await Program(acme.edge).userinfo((await tokens_of(acme.edge, other))["access_token"])).json()


async def test_who_has_signed_in_is_not_asked_again(acme: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    first = arrived(await browser.sign_in(person))
    second = arrived(await browser.authorize())
    assert second["session_state"] == first["session_state"]
    assert second["code"] != first["code"]
    assert arrived(await browser.authorize(prompt="none"))["session_state"] == first["session_state"]
    assert title_of(await Browser(acme.edge).authorize()) == "Sign in"


async def test_a_program_can_have_somebody_sign_in_anew(acme: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    for asked in ({"prompt": "login"}, {"max_age": "0"}):
        await browser.sign_in(person)
        page = await browser.authorize(**asked)
        assert title_of(page) == "Sign in"
        assert "code" in arrived(await browser.fill(page, email=person.email, password=PASSWORD))
    assert "code" in arrived(await browser.authorize(max_age="3600"))


async def test_a_program_that_wants_no_page_gets_none(acme: Tenant, globex: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    assert arrived(await browser.authorize(prompt="none", state="s")) == {
        "error": "login_required",
        "error_description": "nobody has signed in, or it was too long ago",
        "state": "s",
    }
    await join(globex, person)
    page = await browser.sign_in(person)
    assert arrived(await browser.authorize(prompt="none"))["error"] == "interaction_required"
    await browser.fill(page, press="Globex")
    told = arrived(await browser.authorize(prompt="none"))
    tokens = (await Program(acme.edge).exchange(told["code"])).json()
    info = (await Program(acme.edge).userinfo(tokens["access_token"])).json()
    assert info["tenant"] == str(globex.organization_id)


async def test_a_member_who_came_back_signs_in_again(acme: Tenant, globex: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    await join(globex, person)
    await browser.fill(await browser.sign_in(person), press="Globex")
    await leave(globex, person)
    await join(globex, person)
    page = await browser.fill(await browser.authorize(), press="Globex")
    assert title_of(page) == "Sign in"
    page = await browser.fill(page, email=person.email, password=PASSWORD)
    assert "code" in arrived(await browser.fill(page, press="Globex"))


async def test_people_enter_where_an_application_is_installed(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    await join(globex, person)
    application = (await add_application(globex, public=True)).application
    client_id = str(application.public_client_id)
    told = arrived(await Browser(acme.edge).sign_in(person, client_id=client_id))
    tokens = (await Program(acme.edge, client_id).exchange(told["code"])).json()
    info = (await Program(acme.edge).userinfo(tokens["access_token"])).json()
    assert info["tenant"] == str(globex.organization_id)

    stranger = await add_person(acme)
    refused = arrived(await Browser(acme.edge).sign_in(stranger, client_id=client_id))
    assert refused["error"] == "access_denied"


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "nobody"},
        {"client_id": None},
        {"redirect_uri": ELSEWHERE},
        {"redirect_uri": None},
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": CALLBACK + "?x=1"},
    ],
)
async def test_nobody_is_sent_where_a_program_is_not_at_home(acme: Tenant, changed: dict[str, str | None]) -> None:
    page = await Browser(acme.edge).authorize(**changed)
    assert (page.status_code, title_of(page)) == (400, "That did not work")
    assert "location" not in page.headers
    asked = {name: value for name, value in {**PORTAL, **changed}.items() if value is not None}
    answer = await Program(acme.edge).http.post(f"{CONNECT}/auth", data=asked)
    assert answer.status_code == 400
    check_answer("oauthAuthorize", answer)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "id_token token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"response_mode": "web_message"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "a" * 43, "code_challenge_method": "S512"}, "invalid_request"),
        ({"code_challenge_method": "S256"}, "invalid_request"),
        ({"request": "e30.e30."}, "request_not_supported"),
        ({"request_uri": "https://app.test/r"}, "request_uri_not_supported"),
    ],
)
async def test_what_a_program_asks_for_must_make_sense(
    acme: Tenant, changed: dict[str, str | None], error: str
) -> None:
    answer = await Browser(acme.edge).authorize(state="s", **changed)
    if changed == {"response_mode": "form_post"}:
        assert Form(answer).fields["error"] == error
        return
    told = arrived(answer)
    assert (told["error"], told["state"]) == (error, "s")
    assert told["error_description"]


async def test_what_is_sent_twice_is_refused(acme: Tenant) -> None:
    answer = await Browser(acme.edge).open(f"{CONNECT}/auth?client_id=olt-portal&client_id=other")
    assert answer.status_code == 400


async def test_a_form_that_is_not_from_our_page_is_refused(acme: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    page = await browser.authorize()
    form = Form(page)
    typed = {**form.fields, "email": person.email, "password": PASSWORD}

    stranger = Browser(acme.edge)
    assert (await stranger.http.post(form.url, data=typed)).status_code == 403
    await stranger.authorize()
    assert (await stranger.http.post(form.url, data=typed)).status_code == 403
    assert (await browser.http.post(form.url, data={**typed, "csrf": ""})).status_code == 403
    assert (await browser.http.post(form.url, data=typed)).status_code == 303


async def test_no_script_and_nothing_of_others_runs_in_our_pages(acme: Tenant) -> None:
    person, browser = await add_person(acme), Browser(acme.edge)
    evil = '"><script>alert(1)</script>'
    first = await browser.authorize(login_hint=evil, state=evil)
    assert Form(first).fields["email"] == evil
    wrong = await browser.fill(first, email=evil, password="x")
    asks = await browser.fill(await browser.authorize(prompt="select_account"), email=person.email, password=PASSWORD)
    carries = await browser.authorize(response_mode="form_post", nonce="n", state=evil)
    failed = await browser.authorize(client_id=evil)
    for page in (first, wrong, asks, carries, failed):
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=", page.text), page.text
        assert ("frame-ancestors 'none'" in policy) == (page is not carries)
        assert page.headers["cache-control"] == "no-store"
        for path in re.findall(r'(?:href|src)="([^"]+)"', page.text):
            found = await browser.http.get(page.url.join(path))
            assert found.status_code == 200, path
            assert found.headers["x-content-type-options"] == "nosniff"
    assert (await browser.http.get(f"{REALM}/resources/routes.py")).status_code == 404


async def test_what_the_browser_keeps_is_kept_from_others(acme: Tenant) -> None:
    person = await add_person(acme)

    async def cookies_of(browser: Browser) -> list[str]:
        page = await browser.authorize()
        form = Form(page)
        signed_in = await browser.http.post(form.url, data={**form.fields, "email": person.email, "password": PASSWORD})
        return [*page.headers.get_list("set-cookie"), *signed_in.headers.get_list("set-cookie")]

    plain = await cookies_of(Browser(acme.edge))
    assert len(plain) == 2
    assert all("HttpOnly" in one and "SameSite=lax" in one and "Secure" not in one for one in plain)
    https = Terms(identity_url=HOST.replace("http:", "https:"), portal_redirect_uris=(CALLBACK,))
    secured = await cookies_of(Browser(acme.edge, base=https.identity_url, terms=https))
    assert all("HttpOnly" in one and "Secure" in one for one in secured)


async def test_a_suspended_tenant_cannot_be_entered(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    await join(globex, person)
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE tenant SET status = 'SUSPENDED' WHERE tenant_id = %s", globex.tenant_id)
    tokens = await tokens_of(acme.edge, person)
    info = (await Program(acme.edge).userinfo(tokens["access_token"])).json()
    assert info["tenant"] == str(acme.organization_id)


async def test_sign_ins_are_limited_by_address(acme: Tenant) -> None:
    edge = msgspec.structs.replace(acme.edge, limits=Limits(sign_ins_per_minute=2))
    browser = Browser(edge)
    page = await browser.authorize()
    answers: list[httpx.Response] = [await browser.fill(page, email="a@b.test", password="x") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert int(answers[2].headers["retry-after"]) > 0
    assert urlsplit(str(answers[2].url)).path.endswith("/sign-in")
