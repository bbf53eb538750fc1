"""Signing out, and whether somebody is still signed in."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from litestar import MediaType, Response, get, post

from roadstead.core import identity
from roadstead.core.identity import Hint
from roadstead.core.work import Entry
from roadstead.dialects.lightelligence.identity import pages
from roadstead.dialects.lightelligence.identity.browser import find_session, forget_session, is_own_form, sign_form
from roadstead.dialects.lightelligence.identity.oauth import (
    NO_STORE,
    KnownClient,
    OAuthError,
    find_client,
    read_form,
    read_query,
)
from roadstead.kernel import ids
from roadstead.web.edge import AnyRequest


class StatusShape(msgspec.Struct, frozen=True):
    """What our script in the frame asks."""

    open: bool


@get("/logout", operation_id="oidcLogout", opt={"page": True})
async def get_logout(request: AnyRequest, entry: Entry) -> Response[Any]:
    """Ends the session and goes back to the program; without an id token people are asked whether they mean it."""
    return await _sign_out(request, entry, read_query(request), confirmed=False)


@post("/logout", status_code=200, opt={"page": True})
async def post_logout(request: AnyRequest, entry: Entry) -> Response[Any]:
    """The same with a form: of a program, or of the page that asks."""
    form = await read_form(request)
    return await _sign_out(request, entry, form, confirmed=is_own_form(request, form))


@get("/login-status-iframe.html", operation_id="oidcSessionIframe")
async def get_status_page() -> Response[str]:
    """For programs to put into a frame: it answers whether the session they name is still open."""
    return pages.answer(pages.login_status_page(), is_framed=True)


@get("/login-status")
async def get_status(request: AnyRequest, entry: Entry) -> Response[StatusShape]:
    """Whether a session is still open."""
    session = ids.parse_uuid(read_query(request).get("session_state", ""))
    is_open = session is not None and await identity.is_realm_session_open(entry, session)
    return Response(StatusShape(is_open), headers=NO_STORE)


async def _sign_out(request: AnyRequest, entry: Entry, sent: Mapping[str, str], *, confirmed: bool) -> Response[Any]:
    hint = await identity.read_hint(entry, sent["id_token_hint"]) if "id_token_hint" in sent else None
    location = await _find_way_back(request, entry, sent, hint)
    session = await find_session(request, entry)
    if session is not None and hint is None and not confirmed:
        csrf, cookie = sign_form(request)
        carried = {name: value for name, value in sent.items() if name != "csrf"}
        return pages.answer(pages.sign_out_page(carried | {"csrf": csrf}), cookies=[cookie])
    if hint is not None:
        await identity.end_realm_session(entry, hint.session_id)
    # A program signs out its own person only, whoever has signed in with this browser since.
    if session is not None and (hint is None or hint.person_id == session.person_id):
        await identity.end_realm_session(entry, session.id)
    forget = [forget_session(request)]
    if location is None:
        return pages.answer(pages.signed_out_page(), cookies=forget)
    headers = NO_STORE | {"Location": location}
    return Response(None, status_code=302, headers=headers, cookies=forget, media_type=MediaType.TEXT)


async def _find_way_back(request: AnyRequest, entry: Entry, sent: Mapping[str, str], hint: Hint | None) -> str | None:
    """Where the program wants the browser afterwards. Raises `OAuthError` when that is not a place of its own."""
    client_id = sent.get("client_id") or (hint.client_id if hint else None)
    if hint is not None and client_id != hint.client_id:
        raise OAuthError("invalid_request", "id_token_hint was given to another client")
    wanted = sent.get("post_logout_redirect_uri")
    if wanted is None:
        return None
    client = await find_client(request, entry, client_id) if client_id else None
    if client is None:
        raise OAuthError("invalid_request", "post_logout_redirect_uri needs id_token_hint or client_id")
    if not _is_place_of(client, wanted):
        raise OAuthError("invalid_request", "post_logout_redirect_uri is not a place of this client")
    state = {"state": sent["state"]} if "state" in sent else {}
    return wanted + (("&" if "?" in wanted else "?") + urlencode(state) if state else "")


def _is_place_of(client: KnownClient, uri: str) -> bool:
    """One that is registered, or the bare origin of one: that is where programs in browsers go."""
    registered = [urlsplit(one) for one in client.realm.redirect_uris]
    origins = {f"{parts.scheme}://{parts.netloc}" for parts in registered if parts.netloc}
    return uri in client.realm.redirect_uris or uri.removesuffix("/") in origins
