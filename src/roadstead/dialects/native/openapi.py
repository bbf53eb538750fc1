"""The OpenAPI document: made from the routes, then said more truly than a framework can guess."""

import re
from collections.abc import Callable
from functools import cached_property
from http import HTTPStatus
from typing import Any

import msgspec
import yaml
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.routes import HTTPRoute

from roadstead import __version__
from roadstead.dialects.native.example_answers import ANSWERS
from roadstead.dialects.native.examples import BODIES
from roadstead.dialects.native.openapi_parts import CONTENTS, DESCRIPTION, PROBLEMS, REQUESTS, TAGS
from roadstead.dialects.native.problems import MEDIA_TYPE

Node = dict[str, Any]

_JSON = "application/json"
_METHODS = ("get", "put", "post", "delete", "patch")
_CHANGING = frozenset({"put", "post", "delete", "patch"})
_PAGE = re.compile(r"PageShape_.*\.(\w+?)Shape_")
_SENT = ("Body", "Patch", "Filter", "Selector", "Expression", "Template", "Field")
"""How the names of structs end that a caller sends: null may stand in those, and never in what we answer."""
_NOISE: Node = {"deprecated": False, "allowEmptyValue": False, "allowReserved": False, "headers": {}, "required": []}


def make_config() -> OpenAPIConfig:
    """What the framework is told about the document."""
    return OpenAPIConfig(title="Roadstead", version=__version__, use_handler_docstrings=True)


class Documents:
    """The document in its forms, each made when it is first asked for."""

    def __init__(self, make_app: Callable[[], Litestar], public_url: str) -> None:
        """`make_app`: an app that has the routes and `make_config`, and that nobody serves."""
        self._make_app = make_app
        self._public_url = public_url

    @cached_property
    def document(self) -> Node:
        """OpenAPI 3.1."""
        app = self._make_app()
        handlers = {
            str(handler.operation_id): handler
            for route in app.routes
            if isinstance(route, HTTPRoute)
            for handler in route.route_handlers
        }
        document: Node = msgspec.json.decode(msgspec.json.encode(app.openapi_schema.to_schema()))
        document["servers"] = [{"url": self._public_url}]
        describe(document, handlers)
        return document

    @cached_property
    def as_json(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode(self.document)

    @cached_property
    def as_yaml(self) -> bytes:
        """As YAML."""
        return yaml.safe_dump(self.document, sort_keys=False, allow_unicode=True, width=120).encode()

    @cached_property
    def for_page(self) -> bytes:
        """As JSON in the words of OpenAPI 3.0, the newest that the reference page can show."""
        document = make_older(msgspec.json.decode(self.as_json))
        # Where the page came from, whatever it is called there: its policy lets it talk to nobody else.
        document["servers"] = [{"url": "/"}]
        return msgspec.json.encode(document)


def describe(document: Node, handlers: dict[str, HTTPRouteHandler]) -> None:
    """Make the framework's document tell the whole truth."""
    document["info"] |= {"description": DESCRIPTION, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}}
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    components = document["components"]
    for name, schema in components["schemas"].items():
        components["schemas"][name] = _plain(schema, sent=name.endswith(_SENT))
    components["responses"] = {_name_of(status): _problem(status) for status in PROBLEMS}
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "an API key (sk_...) or a session token"},
        "certificate": {"type": "mutualTLS", "description": "the client certificate of a device"},
    }
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                _describe_operation(path, method, operation, handlers[operation["operationId"]])
    _rename(document)


# --- operations ------------------------------------------------------------------------------------------------------


def _describe_operation(path: str, method: str, operation: Node, handler: HTTPRouteHandler) -> None:
    name = operation["operationId"]
    operation["summary"] = operation.get("description", "").partition("\n")[0].rstrip(".")
    operation["parameters"] = [_plain_parameter(parameter) for parameter in operation.get("parameters", [])]
    if name in REQUESTS:
        operation["requestBody"] = REQUESTS[name]
    if "requestBody" in operation:
        _describe_body(operation["requestBody"], name)
    needs_actor = bool(handler.opt.get("needs_actor"))
    certificate: list[Node] = [{"certificate": []}] if handler.opt.get("devices") else []
    operation["security"] = [{"bearer": []}, *certificate] if needs_actor else []
    _describe_answers(operation, name)
    for status in _problems_of(path, method, operation, needs_actor=needs_actor):
        operation["responses"].setdefault(status, {"$ref": f"#/components/responses/{_name_of(status)}"})
    for noise, value in _NOISE.items():
        if operation.get(noise) == value:
            del operation[noise]


def _describe_body(body: Node, name: str) -> None:
    for content in body["content"].values():
        content["schema"] = _plain(content["schema"], sent=False)
    if name in BODIES:
        next(iter(body["content"].values()))["example"] = BODIES[name]


def _describe_answers(operation: Node, name: str) -> None:
    answers = operation["responses"]
    # The framework's own way to say that something is wrong, which nobody gets to see here.
    answers.pop("400", None)
    for status, answer in answers.items():
        answer["description"] = HTTPStatus(int(status)).phrase
        answer.pop("headers", None) if not answer.get("headers") else None
        if (name, status) in CONTENTS:
            answer["content"] = CONTENTS[name, status]
        if any(content.get("schema") == {"type": "null"} for content in answer.get("content", {}).values()):
            del answer["content"]
        for content in answer.get("content", {}).values():
            content["schema"] = _plain(content.get("schema", {}), sent=False)
    if name in ANSWERS:
        status, example = ANSWERS[name]
        answers[status]["content"][_JSON]["example"] = example


