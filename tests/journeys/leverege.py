"""A thin client of the Leverege API: what the original's library puts on the wire, and nothing else."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import httpx

from tests.dialects.leverege.contract import check_answer


class Api:
    """`Api.init({host, apiKey, secret})`, or after `login`. Each call is one request, held against the contract."""

    def __init__(self, host: str, *, api_key: str = "", secret: str = "", project_id: str = "") -> None:
        self._http = httpx.Client(base_url=f"{host}/v1", timeout=20)
        if api_key:
            token = create_auth_token(api_key, secret, project_id, host)
            self._http.headers["Authorization"] = f"Bearer {token}"

    def login(self, username: str, password: str, project_id: str) -> None:
        """`api.login(username, password, projectId)`."""
        body = {"username": username, "password": password, "projectId": project_id}
        self._http.headers["Authorization"] = f"Bearer {self.ask('login', 'POST', '/login', body)['idToken']}"

    def ask(self, operation: str, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """One call; objects among the parameters are JSON text."""
        query = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
        answer = self._http.request(method, path, json=body, params=query)
        check_answer(operation, answer)
        assert answer.status_code == 200, answer.text
        return answer.json()


def create_auth_token(api_key: str, secret: str, project_id: str, audience: str) -> str:
    """A JWT as the guide makes it: HS256, good for an hour."""
    claims = {"type": "apiAccess", "iss": api_key, "prj": project_id, "aud": audience, "exp": int(time.time()) + 3600}
    text = ".".join(_encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{text}.{_encode(hmac.digest(secret.encode(), text.encode(), hashlib.sha256))}"


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
