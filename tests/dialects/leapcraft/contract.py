"""A client of the dialect that holds every answer against the contract."""

from pathlib import Path
from typing import Any

import httpx
import yaml

from roadstead.dialects.leapcraft import Terms, create_app
from tests.conftest import Tenant

CONTRACT = yaml.safe_load((Path(__file__).parents[3] / "contracts" / "leapcraft.yaml").read_text())
OPERATIONS: list[dict[str, Any]] = CONTRACT["operations"]
_TYPES = {"string": str, "integer": int, "object": dict}
_ERRORS = {400: "validation_error", 401: "unauthorized", 403: "forbidden", 404: "not_found"}


def check_answer(operation: str, answer: httpx.Response) -> Any:
    """The body, when it is what the contract says about this operation."""
    body = answer.json()
    if answer.status_code >= 400:
        assert sorted(body) == ["error", "message"]
        assert body["error"] == _ERRORS.get(answer.status_code, body["error"])
        return body
    told = next(each for each in OPERATIONS if each["id"] == operation)["response"]
    if operation == "telemetry.get":
        told = told["averages" if isinstance(body, list) else "latest"]
    if "list_of" in told:
        assert isinstance(body, list)
        for item in body:
            _check_shape(told["list_of"], item)
    else:
        _check_shape(told["schema"], body)
    return body


def _check_shape(name: str, value: dict[str, Any]) -> None:
    schema = CONTRACT["schemas"][name]
    assert value.keys() <= schema.keys(), f"{name} has {sorted(value.keys() - schema.keys())} besides"
    for field, told in schema.items():
        if field not in value:
            assert not told.get("required"), f"{name}.{field} is missing"
            continue
        _check_value(f"{name}.{field}", told, value[field])


def _check_value(name: str, told: dict[str, Any], value: Any) -> None:
    if value is None:
        assert told.get("nullable") or not told.get("required"), f"{name} is null"
    elif told["type"].startswith("array<"):
        for item in value:
            _check_shape(told["type"][len("array<") : -1], item)
    else:
        assert type(value) is _TYPES[told["type"]], f"{name} is {value!r}"
        assert value in told.get("enum", [value])


class Client:
    """What a program of the original cloud does: exchange the key, then ask."""

    def __init__(self, tenant: Tenant, terms: Terms | None = None) -> None:
        transport = httpx.ASGITransport(create_app(tenant.edge, terms))  # type: ignore[arg-type]
        self.http = httpx.AsyncClient(transport=transport, base_url="http://api.leapcraft.test")
        self._key = tenant.key

    async def sign_in(self, key: str | None = None) -> None:
        """Use a fresh token from now on."""
        answer = await self.http.post("/v1/auth/client/token", data={"api_key": key or self._key})
        token = check_answer("auth.client-token", answer)
        assert answer.status_code == 200
        self.http.headers["Authorization"] = f"Bearer {token['token']}"

    async def ask(self, operation: str, path: str, **params: Any) -> httpx.Response:
        """An answer that fits the contract, whatever its status."""
        answer = await self.http.get(path, params=params or None)
        check_answer(operation, answer)
        return answer

    async def get(self, operation: str, path: str, **params: Any) -> Any:
        """The body of a good answer."""
        answer = await self.ask(operation, path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()
