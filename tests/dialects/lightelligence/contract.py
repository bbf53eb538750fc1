"""A client of the dialect that holds every answer against the contract."""

import copy
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import httpx
import yaml
from litestar import Litestar
from litestar.datastructures import State

from roadstead.core.identity import Person, realm_keys
from roadstead.core.identity.realm_keys import ACCESS_LIFE
from roadstead.dialects.lightelligence.app import frame, make_litestar
from roadstead.kernel import time
from roadstead.kernel.actor import Role
from tests.conftest import Tenant
from tests.people import add_person, authenticate, entry, sign_in

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CONTRACT: dict[str, Any] = yaml.load(
    (Path(__file__).parents[3] / "contracts" / "lightelligence.yaml").read_text(), _Loader
)
OPERATIONS: dict[str, dict[str, Any]] = {operation["id"]: operation for operation in CONTRACT["operations"]}
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


class Client:
    """What a program of the original does. Answers of operations are checked by the contract, whatever their status."""

    def __init__(self, tenant: Tenant, token: str = "") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(app_of(tenant))
        self.tenant = tenant
        self.http = httpx.AsyncClient(transport=transport, base_url="http://api.olt.test", headers=headers)

    @classmethod
    async def of(cls, tenant: Tenant, role: Role = Role.OWNER) -> Self:
        """Of a person with this role in a tenant."""
        return cls(tenant, await token_of(tenant, role))

    async def ask(self, operation: str, *, json: Any = None, params: Any = None, **names: object) -> httpx.Response:
        """Call an operation by its id in the contract; `names` fill the path."""
        told = OPERATIONS[operation]
        path = told["path"].format(**{name: str(value) for name, value in names.items()})
        answer = await self.http.request(told["method"], path, json=json, params=params)
        check_answer(operation, answer)
        return answer

    async def data(self, operation: str, *, json: Any = None, params: Any = None, **names: object) -> Any:
        """What a successful operation answers as `data`."""
        answer = await self.ask(operation, json=json, params=params, **names)
        assert answer.status_code < 300, f"{answer.status_code}: {answer.text}"
        return answer.json()["data"]

    async def failure(
        self, operation: str, *, json: Any = None, params: Any = None, **names: object
    ) -> tuple[int, str]:
        """Status and code of an operation that must fail."""
        answer = await self.ask(operation, json=json, params=params, **names)
        assert answer.status_code >= 400, answer.text
        return answer.status_code, code_of(answer)


def code_of(answer: httpx.Response) -> str:
    """The code of a failure, in whichever envelope it comes."""
    body = answer.json()
    error = body.get("error")
    return str(body["errorCode"] if error is None else error if isinstance(error, str) else error["error"])


def app_of(tenant: Tenant) -> Any:
    """The dialect over a tenant's platform. Its routes are read once for all tests."""
    if not _pattern:
        _pattern.append(make_litestar(tenant.edge))
    app = copy.copy(_pattern[0])
    app.state = State({**app.state.dict(), "edge": tenant.edge})
    return frame(app, tenant.edge)


_pattern: list[Litestar] = []


async def token_of(tenant: Tenant, role: Role = Role.OWNER, *, client_id: object = "olt-portal") -> str:
    """`token_for` of a fresh person with this role."""
    return await token_for(tenant, await add_person(tenant, role), client_id=client_id)


async def token_for(tenant: Tenant, person: Person, *, client_id: object = "olt-portal") -> str:
    """An access token as the realm gives it to a person of a tenant, who has signed in through a client."""
    session = (await authenticate(tenant.edge, (await sign_in(tenant, person)).access_token)).session_id
    async with entry(tenant.edge) as door:
        now = int(time.now().timestamp())
        claims = {
            "iss": f"{tenant.edge.ports.public_url}/v1/id/auth/realms/olt",
            "sub": str(person.id),
            "aud": str(client_id),
            "azp": str(client_id),
            "typ": "Bearer",
            "iat": now,
            "exp": now + int(ACCESS_LIFE.total_seconds()),
            "session_state": str(session),
            "tenant": str(tenant.organization_id),
        }
        return await realm_keys.sign(door.tx, door.ports, claims)


