"""The way of a browser: sign in, choose a tenant, and back to the program with a code."""

from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from litestar import MediaType, Response, Router, get, post
from litestar.di import Provide

from roadstead.core import identity
from roadstead.core.identity import OpenedSession, RealmSession
from roadstead.core.work import Entry
from roadstead.dialects.lightelligence.identity import pages
from roadstead.dialects.lightelligence.identity.browser import (
    check_own_form,
    find_session,
    keep_session,
    sign_form,
)
from roadstead.dialects.lightelligence.identity.oauth import NO_STORE, OAuthError, read_form, read_pairs, read_query
from roadstead.dialects.lightelligence.identity.wishes import Wish, read_wish
from roadstead.kernel import ids
from roadstead.kernel.errors import Forbidden, RoadsteadError, TooMany, Unauthenticated
from roadstead.web.edge import AnyRequest, Edge, admit_stranger, provide_sign_in


@get("/auth", operation_id="oidcAuthorizeGet")
async def authorize(request: AnyRequest, entry: Entry) -> Response[Any]:
    """To the sign-in page, to the choice of a tenant, or with a code back to the program."""
    wish = await read_wish(request, entry, read_query(request))
    session = await find_session(request, entry)
    if session is None or "login" in wish.prompt or not wish.is_fresh(session):
        return _ask_to_sign_in(request, wish)
    choices = await identity.list_choices(entry, session, wish.client.realm)
    if not choices and wish.client.realm.reach is not None:
        raise wish.refuse("access_denied", "this application is installed in none of your tenants")
    known = [choice.organization_id for choice in choices]
    if "none" in wish.prompt and len(known) > 1:
        if session.organization_id not in known:
            raise wish.refuse("interaction_required", "a tenant has to be chosen")
        return await _finish(request, entry, wish, session, session.organization_id)
    if len(known) > 1 or (known and wish.prompt & {"select_account", "consent"}):
        proof, cookie = sign_form(request)
        page = pages.tenant_page(wish.client.name, choices, {"request": wish.again(), "csrf": proof})
        return pages.answer(page, cookies=[cookie])
    return await _finish(request, entry, wish, session, known[0] if known else None)


@post("/auth", operation_id="oauthAuthorize", status_code=302)
async def begin(request: AnyRequest, entry: Entry) -> Response[Any]:
    """The same with a form: the browser comes again with the parameters in the URL, and then with its cookies."""
    wish = await read_wish(request, entry, await read_form(request))
    return _go("auth?" + wish.again(), status=302)


@post("/sign-in", status_code=303)
async def sign_in(request: AnyRequest, entry: Entry) -> Response[Any]:
    """Password, or the code of a second factor: on with the authorization, or the same page again."""
    edge: Edge = request.app.state.edge
    admit_stranger(request, edge.limits.sign_ins)
    form = await read_form(request)
    check_own_form(request, form)
    wish = await _read_carried(request, entry, form)
    email, proof = form.get("email", ""), form.get("proof", "")
    try:
        if proof:
            opened = await identity.finish_sign_in(entry, proof=proof, code=form.get("code", ""))
        else:
            found = await identity.sign_in_to_realm(entry, email=email, password=form.get("password", ""))
            if not isinstance(found, OpenedSession):
                return _ask_for_code(request, wish, found.proof)
            opened = found
    except (Unauthenticated, TooMany) as error:
        if proof and (isinstance(error, TooMany) or error.code == "otp-required"):
            return _ask_for_code(request, wish, proof, error)
        return _ask_to_sign_in(request, wish, email, error)
    return _go("auth?" + wish.after_sign_in(), status=303, cookies=[keep_session(request, opened.secret)])


@post("/tenant", status_code=303)
async def choose_tenant(request: AnyRequest, entry: Entry) -> Response[Any]:
    """With a code for this tenant back to the program."""
    form = await read_form(request)
    check_own_form(request, form)
    wish = await _read_carried(request, entry, form)
    session = await find_session(request, entry)
    if session is None or not wish.is_fresh(session):
        return _ask_to_sign_in(request, wish)
    organization_id = ids.parse_uuid(form.get("tenant", ""))
    if organization_id is None:
        raise OAuthError("invalid_request", "choose a tenant")
    return await _finish(request, entry, wish, session, organization_id, status=303)


async def _finish(
    request: AnyRequest,
    entry: Entry,
    wish: Wish,
    session: RealmSession,
    organization_id: UUID | None,
    *,
    status: int = 302,
) -> Response[Any]:
    try:
        code = await identity.grant_code(entry, session, wish.asked, organization_id)
    except Unauthenticated:
        return _ask_to_sign_in(request, wish)
    except Forbidden as error:
        raise wish.refuse("access_denied", str(error)) from error
    return wish.to.answer({"code": code, "session_state": str(session.id)}, status=status)


def _ask_to_sign_in(
    request: AnyRequest, wish: Wish, email: str = "", error: RoadsteadError | None = None
) -> Response[Any]:
    if "none" in wish.prompt:
        raise wish.refuse("login_required", "nobody has signed in, or it was too long ago")
    proof, cookie = sign_form(request)
    hidden = {"request": wish.again(), "csrf": proof}
    page = pages.sign_in_page(
        wish.client.name, hidden, email=email or wish.login_hint, problem=_tell(error) if error else ""
    )
    return pages.answer(page, status=_status(error), cookies=[cookie])


def _ask_for_code(request: AnyRequest, wish: Wish, proof: str, error: RoadsteadError | None = None) -> Response[Any]:
    csrf, cookie = sign_form(request)
    page = pages.code_page(
        {"request": wish.again(), "csrf": csrf, "proof": proof}, problem=_tell(error) if error else ""
    )
    return pages.answer(page, status=_status(error), cookies=[cookie])


async def _read_carried(request: AnyRequest, entry: Entry, form: dict[str, str]) -> Wish:
    """What the program has asked for, as our own page has carried it along."""
    return await read_wish(request, entry, read_pairs(parse_qsl(form.get("request", ""))))


def _go(location: str, *, status: int, cookies: Any = ()) -> Response[Any]:
    return Response(
        None,
        status_code=status,
        headers=NO_STORE | {"Location": location},
        cookies=list(cookies),
        media_type=MediaType.TEXT,
    )


def _tell(error: RoadsteadError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + "."


def _status(error: RoadsteadError | None) -> int:
    if error is None:
        return 200
    return 429 if isinstance(error, TooMany) else 401


router = Router(
    "/protocol/openid-connect",
    route_handlers=[
        authorize,
        begin,
        choose_tenant,
        Router("/", route_handlers=[sign_in], dependencies={"entry": Provide(provide_sign_in)}),
    ],
    opt={"page": True},
)
