"""The pages of the realm: plain HTML that works without script, whose style and script are files of ours."""

from collections.abc import Iterable, Mapping
from html import escape
from importlib import resources
from typing import Any

from litestar import MediaType, Response
from litestar.datastructures import Cookie

from roadstead.core.identity import Choice

# Nothing but our own files. No form-action: browsers apply it to where a form's answer leads as well, and that is the
# program that has sent the browser here.
_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'"
_NOT_FRAMED = "; frame-ancestors 'none'"
_SCRIPTED = "; script-src 'self'; connect-src 'self'"
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_FILES = {"realm.css": "text/css", "form_post.js": "text/javascript", "login_status.js": "text/javascript"}


def answer(
    page: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    cookies: Iterable[Cookie] = (),
    is_framed: bool = False,
) -> Response[str]:
    """A page; `is_framed`: one that others may put into a frame, which then has a script and nothing to click."""
    policy = _POLICY + (_SCRIPTED if is_framed else _NOT_FRAMED)
    known = _HEADERS | {"Content-Security-Policy": policy} | dict(headers or {})
    return Response(page, status_code=status, headers=known, cookies=list(cookies), media_type=MediaType.HTML)


def read_file(name: str) -> tuple[bytes, str] | None:
    """A style sheet or script with its media type."""
    kind = _FILES.get(name)
    if kind is None:
        return None
    return (resources.files(__package__) / "static" / name).read_bytes(), kind


def sign_in_page(client: str, hidden: Mapping[str, str], *, email: str = "", problem: str = "") -> str:
    """E-mail address and password."""
    told, described = _problem(problem)
    kind = 'type="email" autocomplete="username"'
    # Where there is an address already, the password comes next.
    first, second = ("", " autofocus") if email else (" autofocus", "")
    return _page(
        "Sign in",
        f"""
  <h1>Sign in</h1>
  <p>to go on to {escape(client)}</p>{told}
  <form method="post" action="sign-in">{_hidden(hidden)}
    <label for="email">E-mail address</label>
    <input id="email" name="email" {kind} required value="{escape(email)}"{first}{described}>
    <label for="password">Password</label>
    <input id="password" name="password" type="password" autocomplete="current-password" required{second}{described}>
    <button type="submit">Sign in</button>
  </form>""",
    )


def code_page(hidden: Mapping[str, str], *, problem: str = "") -> str:
    """The code of the second factor."""
    told, described = _problem(problem)
    kind = 'autocomplete="one-time-code" autocapitalize="none" spellcheck="false"'
    return _page(
        "Second factor",
        f"""
  <h1>Second factor</h1>
  <p>Type the code that your authenticator app shows, or one of your recovery codes.</p>{told}
  <form method="post" action="sign-in">{_hidden(hidden)}
    <label for="code">Code</label>
    <input id="code" name="code" {kind} required autofocus{described}>
    <button type="submit">Go on</button>
  </form>""",
    )


def tenant_page(client: str, choices: Iterable[Choice], hidden: Mapping[str, str]) -> str:
    """Which tenant to enter."""
    buttons = "".join(
        f"""
      <li><button type="submit" name="tenant" value="{choice.organization_id}">{escape(choice.name)}</button></li>"""
        for choice in choices
    )
    return _page(
        "Choose a tenant",
        f"""
  <h1>Choose a tenant</h1>
  <p>in which you want to work with {escape(client)}</p>
  <form method="post" action="tenant">{_hidden(hidden)}
    <ul>{buttons}
    </ul>
  </form>""",
    )


def sign_out_page(hidden: Mapping[str, str]) -> str:
    """Whether it is meant."""
    return _page(
        "Sign out",
        f"""
  <h1>Sign out</h1>
  <p>All programs that you have signed in to with this browser lose their access.</p>
  <form method="post" action="logout">{_hidden(hidden)}
    <button type="submit">Sign out</button>
  </form>""",
    )


def signed_out_page() -> str:
    """It is done."""
    return _page("Signed out", "\n  <h1>You are signed out</h1>\n  <p>You can close this page.</p>")


def failure_page(problem: str) -> str:
    """Something cannot be done, and there is nobody to send the browser back to."""
    text = f"\n  <h1>That did not work</h1>\n  <p>{escape(problem)}</p>"
    return _page("That did not work", text)


def form_post_page(redirect_uri: str, sent: Mapping[str, Any]) -> str:
    """Carries the answer to the program as a form: by itself where there is script, by a button where there is none."""
    return _page(
        "Going on",
        f"""
  <form method="post" action="{escape(redirect_uri)}" id="answer">{_hidden(sent)}
    <noscript><button type="submit">Go on</button></noscript>
  </form>""",
        script="form_post.js",
    )


def login_status_page() -> str:
    """Nothing to be seen: it answers to the page that frames it."""
    return _page("Login status", "", script="login_status.js")


def _page(title: str, main: str, *, script: str = "") -> str:
    head = f'\n<script src="../../resources/{script}" defer></script>' if script else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="stylesheet" href="../../resources/realm.css">{head}
</head>
<body>
<main>{main}
</main>
</body>
</html>
"""


def _hidden(fields: Mapping[str, Any]) -> str:
    return "".join(
        f'\n    <input type="hidden" name="{escape(name)}" value="{escape(str(value))}">'
        for name, value in fields.items()
    )


def _problem(text: str) -> tuple[str, str]:
    """What went wrong, and what makes fields point at it."""
    if not text:
        return "", ""
    told = f'\n  <p id="problem" class="problem" role="alert">{escape(text)}</p>'
    return told, ' aria-describedby="problem" aria-invalid="true"'
