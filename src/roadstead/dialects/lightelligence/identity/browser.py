"""What a browser carries: the secret of its session, and one that shows that a form is from a page of ours."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping

from litestar.datastructures import Cookie

from roadstead.core import identity
from roadstead.core.identity import RealmSession
from roadstead.core.work import Entry
from roadstead.dialects.lightelligence.identity.oauth import OAuthError, is_secure
from roadstead.web.edge import AnyRequest

_SESSION = "olt_session"
_FORM = "olt_form"


async def find_session(request: AnyRequest, entry: Entry) -> RealmSession | None:
    """The open session of the browser, if it has one."""
    secret = request.cookies.get(_SESSION)
    return await identity.find_realm_session(entry, secret) if secret else None


def keep_session(request: AnyRequest, secret: str) -> Cookie:
    """The browser keeps it until it is closed."""
    return _cookie(request, _SESSION, secret)


def forget_session(request: AnyRequest) -> Cookie:
    """The browser keeps it no longer."""
    return _cookie(request, _SESSION, "", max_age=0)


def sign_form(request: AnyRequest) -> tuple[str, Cookie]:
    """What a form of ours carries, and the cookie that goes with it. Another site can make up neither."""
    secret = request.cookies.get(_FORM) or secrets.token_urlsafe(32)
    return _digest(secret), _cookie(request, _FORM, secret)


def is_own_form(request: AnyRequest, form: Mapping[str, str]) -> bool:
    """Whether a form is from a page that this browser got from us."""
    secret = request.cookies.get(_FORM)
    return secret is not None and hmac.compare_digest(_digest(secret).encode(), form.get("csrf", "").encode())


def check_own_form(request: AnyRequest, form: Mapping[str, str]) -> None:
    """Raises `OAuthError` for a form of another site, or of a browser that keeps no cookies."""
    if not is_own_form(request, form):
        raise OAuthError(
            "invalid_request",
            "this page has expired, or your browser keeps no cookies: go back and try again",
            status=403,
        )


def _cookie(request: AnyRequest, name: str, value: str, *, max_age: int | None = None) -> Cookie:
    return Cookie(key=name, value=value, max_age=max_age, httponly=True, samesite="lax", secure=is_secure(request))


def _digest(secret: str) -> str:
    return hashlib.sha256(b"form" + secret.encode()).hexdigest()
