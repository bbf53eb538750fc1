"""A client of the dialect that holds every answer against the contract."""

import copy
import json as jsonlib
from functools import cache
from pathlib import Path
from typing import Any, Self

import httpx
import jsonschema_rs
from litestar import Litestar
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler

from roadstead.core.identity import Person
from roadstead.dialects.losant.app import frame, make_litestar
from roadstead.kernel.actor import Role
from tests.conftest import Tenant
from tests.people import PASSWORD, add_person

_PLACE = Path(__file__).parents[3] / "contracts"
ACTIONS: dict[str, dict[str, Any]] = {
    f"{action['resource']}.{action['action']}": action
    for action in jsonlib.loads((_PLACE / "losant-endpoints.json").read_text())["actions"]
}
"""By `<resource>.<action>`, in the order of the contract."""
SCHEMAS: dict[str, Any] = jsonlib.loads((_PLACE / "losant-schemas.json").read_text())["definitions"]
_FOUND: dict[str, Any] = SCHEMAS["applicationSearchResult"]["items"]["properties"]
# Swapped in the source (contract section 1).
_FOUND["flowClass"], _FOUND["deviceClass"] = _FOUND["deviceClass"], _FOUND["flowClass"]
SCHEMAS["applicationSearchResult"]["items"]["required"] = ["id", "name"]
_DEFAULTS = {"_actions": "false", "_links": "true", "_embedded": "true"}
_SHAPED = {"tagsAsObject": "tags", "attributesAsObject": "attributes"}


class Client:
    """What a program of the original does. Answers of actions are checked by the contract, whatever their status."""

    def __init__(self, tenant: Tenant, token: str = "") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(app_of(tenant))
        self.tenant = tenant
        self.token = token
        self.http = httpx.AsyncClient(transport=transport, base_url="http://api.losant.test", headers=headers)

    @classmethod
    async def of(cls, tenant: Tenant, role: Role = Role.OWNER) -> Self:
        """Of a person with this role on the platform."""
        return await cls.of_person(tenant, await add_person(tenant, role))

    @classmethod
    async def of_person(cls, tenant: Tenant, person: Person, **terms: object) -> Self:
        """Of somebody who signs in; `terms` are what the token is to be good for."""
        credentials = {"email": person.email, "password": PASSWORD} | terms
        answer = await cls(tenant).data("auth.authenticateUser", json=credentials)
        return cls(tenant, answer["token"])

    async def ask(self, action: str, *, json: Any = None, params: Any = None, **names: object) -> httpx.Response:
        """Call an action; `names` fill the path, `params` are encoded as the vendor's clients do."""
        told = ACTIONS[action]
        path = told["path"].format(**{name: str(value) for name, value in names.items()})
        query = [*_DEFAULTS.items(), *_encode(told, params or {})]
        answer = await self.http.request(told["method"], path, json=json, params=query)
        check_answer(action, answer, params or {})
        return answer

    async def data(self, action: str, *, json: Any = None, params: Any = None, **names: object) -> Any:
        """What a successful action answers."""
        answer = await self.ask(action, json=json, params=params, **names)
        assert answer.status_code < 300, f"{answer.status_code}: {answer.text}"
        return answer.json() if answer.content else None

    async def failure(self, action: str, *, json: Any = None, params: Any = None, **names: object) -> tuple[int, str]:
        """The status and type of an action that must fail."""
        answer = await self.ask(action, json=json, params=params, **names)
        assert answer.status_code >= 400, answer.text
        return answer.status_code, answer.json()["type"]


def app_of(tenant: Tenant) -> Any:
    """The dialect over a tenant's platform. Its routes are read once for all tests."""
    if not _pattern:
        _pattern.append(make_litestar(tenant.edge))
    app = copy.copy(_pattern[0])
    app.state = State({**app.state.dict(), "edge": tenant.edge})
    return frame(app, tenant.edge)


_pattern: list[Litestar] = []


def routes_of(tenant: Tenant) -> list[HTTPRouteHandler]:
    """All that is served, as it is routed."""
    app_of(tenant)
    handlers = (each for route in _pattern[0].routes for each in getattr(route, "route_handlers", ()))
    return [each for each in handlers if each.operation_id is not None]


def check_answer(action: str, answer: httpx.Response, params: Any = ()) -> None:
    """Fails when an answer is not what the contract says about this action."""
    body = answer.json() if answer.content else None
    if answer.status_code >= 400:
        assert answer.status_code < 500 or answer.status_code == 501, answer.text
        assert isinstance(body, dict) and {"type", "message"} <= set(body), body
        return
    told = {each["status"]: each["schema"] for each in ACTIONS[action]["responses"]}
    assert answer.status_code in told, f"{action} answers {answer.status_code}, not {sorted(told)}"
    assert answer.headers["cache-control"].startswith("no-cache")
    schema = told[answer.status_code]
    if schema is not None:
        check_body(action, schema, body, params)


def check_body(action: str, schema: str, body: Any, params: Any = ()) -> None:
    """Fails when a body is not as the schema says, after what these parameters have made of it."""
    shapeless = {member for flag, member in _SHAPED.items() if str(dict(params).get(flag, "")) not in ("", "False")}
    check_value(action, schema, _plain(body, shapeless))


def check_value(where: str, schema: str, value: Any) -> None:
    """Fails when a value is not as the schema of this name says."""
    errors = [f"{list(error.instance_path)}: {error.message}" for error in _validator(schema).iter_errors(value)]
    assert not errors, f"{where} is no {schema}: {'; '.join(errors)[:2000]}\n{jsonlib.dumps(value)[:2000]}"


def _plain(value: Any, shapeless: set[str]) -> Any:
    """Without what is added to every object, and without members that were asked for in another shape."""
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if not name.startswith("_") and name not in shapeless}
        return {name: _plain(each, shapeless) for name, each in kept.items()}
    return [_plain(each, shapeless) for each in value] if isinstance(value, list) else value


def _encode(told: dict[str, Any], params: dict[str, Any]) -> list[tuple[str, str | int | float | bool | None]]:
    encodings = {each["name"]: each.get("encoding") for each in told["query_params"]}
    assert set(params) <= set(encodings), f"{set(params) - set(encodings)} are no parameters of {told['path']}"
    query: list[tuple[str, str | int | float | bool | None]] = []
    for name, value in params.items():
        match encodings[name]:
            case "json":
                query.append((name, jsonlib.dumps(value)))
            case "brackets":
                query += _brackets(name, value)
            case _:
                query.append((name, str(value)))
    return query


def _brackets(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, each in value.items() for pair in _brackets(f"{name}[{key}]", each)]
    if isinstance(value, list):
        return [pair for index, each in enumerate(value) for pair in _brackets(f"{name}[{index}]", each)]
    return [(name, str(value))]


@cache
def _validator(schema: str) -> Any:
    known = {name: SCHEMAS[name] for name in closure([schema])}
    return jsonschema_rs.Draft7Validator({"definitions": known, "$ref": f"#/definitions/{schema}"}, offline=True)


def closure(names: list[str]) -> set[str]:
    """These schemas, and all that they refer to."""
    found: set[str] = set()
    names = list(names)
    while names:
        name = names.pop()
        if name not in found:
            found.add(name)
            names += [each.rpartition("/")[2] for each in _references(SCHEMAS[name])]
    return found


def _references(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
        return own + [each for value in schema.values() for each in _references(value)]
    return [each for value in schema for each in _references(value)] if isinstance(schema, list) else []
