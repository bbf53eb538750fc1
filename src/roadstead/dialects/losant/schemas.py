"""Bodies and structured parameters, held against the schemas of the contract (`contract.json` has those we need)."""

from functools import cache
from importlib import resources
from typing import Any, Protocol

import jsonschema_rs
import msgspec

from roadstead.kernel.errors import FieldProblem, Invalid
from roadstead.web.bodies import decode_json
from roadstead.web.edge import AnyRequest

_MOST_TOLD = 5
_MOST_DETAIL = 300
_PASSED_ON = frozenset({"mqttPublishBody"})
"""What is not kept may hold zero bytes."""


class Contract(msgspec.Struct, frozen=True):
    """What of the contract is needed while we serve it."""

    scopes: dict[str, list[str]]
    """By operation, what a token must have one of."""
    schemas: dict[str, Any]
    """JSON Schema of draft 7, by name."""


class _Validator(Protocol):
    def iter_errors(self, instance: Any) -> Any: ...


@cache
def load_contract() -> Contract:
    """Read once."""
    text = (resources.files("roadstead.dialects.losant") / "contract.json").read_bytes()
    return msgspec.json.decode(text, type=Contract)


async def read_body(request: AnyRequest, schema: str | None = None) -> Any:
    """The body as JSON, as the contract's schema has it; nothing sent is an empty object. Raises `Invalid`."""
    body = await request.body()
    value = decode_json(body) if body.strip() else {}
    if schema is not None:
        check(value, schema)
        if schema not in _PASSED_ON and b"\\u0000" in body:
            check_texts(value)
    return value


def check(value: Any, schema: str, where: str = "") -> None:
    """Raises `Invalid` with the names of the fields that are not as the schema of this name says."""
    problems = []
    for error in _validator(schema).iter_errors(value):
        path = [where, *map(str, error.instance_path)] if where else [str(step) for step in error.instance_path]
        problems.append(FieldProblem("/" + "/".join(path), "invalid", error.message[:_MOST_DETAIL]))
        if len(problems) == _MOST_TOLD:
            break
    if problems:
        told = "; ".join(f"{each.pointer.strip('/').replace('/', '.') or 'body'}: {each.detail}" for each in problems)
        raise Invalid(told, fields=problems)


def check_texts(value: Any, where: str = "") -> None:
    """Raises `Invalid` with the name of a field that holds a zero byte, which the database cannot keep."""
    waiting = [(where, value)]
    while waiting:
        path, each = waiting.pop()
        if isinstance(each, dict):
            waiting += [(path, name) for name in each]
            waiting += [(f"{path}/{name}", part) for name, part in each.items()]
        elif isinstance(each, list):
            waiting += [(f"{path}/{index}", part) for index, part in enumerate(each)]
        elif isinstance(each, str) and "\0" in each:
            raise Invalid.field(path, "holds a zero byte")


@cache
def _validator(schema: str) -> _Validator:
    known = load_contract().schemas
    return jsonschema_rs.Draft7Validator({"definitions": known, "$ref": f"#/definitions/{schema}"}, offline=True)
