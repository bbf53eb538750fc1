"""Programs written with the vendor's Losant clients, unmodified, on a started platform."""

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import losant_rest
from losant_rest.losant_error import LosantError

from tests.dialects.losant.contract import ACTIONS, check_body
from tests.platform import Platform, wait_until

PASSWORD = "Correct-horse-7-battery"


class Program:
    """The client for Python. Every answer is held against the contract; which actions gave one is kept."""

    def __init__(self, platform: Platform, answered: dict[str, int], token: str | None = None) -> None:
        """`answered`: by action the status of its refusal, or 200."""
        self.platform = platform
        self.answered = answered
        self.vendor: Any = losant_rest.Client(token, url=f"{platform.url}/losant")
        self._request = self.vendor.request
        self.vendor.request = self._checked

    def as_holder(self, token: str | None) -> "Program":
        """The same with another token."""
        return Program(self.platform, self.answered, token)

    def sign_in(self, email: str, password: str, **terms: Any) -> "Program":
        """As a person does."""
        credentials = {"email": email, "password": password} | terms
        return self.as_holder(self.vendor.auth.authenticate_user(credentials=credentials)["token"])

    def done(self, queued: dict[str, Any], application_id: str) -> dict[str, Any]:
        """The log of a job that is done."""
        place = {"applicationId": application_id, "jobId": queued["jobId"]}

        def ended() -> Any:
            log = self.vendor.application_job_log.get(**place)
            return log if log["status"] in ("completed", "failed", "errored") else None

        log: dict[str, Any] = wait_until(ended, timeout_s=20)
        assert log["status"] == "completed", log
        return log

    def _checked(self, method: str, path: str, **rest: Any) -> Any:
        action = action_at(method, path)
        try:
            body = self._request(method, path, **rest)
        except LosantError as error:
            assert {"type", "message"} <= error.data.keys(), error
            self.answered.setdefault(action, error.status)
            raise
        check_reply(action, body, rest.get("params") or {})
        self.answered[action] = 200
        return body


def add_person(platform: Platform, name: str, role: str = "owner") -> str:
    """Somebody in the first owner's organization, with the password above; their address."""
    email = f"{name}-{secrets.token_hex(3)}@losant.test"
    made = platform.command("user", "create", email, "--role", role, "--password", PASSWORD)
    assert made.returncode == 0, made.stderr
    return email


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    """The status and type of the vendor's error that a call ends with."""
    try:
        answer = call(**arguments)
    except LosantError as error:
        return error.status, error.data["type"]
    raise AssertionError(f"it is answered: {answer}")


def download(log: dict[str, Any]) -> bytes:
    """The file that a job has made, as anybody gets it who has the link."""
    answer = httpx.get(log["output"]["downloadUrls"][0])
    assert answer.status_code == 200, answer.text
    return answer.content


def ids_of(page: dict[str, Any]) -> set[str]:
    """Of what is listed."""
    return {each["id"] for each in page["items"]}


def action_at(method: str, path: str) -> str:
    """Which action of the contract a request is."""
    return next(name for name, wanted, pattern in _PATTERNS if wanted == method and pattern.fullmatch(path))


def check_reply(action: str, body: Any, params: Any = ()) -> None:
    """Fails when a body of a success is nothing that the contract knows for this action."""
    schemas = {each["schema"] for each in ACTIONS[action]["responses"] if each["status"] < 300}
    if body == "":
        assert None in schemas, f"{action} answers nothing"
        return
    schemas.discard(None)
    is_job = isinstance(body, dict) and "jobQueued" in body
    fitting = [each for each in schemas if (each == "jobEnqueuedResult") == is_job]
    assert fitting, f"{action} answers {body}"
    check_any(action, fitting, body, params)


def check_any(action: str, schemas: Iterable[str], body: Any, params: Any) -> None:
    """Fails when a body is as none of these schemas says."""
    problems = []
    for schema in schemas:
        try:
            check_body(action, schema, body, params)
        except AssertionError as error:
            problems.append(str(error))
        else:
            return
    raise AssertionError("\n".join(problems))


_PATTERNS = [
    (name, action["method"], re.compile(re.sub(r"\{\w+\}", "[^/]+", action["path"])))
    for name, action in sorted(ACTIONS.items(), key=lambda item: item[1]["path"].count("{"))
]
"""Those with more words of their own first."""
