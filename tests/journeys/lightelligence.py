"""Programs of the Lightelligence dialect on a started platform: they sign in as the original's did."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import httpx

from tests.dialects.lightelligence.browsers import CALLBACK, CONNECT, Browser, arrived
from tests.platform import Platform


async def sign_in(platform: Platform, person: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The tokens that somebody gets through pages, as a browser would; the first owner if nobody is named."""
    owner = person or platform.credentials
    browser = Browser.over(f"{platform.url}/lightelligence")
    page = await browser.authorize()
    answer = await browser.fill(page, email=owner["email"], password=owner["password"])
    if not answer.is_redirect:
        # They are at home in several tenants by now.
        answer = await browser.fill(answer, press="My organization")
    code = arrived(answer)["code"]
    form = {"grant_type": "authorization_code", "client_id": "olt-portal", "code": code, "redirect_uri": CALLBACK}
    async with httpx.AsyncClient() as program:
        exchanged = await program.post(f"{platform.url}/lightelligence{CONNECT}/token", data=form)
    assert exchanged.status_code == 200, exchanged.text
    tokens: dict[str, Any] = exchanged.json()
    return tokens


def claims_of(token: str) -> dict[str, Any]:
    """What a token says; nobody checks it here."""
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims
