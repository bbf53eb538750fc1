"""Versions of configurations, through the API."""

import hashlib
from typing import Any

import httpx
import jsonpatch
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.core.configuration.content import canonical, difference
from tests.conftest import Tenant
from tests.dialects.native.fleet import PUMP, add_device, ok, problem
from tests.people import last_actions

PATH = "/api/v1/config-artefacts"
SCHEMA = {
    "type": "object",
    "required": ["interval"],
    "properties": {"interval": {"type": "integer", "minimum": 1}},
    "additionalProperties": False,
}


async def add_artefact(tenant: Tenant, name: str, content: Any, **fields: Any) -> Any:
    """A version, as answered."""
    return ok(await tenant.api.post(PATH, json={"name": name, "content": content, **fields}))


async def test_versions_count_up_within_a_name_and_tenant(acme: Tenant, globex: Tenant) -> None:
    first = await add_artefact(acme, "network", {"b": 1, "a": [1.0, 2]}, description="as delivered")
    second = await add_artefact(acme, "network", {"b": 2})
    other = await add_artefact(acme, "limits", {"b": 2})
    theirs = await add_artefact(globex, "network", {"b": 2})

    assert [first["artefactVersion"], second["artefactVersion"], other["artefactVersion"]] == [1, 2, 1]
    assert theirs["artefactVersion"] == 1
    body = b'{"a":[1,2],"b":1}'
    assert first["sha256"] == hashlib.sha256(body).hexdigest()
    assert (first["sizeBytes"], first["contentType"], first["inUse"]) == (len(body), "application/json", False)
    content = await acme.api.get(f"{PATH}/{first['id']}/content")
    assert (content.content, content.headers["content-type"]) == (body, "application/json")
    assert ok(await acme.api.get(f"{PATH}/{first['id']}")) == first
    assert await last_actions(acme, 1) == ["config-artefact.create"]


async def test_the_same_content_is_the_same_version(acme: Tenant) -> None:
    first = await acme.api.post(PATH, json={"name": "network", "content": {"a": 1, "b": 2.0}})
    again = await acme.api.post(PATH, json={"name": "network", "content": {"b": 2, "a": 1}})
    other_type = await acme.api.post(
        PATH, json={"name": "network", "content": {"a": 1, "b": 2}, "contentType": "application/vnd.acme+json"}
    )

    assert (first.status_code, again.status_code, other_type.status_code) == (201, 200, 201)
    assert again.json() == first.json()
    assert "location" not in again.headers
    assert first.headers["etag"] == '"1"'


async def test_a_number_is_never_given_twice(acme: Tenant) -> None:
    first = await add_artefact(acme, "network", {"a": 1})
    ok(await acme.api.delete(f"{PATH}/{first['id']}"))
    assert (await add_artefact(acme, "network", {"a": 1}))["artefactVersion"] == 2
    assert problem(await acme.api.get(f"{PATH}/{first['id']}"))[:2] == (404, "not-found")


async def test_content_fits_the_schema_of_its_profile(acme: Tenant) -> None:
    ok(await acme.api.post("/api/v1/device-profiles", json={**PUMP, "components": [], "configSchema": SCHEMA}))

    made = await add_artefact(acme, "sampling", {"interval": 5}, profile="pump")
    assert made["profile"] == "pump@1.0"
    bad = await acme.api.post(
        PATH, json={"name": "sampling", "content": {"interval": 0, "x/y": 1}, "profile": "pump@1.0"}
    )
    assert problem(bad)[:2] == (422, "schema-violation")
    assert "/content/interval" in problem(bad)[2]
    unknown = await acme.api.post(PATH, json={"name": "sampling", "content": {}, "profile": "valve@1.0"})
    assert problem(unknown) == (422, "validation-failed", ["/profile"])


async def test_a_schema_reaches_nothing_outside_itself(acme: Tenant) -> None:
    schema = {"$ref": "http://127.0.0.1:1/secret.json"}
    ok(await acme.api.post("/api/v1/device-profiles", json={**PUMP, "components": [], "configSchema": schema}))
    answer = await acme.api.post(PATH, json={"name": "sampling", "content": {}, "profile": "pump"})
    assert problem(answer) == (422, "validation-failed", ["/profile"])


async def test_what_cannot_be_kept_is_refused_with_a_reason(acme: Tenant) -> None:
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    for body, code, pointers in (
        ({"name": "a b", "content": 1}, "validation-failed", ["/name"]),
        ({"name": "a"}, "validation-failed", ["/content"]),
        ({"name": "a", "content": 1, "storageKey": "x"}, "validation-failed", ["/content"]),
        ({"name": "a", "content": 1, "contentType": "text/html"}, "validation-failed", ["/contentType"]),
        ({"name": "a", "content": 2**60}, "validation-failed", ["/content"]),
        ({"name": "a", "content": deep}, "validation-failed", ["/content"]),
        ({"name": "a", "content": 1, "more": 1}, "unknown-field", ["/more"]),
        ({"name": "a", "content": 1, "profile": "a@b"}, "validation-failed", ["/profile"]),
    ):
        answer = await acme.api.post(PATH, json=body)
        assert problem(answer) == (422, code, pointers), body
    large = await acme.api.post(PATH, json={"name": "a", "content": "x" * 262_144})
    assert problem(large)[:2] == (413, "too-large")
    nothing = await acme.api.post(PATH, json={"name": "a", "storageKey": "6b014cf4-9c1e-8b3a-8000-0004d2a1b3c5/x"})
    assert problem(nothing)[:2] == (409, "invalid-state")


async def test_large_content_is_uploaded(acme: Tenant, globex: Tenant) -> None:
    body = b"PNG" * 200_000
    ask = {
        "fileName": "logo ä.png",
        "contentType": "image/png",
        "sizeBytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    url = ok(await acme.api.post(f"{PATH}/upload-url", json=ask))
    early = await acme.api.post(PATH, json={"name": "logo", "storageKey": url["storageKey"]})
    assert problem(early)[:2] == (409, "invalid-state")
    async with acme.client() as nobody:
        sent = await nobody.request(url["method"], url["uploadUrl"], content=body, headers=url["headers"])
    assert sent.is_success, sent.text
    assert problem(await globex.api.post(PATH, json={"name": "logo", "storageKey": url["storageKey"]}))[0] == 409

    made = ok(await acme.api.post(PATH, json={"name": "logo", "storageKey": url["storageKey"]}))
    assert (made["contentType"], made["sizeBytes"], made["sha256"]) == ("image/png", len(body), ask["sha256"])
    assert "content" not in made
    content = await acme.api.get(f"{PATH}/{made['id']}/content")
    assert content.status_code == 302
    async with acme.client() as nobody:
        fetched = await nobody.get(content.headers["location"])
    assert fetched.content == body
    assert "logo%20%C3%A4.png" in fetched.headers["content-disposition"]
    other = await add_artefact(acme, "logo", {})
    assert problem(await acme.api.get(f"{PATH}/{other['id']}/diff", params={"against": made["id"]}))[0] == 422


async def test_two_versions_can_be_compared(acme: Tenant, globex: Tenant) -> None:
    before = await add_artefact(acme, "network", {"host": "a", "ports": [1, 2]})
    after = await add_artefact(acme, "network", {"host": "b", "ports": [1]})

    answer = await acme.api.get(f"{PATH}/{after['id']}/diff", params={"against": before["id"]})
    assert answer.headers["content-type"] == "application/json-patch+json"
    assert jsonpatch.apply_patch(before["content"], ok(answer)) == after["content"]
    foreign = await add_artefact(globex, "network", {})
    missing = await acme.api.get(f"{PATH}/{after['id']}/diff", params={"against": foreign["id"]})
    assert problem(missing)[:2] == (404, "not-found")
    assert problem(await acme.api.get(f"{PATH}/{after['id']}/diff"))[0] == 422


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab/~", max_size=2),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=50)
@given(_json, _json)
def test_a_patch_makes_the_one_of_the_other(before: Any, after: Any) -> None:
    one, other = canonical(before), canonical(after)
    patched = jsonpatch.apply_patch(before, difference(one.body, other.body))
    assert rfc8785.dumps(patched) == other.body


async def test_versions_are_found_by_what_is_known_of_them(acme: Tenant, globex: Tenant) -> None:
    ok(await acme.api.post("/api/v1/device-profiles", json={**PUMP, "components": []}))
    await add_artefact(acme, "network", 1)
    await add_artefact(acme, "network", 2)
    await add_artefact(acme, "limits", 1, profile="pump")
    await add_artefact(globex, "network", 1)

    async def find(**params: Any) -> list[tuple[str, int]]:
        found = ok(await acme.api.get(PATH, params=params))["items"]
        assert all("content" not in item for item in found)
        return [(item["name"], item["artefactVersion"]) for item in found]

    assert await find() == [("limits", 1), ("network", 2), ("network", 1)]
    assert await find(latestOnly="true", sort="name") == [("limits", 1), ("network", 2)]
    assert await find(name="network", sort="version") == [("network", 1), ("network", 2)]
    assert await find(profile="pump") == await find(profile="pump@1.0") == [("limits", 1)]
    assert await find(profile="pump@2.0") == []
    assert await find(q="NET") == [("network", 2), ("network", 1)]
    assert problem(await acme.api.get(PATH, params={"sort": "sha256"}))[0] == 422


async def test_a_version_in_use_stays(acme: Tenant) -> None:
    device = await add_device(acme, "pump-1")
    artefact = await add_artefact(acme, "network", {"a": 1})
    bound = {"targetType": "DEVICE", "targetId": device["id"], "configArtefactId": artefact["id"]}
    binding = ok(await acme.api.put("/api/v1/desired-state-bindings", json=bound))

    assert ok(await acme.api.get(f"{PATH}/{artefact['id']}"))["inUse"] is True
    assert problem(await acme.api.delete(f"{PATH}/{artefact['id']}"))[:2] == (409, "in-use")
    ok(await acme.api.delete(f"/api/v1/desired-state-bindings/{binding['id']}"))
    gone: httpx.Response = await acme.api.delete(f"{PATH}/{artefact['id']}")
    assert gone.status_code == 204