def _problems_of(path: str, method: str, operation: Node, *, needs_actor: bool) -> list[str]:
    found = ["429", "500", "503"]
    sent = {parameter["name"] for parameter in operation["parameters"]}
    if operation["parameters"] or "requestBody" in operation:
        found += ["400", "422"]
    if needs_actor:
        found += ["401", "403"]
    if "{" in path:
        found.append("404")
    if method in _CHANGING:
        found.append("409")
    if "If-Match" in sent:
        found += ["412", "428"]
    if "requestBody" in operation:
        found += ["413", "415"]
    return sorted(found)


def _problem(status: str) -> Node:
    schema = {"$ref": "#/components/schemas/Problem"}
    phrase = HTTPStatus(int(status)).phrase
    return {"description": phrase, "content": {MEDIA_TYPE: {"schema": schema, "example": PROBLEMS[status]}}}


def _name_of(status: str) -> str:
    return HTTPStatus(int(status)).phrase.replace(" ", "").replace("-", "")


# --- schemas ---------------------------------------------------------------------------------------------------------


def _plain_parameter(parameter: Node) -> Node:
    """An optional parameter is one that may be left out: none can be null."""
    plain = {key: value for key, value in parameter.items() if key not in _NOISE or value != _NOISE[key]}
    plain["schema"] = _plain(parameter["schema"], sent=False)
    if plain["schema"].get("description") == plain.get("description"):
        plain["schema"].pop("description", None)
    return plain


def _plain(schema: Node, *, sent: bool) -> Node:
    """A schema without what says nothing. `sent`: null is a value here; else it is another word for absent."""
    plain: Node = {}
    for key, value in schema.items():
        if key == "properties":
            plain[key] = {name: _plain(member, sent=sent) for name, member in value.items()}
        elif isinstance(value, dict) and key in ("items", "additionalProperties"):
            plain[key] = _plain(value, sent=sent)
        elif key in ("oneOf", "anyOf", "allOf"):
            plain[key] = [_plain(member, sent=sent) for member in value]
        elif key not in _NOISE or value != _NOISE[key]:
            plain[key] = value
    # What the framework calls oneOf is a union: a whole number may well be an integer and a number.
    choices = plain.pop("oneOf", [])
    others = [choice for choice in choices if choice != {"type": "null"}]
    if {"type": "number"} in others:
        others = [choice for choice in others if choice != {"type": "integer"}]
    is_null = sent and {"type": "null"} in choices
    if len(others) == 1 and not is_null:
        # Beside a reference nothing else counts in 3.0, so there it is wrapped.
        plain = plain | others[0] if "$ref" not in others[0] or not plain else plain | {"allOf": others}
    elif len(others) == 1 and isinstance(others[0].get("type"), str):
        plain = plain | others[0] | {"type": [others[0]["type"], "null"]}
    elif choices:
        plain["anyOf"] = others + ([{"type": "null"}] if is_null else [])
    if isinstance(plain.get("enum"), list) and not sent:
        plain["enum"] = [value for value in plain["enum"] if value is not None]
    return plain


def _rename(document: Node) -> None:
    """Names of schemas as the contract has them, where ours only say which side of the wire they are on."""
    schemas = document["components"]["schemas"]
    names = {old: _PAGE.sub(r"\1Page", old).removesuffix("Shape") for old in schemas}
    taken = list(names.values())
    names = {old: new if taken.count(new) == 1 else old for old, new in names.items()}
    document["components"]["schemas"] = {
        names[old]: schema | ({"title": names[old]} if "title" in schema else {}) for old, schema in schemas.items()
    }
    _point(document, {f"#/components/schemas/{old}": f"#/components/schemas/{new}" for old, new in names.items()})


def _point(node: Any, moved: dict[str, str]) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            node["$ref"] = moved.get(node["$ref"], node["$ref"])
        for value in node.values():
            _point(value, moved)
    elif isinstance(node, list):
        for value in node:
            _point(value, moved)


# --- for the reference page ------------------------------------------------------------------------------------------


def make_older(document: Node) -> Node:
    """The same in OpenAPI 3.0: null and license spelled its way, without what it does not know."""
    document["openapi"] = "3.0.3"
    document["info"]["license"].pop("identifier", None)
    del document["components"]["securitySchemes"]["certificate"]
    for item in document["paths"].values():
        for operation in item.values():
            operation["security"] = [need for need in operation["security"] if "certificate" not in need]
    for schema in document["components"]["schemas"].values():
        _make_older(schema)
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation["parameters"]:
                _make_older(parameter["schema"])
            for part in [operation.get("requestBody", {}), *operation["responses"].values()]:
                for content in part.get("content", {}).values():
                    _make_older(content["schema"])
    return document


def _make_older(schema: Node) -> None:
    kinds = schema.get("type")
    if isinstance(kinds, list):
        others = [kind for kind in kinds if kind != "null"]
        schema.pop("type")
        schema |= {"type": others[0]} if len(others) == 1 else {"anyOf": [{"type": kind} for kind in others]}
        schema["nullable"] = len(others) < len(kinds)
    choices = schema.get("anyOf", [])
    if {"type": "null"} in choices:
        schema["anyOf"] = [choice for choice in choices if choice != {"type": "null"}]
        schema["nullable"] = True
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if "examples" in schema:
        schema["example"] = schema.pop("examples")[0]
    for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in schema:
            schema |= {limit: schema[exclusive], exclusive: True}
    for member in [*schema.get("properties", {}).values(), *schema.get("anyOf", []), *schema.get("allOf", [])]:
        _make_older(member)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            _make_older(schema[key])
