"""A client of the dialect that holds every answer against the contract."""

import copy
import re
from functools import cache
from pathlib import Path
from typing import Any, Self

import httpx
import yaml
from litestar import Litestar
from litestar.datastructures import State

from roadstead.dialects.leverege.app import frame, make_litestar
from roadstead.kernel.actor import Role
from tests.conftest import Tenant
from tests.people import add_person, sign_in

_PLACE = Path(__file__).parents[3] / "contracts" / "leverege.yaml"
CONTRACT: dict[str, Any] = yaml.load(_PLACE.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
OPERATIONS: dict[str, dict[str, Any]] = {operation["id"]: operation for operation in CONTRACT["operations"]}
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "any": (object,),
}
_LIST = re.compile(r"array<(.+)>")


class Client:
    """What a program of the original does. Answers of operations are checked by the contract, whatever their status."""

    def __init__(self, tenant: Tenant, token: str = "") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(app_of(tenant))
        self.tenant = tenant
        self.http = httpx.AsyncClient(transport=transport, base_url="http://api.leverege.test", headers=headers)

    @classmethod
    async def of(cls, tenant: Tenant, role: Role = Role.OWNER) -> Self:
        """Of a person with this role on the platform."""
        return cls(tenant, (await sign_in(tenant, await add_person(tenant, role))).access_token)

    async def ask(self, operation: str, *, json: Any = None, params: Any = None, **names: object) -> httpx.Response:
        """Call an operation by its id in the contract; `names` fill the path."""
        told = OPERATIONS[operation]
        path = told["path"].format(**{name: str(value) for name, value in names.items()})
        answer = await self.http.request(told["method"], path, json=json, params=params)
        check_answer(operation, answer)
        return answer

    async def data(self, operation: str, *, json: Any = None, params: Any = None, **names: object) -> Any:
        """What a successful operation answers."""
        answer = await self.ask(operation, json=json, params=params, **names)
        assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
        return answer.json()

    async def failure(self, operation: str, *, json: Any = None, params: Any = None, **names: object) -> int:
        """The status of an operation that must fail."""
        answer = await self.ask(operation, json=json, params=params, **names)
        assert answer.status_code >= 400, answer.text
        return answer.status_code


def app_of(tenant: Tenant) -> Any:
    """The dialect over a tenant's platform. Its routes are read once for all tests."""
    if not _pattern:
        _pattern.append(make_litestar(tenant.edge))
    app = copy.copy(_pattern[0])
    app.state = State({**app.state.dict(), "edge": tenant.edge})
    return frame(app, tenant.edge)


_pattern: list[Litestar] = []


def check_answer(operation: str, answer: httpx.Response) -> None:
    """Fails when an answer is not what the contract says about this operation."""
    told = OPERATIONS[operation]
    if answer.status_code >= 400:
        assert answer.status_code < 500 or answer.status_code in (501, 503), answer.text
        body = answer.json()
        assert {"status", "message"} <= set(body) <= {"status", "message", "code", "details"}, body
        assert body["status"] == answer.status_code
        return
    if answer.is_redirect:
        return
    response = told.get("response") or {}
    if "schema" in response:
        check_value(operation, str(response["schema"]), answer.json())
    elif "fields" in response:
        _check_fields(operation, response["fields"], answer.json())


def check_value(where: str, kind: str, value: Any) -> None:
    """Fails when a value is not of a type of the contract (`string`, `array<Device>`, `Device`...)."""
    found = _LIST.fullmatch(kind)
    if found:
        assert isinstance(value, list), f"{where} is no list: {value!r}"
        for index, item in enumerate(value):
            check_value(f"{where}[{index}]", found[1], item)
    elif kind in _TYPES:
        kinds = _TYPES[kind]
        assert isinstance(value, kinds), f"{where} is {value!r}, not {kind}"
        assert kind in ("boolean", "any") or not isinstance(value, bool), f"{where} is {value!r}"
    elif (shape := _schema(kind)) is not None:
        _check_fields(where, shape, value)


@cache
def _schema(name: str) -> Any:
    schema = CONTRACT["schemas"].get(name)
    return schema if isinstance(schema, dict) and all(isinstance(each, dict) for each in schema.values()) else None


def _check_fields(where: str, fields: dict[str, Any], value: Any) -> None:
    assert isinstance(value, dict), f"{where} is no object: {value!r}"
    for name, told in fields.items():
        if name not in value:
            assert not told.get("required"), f"{where}.{name} is missing"
        elif value[name] is None:
            assert told.get("nullable") or not told.get("required"), f"{where}.{name} is null"
        else:
            check_value(f"{where}.{name}", str(told.get("type", "any")), value[name])
            assert value[name] in told.get("enum", [value[name]]), f"{where}.{name} is {value[name]!r}"
