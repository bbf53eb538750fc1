"""/schemas over HTTP."""

from tests.conftest import Tenant
from tests.dialects.native.fleet import add_profiles, ok

SCHEMAS = "/api/schemas"
CONTEXT = ["dtmi:dtdl:context;3", {"profile": "urn:roadstead:profile:"}]


async def test_profiles_are_exported_as_interfaces(acme: Tenant, globex: Tenant) -> None:
    await add_profiles(acme)
    extra = {
        "key": "valve",
        "profileVersion": "1.0",
        "name": "Valve",
        "fields": [
            {"name": "mode", "valueType": "TEXT", "enum": ["auto", "2 hand"], "writable": True, "label": "Mode"},
            {"name": "open", "valueType": "BOOLEAN"},
        ],
    }
    ok(await acme.api.post("/api/v1/sensor-profiles", json=extra))
    items = {item["key"]: item for item in ok(await acme.api.get(SCHEMAS))["items"]}
    motor, valve, pump = [await acme.api.get(items[key]["href"]) for key in ("motor", "valve", "pump")]

    assert {key: (item["kind"], item["version"]) for key, item in items.items()} == {
        "motor": ("sensor-profile", "1.0"),
        "valve": ("sensor-profile", "1.0"),
        "pump": ("device-profile", "1.0"),
    }
    assert motor.headers["content-type"].startswith("application/ld+json")
    assert motor.json() == {
        "@context": CONTEXT,
        "@id": "dtmi:roadstead:sensor:motor;1.0",
        "@type": "Interface",
        "displayName": "Motor",
        "profile:key": "motor",
        "contents": [
            {
                "@type": "Telemetry",
                "name": "rpm",
                "schema": "double",
                "profile:unit": "1/min",
                "profile:min": 0,
                "profile:max": 9000,
                "profile:required": True,
            },
            {"@type": "Telemetry", "name": "starts", "schema": "long"},
            {
                "@type": "Telemetry",
                "name": "phases",
                "schema": {"@type": "Array", "elementSchema": "double"},
                "profile:arraySize": 2,
            },
        ],
    }
    assert valve.json()["contents"] == [
        {
            "@type": "Property",
            "name": "mode",
            "displayName": "Mode",
            "schema": {
                "@type": "Enum",
                "valueSchema": "string",
                "enumValues": [{"name": "auto", "enumValue": "auto"}, {"name": "value1", "enumValue": "2 hand"}],
            },
            "writable": True,
        },
        {"@type": "Telemetry", "name": "open", "schema": "boolean"},
    ]
    assert pump.json()["contents"] == [
        {
            "@type": "Component",
            "name": "motor",
            "displayName": "The motor",
            "schema": "dtmi:roadstead:sensor:motor;1.0",
            "profile:key": "motor",
            "profile:required": True,
        }
    ]
    assert ok(await globex.api.get(SCHEMAS)) == {"items": []}
    for item in items.values():
        assert (await globex.api.get(item["href"])).status_code == 404


async def test_an_export_that_the_caller_has_is_not_sent_again(acme: Tenant) -> None:
    await add_profiles(acme)
    for item in ok(await acme.api.get(SCHEMAS))["items"]:
        etag = (await acme.api.get(item["href"])).headers["etag"]
        again = await acme.api.get(item["href"], headers={"if-none-match": f'"x", {etag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert (await acme.api.get(item["href"], headers={"if-none-match": '"x"'})).status_code == 200