def check_answer(operation: str, answer: httpx.Response) -> None:
    """Fails when an answer is not what the contract says about this operation."""
    told = OPERATIONS[operation]
    if answer.status_code >= 400:
        _check_failure(told, answer)
        return
    expected = told["responses"].get(answer.status_code)
    assert expected is not None, f"{operation} does not answer {answer.status_code}: {answer.text}"
    if expected.get("body") == "empty":
        assert answer.content == b"", f"{operation} has a body: {answer.text}"
        assert "content-type" not in answer.headers, f"{operation} says what kind of nothing it answers"
        return
    if not ({"envelope", "data", "item"} & expected.keys()):
        return
    body = answer.json()
    envelope = expected.get("envelope", "data")
    item = expected.get("item") or expected.get("data") or {}
    match envelope:
        case "data":
            assert list(body) == ["data"], f"{operation}: {list(body)}"
            _check(operation, item, body["data"])
        case "list" | "paged" | "meta_list":
            assert set(body) <= {"data", "meta"} and "data" in body, f"{operation}: {list(body)}"
            if envelope != "list":
                assert set(expected.get("meta", ())) <= set(body["meta"]), f"{operation}: {body['meta']}"
            for each in body["data"]:
                _check(f"{operation}[]", item, each)
        case "bare_array":
            for each in body:
                _check(f"{operation}[]", item, each)
        case "bare_object":
            _check(operation, item, body)


def check_frame(frame: dict[str, Any]) -> None:
    """Fails when a message of a stream is not what the contract says."""
    _check_fields("frame", {"fields": CONTRACT["websocket"]["messages"][frame["type"]]}, frame)


def _check_failure(told: dict[str, Any], answer: httpx.Response) -> None:
    assert answer.headers["content-type"].startswith("application/json"), answer.text
    body = answer.json()
    if told.get("host") == "id":
        assert {"error"} <= set(body) <= {"error", "error_description"}, body
        return
    if told["id"] == "ingestData":
        assert list(body) == ["error"]
        assert set(body["error"]) == {"statusCode", "message", "error"}
        assert body["error"]["statusCode"] == answer.status_code
        return
    assert set(body) == {"errorMessage", "errorCode"}, body
    assert answer.status_code < 500, body
    known = (told.get("errors") or {}).get(answer.status_code)
    if known is not None:
        assert body["errorCode"] in ([known] if isinstance(known, str) else known), f"{body} instead of {known}"


def _check(where: str, told: dict[str, Any], value: Any) -> None:
    told = _resolve(told)
    if value is None:
        assert told.get("nullable") or not told.get("type"), f"{where} is null"
        return
    for word in ("oneOf", "anyOf"):
        if word in told:
            assert any(_fits(where, each, value) for each in told[word]), f"{where} fits none of {word}: {value!r}"
    if "fields" in told:
        _check_fields(where, told, value)
        return
    if "type" in told:
        kinds = _TYPES[told["type"]]
        assert isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)), f"{where} is {value!r}"
    if "enum" in told:
        assert value in told["enum"], f"{where} is {value!r}, not one of {told['enum']}"
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check(f"{where}[{index}]", told.get("items", {}), item)
    if isinstance(value, str):
        _check_text(where, told, value)


def _check_fields(where: str, told: dict[str, Any], value: Any) -> None:
    assert isinstance(value, dict), f"{where} is no object: {value!r}"
    fields = told["fields"]
    if not ({"freeform", "additionalProperties", "extra_members"} & told.keys()):
        assert value.keys() <= fields.keys(), f"{where} has {sorted(value.keys() - fields.keys())} besides"
    for name, field in fields.items():
        if name in value:
            _check(f"{where}.{name}", field, value[name])
        else:
            wanted = (field or {}).get("required") and not field.get("writeOnly")
            assert not wanted, f"{where}.{name} is missing"


def _check_text(where: str, told: dict[str, Any], value: str) -> None:
    if "pattern" in told:
        assert re.search(told["pattern"], value), f"{where} is {value!r}, not like {told['pattern']}"
    assert told.get("minLength", 0) <= len(value) <= told.get("maxLength", len(value)), f"{where} has {len(value)}"
    match told.get("format"):
        case "uuid":
            UUID(value)
        case "date-time":
            assert datetime.fromisoformat(value).tzinfo is not None, f"{where} has no offset: {value}"


def _fits(where: str, told: dict[str, Any], value: Any) -> bool:
    try:
        _check(where, told, value)
    except AssertionError:
        return False
    return True


def _resolve(told: dict[str, Any] | None) -> dict[str, Any]:
    told = told or {}
    return (
        {**shape(told["shape"]), **{key: each for key, each in told.items() if key != "shape"}}
        if "shape" in told
        else told
    )


@cache
def shape(name: str) -> dict[str, Any]:
    """A shape of the contract."""
    found: dict[str, Any] = _resolve(CONTRACT["shapes"][name])
    return found
