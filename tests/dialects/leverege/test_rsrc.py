"""Documents beside a device."""

from typing import Any

import pytest

from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.world import add_blueprint, add_object, add_system

ALERTS = "p/rules/p/safety/p/alerts"


async def tag(tenant: Tenant) -> tuple[Client, dict[str, Any]]:
    """A client, and the names of a device of its."""
    client = await Client.of(tenant)
    await add_system(client, "main")
    await add_blueprint(client, "tag")
    made = await add_object(client, "main/tag", name="T")
    return client, {"systemId": "main", "blueprint": "tag", "objId": made["id"]}


async def test_documents_are_put_read_listed_and_deleted(acme: Tenant, globex: Tenant) -> None:
    client, names = await tag(acme)
    stranger, _ = await tag(globex)
    for key, low in (("b", 2), ("a", 1)):
        made = await client.data(
            "interface.rsrc-put",
            json={"type": "rule", "low": low, "nested": {"on": True, "none": None}},
            rsrcPath=f"{ALERTS}/p/{key}",
            **names,
        )
        assert (made["id"], made["type"], made["path"]) == (key, "rule", f"{ALERTS}/p/{key}")
        assert made["data"] == {"low": low, "nested": {"on": True, "none": None}}
    await client.data("interface.rsrc-put", json={"type": "other"}, rsrcPath="p/others", **names)
    every = {"children": "true", "offset": 0, "limit": 9999}
    below = await client.data("interface.rsrc-list", params=every, rsrcPath=ALERTS, **names)
    assert [item["data"]["low"] for item in below["items"]] == [1, 2]
    assert (below["count"], below["total"], below["offset"], below["limit"]) == (2, 2, 0, 9999)
    page = await client.data("interface.rsrc-list", params=every | {"offset": 1, "limit": 1}, rsrcPath="", **names)
    assert ([item["id"] for item in page["items"]], page["total"]) == (["a"], 3)

    again = await client.data("interface.rsrc-put", json={"type": "rule"}, rsrcPath=f"{ALERTS}/p/a", **names)
    assert again["data"] == {} and again["lastModified"] >= again["created"]
    assert (await client.data("interface.rsrc-get", rsrcPath=f"{ALERTS}/p/a", **names))["data"] == {}
    assert await stranger.failure("interface.rsrc-get", rsrcPath=f"{ALERTS}/p/a", **names) == 404
    assert await client.failure("interface.rsrc-get", rsrcPath=ALERTS, **names) == 404

    assert await client.data("interface.rsrc-delete", rsrcPath="p/rules", **names) == {"status": 200}
    assert await client.failure("interface.rsrc-delete", rsrcPath="p/rules", **names) == 404
    left = await client.data("interface.rsrc-list", params=every, rsrcPath="", **names)
    assert [item["id"] for item in left["items"]] == ["others"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("rules/p", {"type": "rule"}, 400),
        ("p", {"type": "rule"}, 400),
        ("", {"type": "rule"}, 400),
        ("p/a", {}, 400),
        ("p/a", {"type": ""}, 400),
        ("p/a", [], 400),
        ("p/a", {"type": "rule", "x": "\0"}, 400),
        ("/".join(["p/a"] * 21), {"type": "rule"}, 400),
        ("p/a", {"type": "rule", "x": "y" * 70_000}, 413),
    ],
)
async def test_what_is_no_document_is_refused(acme: Tenant, path: str, body: Any, status: int) -> None:
    client, names = await tag(acme)
    assert await client.failure("interface.rsrc-put", json=body, rsrcPath=path, **names) == status


async def test_keys_may_hold_slashes_and_go_with_their_device(acme: Tenant) -> None:
    client, names = await tag(acme)
    made = await client.data("interface.rsrc-put", json={"type": "rule"}, rsrcPath="p/a%2Fb%20c", **names)
    assert made["id"] == "a/b c"
    assert (await client.data("interface.rsrc-get", rsrcPath="p/a%2Fb%20c", **names))["id"] == "a/b c"
    await client.data("interface.delete", **names)
    assert await client.failure("interface.rsrc-get", rsrcPath="p/a%2Fb%20c", **names) == 404
