"""Browsers and programs for tests of the realm: they find their way by what the pages and answers say."""

import copy
import re
from html import unescape
from html.parser import HTMLParser
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
from litestar import Litestar
from litestar.datastructures import State

from roadstead.app.mounts import Mount, Mounts
from roadstead.core import applications
from roadstead.core.applications import ApplicationDraft, NewApplication
from roadstead.core.identity import Permission, Person
from roadstead.dialects.lightelligence import Terms
from roadstead.dialects.lightelligence.app import frame, make_litestar
from roadstead.web.edge import Edge
from tests.conftest import Tenant, app_of
from tests.people import PASSWORD

HOST = "http://id.olt.test"
REALM = "/v1/id/auth/realms/olt"
CONNECT = f"{REALM}/protocol/openid-connect"
CALLBACK = "https://app.test/callback"
PORTAL = {"client_id": "olt-portal", "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid"}
TERMS = Terms(identity_url=HOST, portal_redirect_uris=(CALLBACK, "https://app.test/cb?from=here"))


def platform_of(edge: Edge, terms: Terms = TERMS) -> Any:
    """The dialect where programs find it: below its path, and under a host name of its own."""
    if not _pattern:
        _pattern.append(make_litestar(edge))
    app = copy.copy(_pattern[0])
    app.state = State({"edge": edge, "terms": terms})
    return Mounts(app_of(edge), [Mount("/lightelligence", frozenset({"id.olt.test"}), frame(app, edge))])


_pattern: list[Litestar] = []


class Form(HTMLParser):
    """The form of a page."""

    def __init__(self, page: httpx.Response) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.buttons: dict[str, tuple[str, str]] = {}
        self._button: tuple[str, str] | None = None
        self.feed(page.text)
        self.url = urljoin(str(page.url), self.action)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Fields with what is in them; buttons by what is on them."""
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = told["action"]
        if tag == "input":
            self.fields[told["name"]] = told.get("value", "")
        if tag == "button":
            self._button = (told.get("name", ""), told.get("value", ""))

    def handle_data(self, data: str) -> None:
        """What is on a button."""
        if self._button is not None and data.strip():
            self.buttons[data.strip()], self._button = self._button, None


class Browser:
    """Keeps cookies, follows redirects within the realm, and stops where it is sent to a program."""

    def __init__(self, edge: Edge, *, base: str = HOST, terms: Terms = TERMS) -> None:
        transport = httpx.ASGITransport(platform_of(edge, terms))
        self.http = httpx.AsyncClient(transport=transport, base_url=base, headers={"Accept": "text/html"})

    @classmethod
    def over(cls, url: str) -> Self:
        """One that goes over the network."""
        browser = cls.__new__(cls)
        browser.http = httpx.AsyncClient(base_url=url, headers={"Accept": "text/html"})
        return browser

    async def open(self, url: str, **params: str) -> httpx.Response:
        """A page."""
        return await self._follow(await self.http.get(url + ("?" + urlencode(params) if params else "")))

    async def authorize(self, **changed: str | None) -> httpx.Response:
        """What a program sends a browser to."""
        asked = {name: value for name, value in {**PORTAL, **changed}.items() if value is not None}
        return await self.open(f"{CONNECT}/auth", **asked)

    async def fill(self, page: httpx.Response, *, press: str = "", **typed: str) -> httpx.Response:
        """Send the form of a page, by the button that is named."""
        form = Form(page)
        name, value = form.buttons[press] if press else ("", "")
        pressed = {name: value} if name else {}
        return await self._follow(await self.http.post(form.url, data={**form.fields, **typed, **pressed}))

    async def sign_in(self, person: Person, **changed: str | None) -> httpx.Response:
        """To where somebody is when they have signed in with their password."""
        return await self.fill(await self.authorize(**changed), email=person.email, password=PASSWORD)

    async def code(self, person: Person, **changed: str | None) -> str:
        """What a program gets for somebody with one tenant."""
        return arrived(await self.sign_in(person, **changed))["code"]

    async def _follow(self, answer: httpx.Response) -> httpx.Response:
        while answer.is_redirect:
            url = urljoin(str(answer.url), answer.headers["location"])
            if urlsplit(url).netloc != urlsplit(str(self.http.base_url)).netloc:
                break
            answer = await self.http.get(url)
        return answer


def arrived(answer: httpx.Response) -> dict[str, str]:
    """What a program reads from the URL that a browser brings."""
    assert answer.is_redirect, f"{answer.status_code}: {title_of(answer)} {answer.text[-600:]}"
    parts = urlsplit(answer.headers["location"])
    return {name: values[0] for name, values in parse_qs(parts.query or parts.fragment).items()}


def title_of(page: httpx.Response) -> str:
    """What a page is called."""
    found = re.search(r"<title>(.*?)</title>", page.text)
    return unescape(found[1]) if found else ""


class Program:
    """Asks the realm for tokens."""

    def __init__(self, edge: Edge, client_id: str = "olt-portal", secret: str = "") -> None:
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(platform_of(edge)), base_url=HOST)
        self.named = {"client_id": client_id} | ({"client_secret": secret} if secret else {})

    async def post(self, path: str, *, headers: dict[str, str] | None = None, **form: str) -> httpx.Response:
        """A form, with the name and secret of the program."""
        return await self.http.post(f"{CONNECT}{path}", data={**self.named, **form}, headers=headers)

    async def exchange(self, code: str, **form: str) -> httpx.Response:
        """Tokens for a code."""
        asked = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, **form}
        return await self.http.post(f"{CONNECT}/token", data={**self.named, **asked})

    async def renew(self, refresh_token: str, *, headers: dict[str, str] | None = None, **form: str) -> httpx.Response:
        """Tokens for a refresh token."""
        return await self.post(
            "/token", headers=headers, grant_type="refresh_token", refresh_token=refresh_token, **form
        )

    async def act(self, tenant: Tenant | None = None) -> httpx.Response:
        """Tokens of an application by itself."""
        headers = {"tenant": str(tenant.organization_id)} if tenant else {}
        return await self.post("/token", headers=headers, grant_type="client_credentials")

    async def userinfo(self, access_token: str) -> httpx.Response:
        """Whose token it is."""
        return await self.http.get(f"{CONNECT}/userinfo", headers={"Authorization": f"Bearer {access_token}"})


async def tokens_of(edge: Edge, person: Person, **asked: str | None) -> dict[str, Any]:
    """What the built-in client gets for somebody with one tenant."""
    answer = await Program(edge).exchange(await Browser(edge).code(person, **asked))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def add_application(tenant: Tenant, *, public: bool = False) -> NewApplication:
    """An application that its own tenant has installed."""
    draft = ApplicationDraft(
        name="pump watch",
        with_public_client=public,
        redirect_uris=[CALLBACK],
        client_permissions=[Permission.DEVICES_BASE_DATA_READ],
        user_permissions=[Permission.DEVICES_BASE_DATA_READ],
    )
    async with tenant.work() as work:
        return await applications.create_own_application(work, draft)
