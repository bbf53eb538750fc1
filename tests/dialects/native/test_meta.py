"""About the installation: health, information, the OpenAPI document and its page."""

import re
from typing import Any

import httpx
import jsonschema_rs
import msgspec
import yaml
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

from roadstead.dialects.native.app import make_litestar
from roadstead.dialects.native.example_answers import ANSWERS
from roadstead.dialects.native.examples import BODIES
from roadstead.kernel.errors import Unavailable
from roadstead.web.edge import Edge
from tests.architecture.test_ledger import served_operations
from tests.conftest import Tenant, app_of
from tests.dialects.native.fleet import ok, problem


def anonymous(edge: Edge) -> httpx.AsyncClient:
    """Somebody without a credential, from somewhere else."""
    transport = httpx.ASGITransport(app_of(edge), client=("192.0.2.77", 1))
    return httpx.AsyncClient(transport=transport, base_url="http://api.test")


async def gone() -> None:
    """A part that is away."""
    raise Unavailable("gone")


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every operation by its id."""
    return {
        operation["operationId"]: operation | {"path": path, "method": method}
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


async def document_of(edge: Edge) -> Any:
    """The document, as served."""
    return ok(await anonymous(edge).get("/api/v3/api-docs"))


async def test_the_document_is_openapi_3_1_and_the_page_gets_3_0(edge: Edge) -> None:
    document = await document_of(edge)
    older = ok(await anonymous(edge).get("/api/docs/openapi.json"))

    OpenAPIV31SpecValidator(document).validate()
    OpenAPIV30SpecValidator(older).validate()
    assert (document["openapi"], older["openapi"]) == ("3.1.0", "3.0.3")
    assert document["servers"] == [{"url": edge.ports.public_url}]


async def test_the_document_is_the_same_in_yaml(edge: Edge) -> None:
    answer = await anonymous(edge).get("/api/v3/api-docs.yaml")

    assert answer.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(answer.text) == await document_of(edge)


async def test_every_operation_is_told_completely(edge: Edge) -> None:
    document = await document_of(edge)
    tags = {tag["name"] for tag in document["tags"]}
    told = operations(document)

    assert told.keys() == served_operations(make_litestar(edge)).keys()
    for name, operation in told.items():
        assert operation["summary"], name
        assert set(operation["tags"]) <= tags, name
        assert {"429", "500", "503"} <= operation["responses"].keys(), name
        assert any(status < "400" for status in operation["responses"]), name
        assert all(parameter.get("schema") for parameter in operation["parameters"]), name
        if operation["security"]:
            assert {"401", "403"} <= operation["responses"].keys(), name
        named = set(re.findall(r"{(\w+)}", operation["path"]))
        assert named == {one["name"] for one in operation["parameters"] if one["in"] == "path"}, name


async def test_every_body_has_an_example_that_fits_its_schema(edge: Edge) -> None:
    document = await document_of(edge)
    told = operations(document)

    bodies = {
        name: operation["requestBody"]["content"] for name, operation in told.items() if "requestBody" in operation
    }
    assert {name for name, content in bodies.items() if "application/json" in content} == BODIES.keys()
    assert bodies.keys() - BODIES.keys() == {"blob.put", "firmware.upload"}  # files
    for name, operation in told.items():
        if name in BODIES:
            content = operation["requestBody"]["content"]["application/json"]
            check(document, content["schema"], content["example"], name)


async def test_every_example_of_an_answer_fits_its_schema(edge: Edge) -> None:
    document = await document_of(edge)
    told = operations(document)

    for name, (status, example) in ANSWERS.items():
        content = told[name]["responses"][status]["content"]["application/json"]
        assert content["example"] == example
        check(document, content["schema"], example, name)
    for response in document["components"]["responses"].values():
        [content] = response["content"].values()
        check(document, content["schema"], content["example"], response["description"])


def check(document: dict[str, Any], schema: dict[str, Any], value: Any, what: str) -> None:
    """Fail unless a value fits a schema of the document."""
    whole = schema | {"components": document["components"]}
    errors = [error.message for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)]
    assert not errors, (what, errors)


async def test_answers_have_no_null_in_their_schemas(edge: Edge) -> None:
    schemas = (await document_of(edge))["components"]["schemas"]

    assert "null" not in msgspec.json.encode([schemas["Device"], schemas["Reading"], schemas["Problem"]]).decode()
    assert not [name for name in schemas if "roadstead" in name]


async def test_the_page_works_without_the_internet_under_a_strict_policy(edge: Edge) -> None:
    client = anonymous(edge)
    page = await client.get("/api/docs")

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "http" not in re.sub(r"http-equiv", "", page.text)
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        part = await client.get(f"/api/{path}")
        assert part.status_code == 200, path
        assert len(part.content) > 100
    assert (await client.get("/api/docs/secrets.txt")).status_code == 404


async def test_documentation_can_be_switched_off(edge: Edge) -> None:
    client = anonymous(msgspec.structs.replace(edge, expose_docs=False))

    for path in ("/api/v3/api-docs", "/api/v3/api-docs.yaml", "/api/docs", "/api/docs/openapi.json"):
        assert problem(await client.get(path))[:2] == (404, "not-found")


async def test_a_process_is_ready_when_all_it_needs_is_there(edge: Edge) -> None:
    well = await anonymous(edge).get("/api/health/ready")
    ill = await anonymous(msgspec.structs.replace(edge, checks={"database": gone})).get("/api/health/ready")

    assert (well.status_code, well.json()) == (200, {"status": "UP", "checks": {"database": "UP", "bus": "UP"}})
    assert (ill.status_code, ill.json()) == (503, {"status": "DOWN", "checks": {"database": "DOWN"}})
    assert ok(await anonymous(edge).get("/api/health/live")) == {"status": "UP"}


async def test_information_says_where_devices_connect_and_what_is_served(edge: Edge) -> None:
    info = ok(await anonymous(edge).get("/api/v1/info"))

    assert (info["apiVersion"], info["mqtt"]) == ("v1", {"host": "api.test", "port": 8883})
    assert {"reading", "quarantine", "device", "stream"} <= set(info["features"])
    assert "billing" not in info["features"]
    assert info["limits"]["readingsPerRequest"] == 5_000


async def test_requests_are_measured_by_their_route(edge: Edge, acme: Tenant) -> None:
    client = acme.client(acme.key)
    await client.get("/api/v1/readings/sensor/6b014d10-2f41-8c7e-8000-000a91e2d4f7/latest")
    await client.get("/api/nothing/here")

    labels = {labels for labels in edge.metrics.requests._metrics if labels[2] == "4xx"}
    assert ("GET", "/api/v1/readings/sensor/{sensorId}/latest", "4xx") in labels
    assert ("GET", "(none)", "4xx") in labels
