"""What a program asks for when it sends a browser to us (RFC 6749 section 4.1, OpenID Connect Core section 3.1)."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import MediaType, Response

from roadstead.core.identity import Asked, RealmSession
from roadstead.core.work import Entry
from roadstead.dialects.lightelligence.identity import pages
from roadstead.dialects.lightelligence.identity.oauth import NO_STORE, KnownClient, OAuthError, find_client
from roadstead.kernel import time
from roadstead.web.edge import AnyRequest

SCOPES = (
    "openid",
    "offline_access",
    "profile",
    "email",
    "address",
    "phone",
    "olt-internal",
    "olt-external",
    "olt-applications",
)
MODES = ("query", "fragment", "form_post")
CHALLENGE_METHODS = ("plain", "S256")
_PROMPTS = frozenset({"none", "login", "consent", "select_account"})
_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Where an answer goes, and how; it was made sure that the program wants it there."""

    redirect_uri: str
    mode: str
    state: str | None

    def answer(self, said: Mapping[str, Any], *, status: int = 302) -> Response[Any]:
        """Send the browser there."""
        sent = dict(said) | ({} if self.state is None else {"state": self.state})
        if self.mode == "form_post":
            return pages.answer(pages.form_post_page(self.redirect_uri, sent), is_framed=True)
        mark = "#" if self.mode == "fragment" else "&" if "?" in self.redirect_uri else "?"
        location = self.redirect_uri + mark + urlencode(sent)
        return Response(None, status_code=status, headers=NO_STORE | {"Location": location}, media_type=MediaType.TEXT)


class SentBack(Exception):
    """The browser goes back to the program with an error."""

    def __init__(self, to: Destination, error: str, description: str) -> None:
        super().__init__(description)
        self.to = to
        self.error = error


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A request that makes sense."""

    client: KnownClient
    asked: Asked
    to: Destination
    prompt: frozenset[str]
    max_age_s: int | None
    login_hint: str
    sent: dict[str, str]
    """As it came."""

    def is_fresh(self, session: RealmSession) -> bool:
        """Whether they have signed in lately enough."""
        if self.max_age_s is None:
            return True
        return (time.now() - session.authenticated_at).total_seconds() <= self.max_age_s

    def again(self) -> str:
        """The same as a query."""
        return urlencode(self.sent)

    def after_sign_in(self) -> str:
        """The same as a query, for somebody who has just signed in."""
        left = {name: value for name, value in self.sent.items() if name not in ("prompt", "max_age")}
        prompt = " ".join(sorted(self.prompt - {"login"}))
        return urlencode(left | ({"prompt": prompt} if prompt else {}))

    def refuse(self, error: str, description: str) -> SentBack:
        """Back to the program."""
        return SentBack(self.to, error, description)


async def read_wish(request: AnyRequest, entry: Entry, sent: dict[str, str]) -> Wish:
    """Raises `OAuthError` as long as it is not sure that the program wants its answers there, then `SentBack`."""
    if "client_id" not in sent:
        raise OAuthError("invalid_request", "client_id is missing")
    client = await find_client(request, entry, sent["client_id"])
    if client is None:
        raise OAuthError("invalid_client", "no such client")
    redirect_uri = sent.get("redirect_uri", "")
    if redirect_uri not in client.realm.redirect_uris:
        raise OAuthError("invalid_request", "redirect_uri is not one of those that are registered for this client")

    mode = sent.get("response_mode", "query")
    to = Destination(redirect_uri=redirect_uri, mode=mode if mode in MODES else "query", state=sent.get("state"))
    if mode not in MODES:
        raise SentBack(to, "invalid_request", f"response_mode is one of {', '.join(MODES)}")
    _check(sent, to)
    return Wish(
        client=client,
        asked=Asked(
            client=client.realm,
            redirect_uri=redirect_uri,
            scope=_read_scope(sent, to),
            nonce=sent.get("nonce"),
            challenge=sent.get("code_challenge"),
            challenge_method=sent.get("code_challenge_method", "plain") if "code_challenge" in sent else None,
        ),
        to=to,
        prompt=_read_prompt(sent, to),
        max_age_s=_read_max_age(sent, to),
        login_hint=sent.get("login_hint", ""),
        sent=sent,
    )


def on_sent_back(_: AnyRequest, error: SentBack) -> Response[Any]:
    """Back to the program."""
    return error.to.answer({"error": error.error, "error_description": str(error)})


def _check(sent: Mapping[str, str], to: Destination) -> None:
    for name in ("request", "request_uri"):
        if name in sent:
            raise SentBack(to, f"{name}_not_supported", f"{name} is not supported: send the parameters themselves")
    if "response_type" not in sent:
        raise SentBack(to, "invalid_request", "response_type is missing")
    if sent["response_type"] != "code":
        raise SentBack(to, "unsupported_response_type", "response_type must be code: there is no implicit flow")
    if to.mode == "form_post" and "nonce" not in sent:
        raise SentBack(to, "invalid_request", "response_mode form_post needs a nonce")
    if sent.get("code_challenge_method", "plain") not in CHALLENGE_METHODS:
        raise SentBack(to, "invalid_request", f"code_challenge_method is one of {', '.join(CHALLENGE_METHODS)}")
    if "code_challenge_method" in sent and "code_challenge" not in sent:
        raise SentBack(to, "invalid_request", "code_challenge is missing")
    if "code_challenge" in sent and not _CHALLENGE.fullmatch(sent["code_challenge"]):
        raise SentBack(to, "invalid_request", "code_challenge has 43 to 128 letters, digits, '-', '.', '_' and '~'")


def _read_scope(sent: Mapping[str, str], to: Destination) -> str:
    """Those that we know: the answer says which they are."""
    asked = sent.get("scope", "").split()
    if "openid" not in asked:
        raise SentBack(to, "invalid_scope", "scope must contain openid")
    return " ".join(scope for scope in SCOPES if scope in asked)


def _read_prompt(sent: Mapping[str, str], to: Destination) -> frozenset[str]:
    prompt = frozenset(sent.get("prompt", "").split())
    if not prompt <= _PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise SentBack(to, "invalid_request", f"prompt is none, or some of {', '.join(sorted(_PROMPTS - {'none'}))}")
    return prompt


def _read_max_age(sent: Mapping[str, str], to: Destination) -> int | None:
    text = sent.get("max_age")
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise SentBack(to, "invalid_request", "max_age is a number of seconds")
    return int(text)
