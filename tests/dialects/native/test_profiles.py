"""/sensor-profiles and /device-profiles over HTTP."""

from typing import Any

import pytest

from roadstead.kernel.actor import GRANTS_OF_ROLE, Role
from tests.conftest import Tenant
from tests.dialects.native.fleet import MOTOR, PUMP, add_device, add_profiles, ok, problem

SENSOR = "/api/v1/sensor-profiles"
DEVICE = "/api/v1/device-profiles"


async def keys(tenant: Tenant, path: str, **params: Any) -> list[str]:
    """`key@version` of the profiles of a list, in its order."""
    items = ok(await tenant.api.get(path, params=params))["items"]
    return [f"{item['key']}@{item['profileVersion']}" for item in items]


async def test_a_profile_comes_back_as_it_was_created(acme: Tenant, globex: Tenant) -> None:
    schema = {"type": "object", "properties": {"interval": {"type": "integer"}}}
    sent: dict[str, Any] = MOTOR | {"description": "spins", "configSchema": schema}
    created = await acme.api.post(SENSOR, json=sent)
    profile = ok(created)
    answer = await acme.api.get(f"{SENSOR}/{profile['id']}")

    assert {key: profile[key] for key in sent} == sent
    assert (profile["deprecated"], created.headers["location"]) == (False, f"{SENSOR}/{profile['id']}")
    assert (ok(answer), answer.headers["etag"]) == (profile, '"1"')
    assert (await acme.api.get(f"{SENSOR}/{profile['id']}", headers={"if-none-match": '"1"'})).status_code == 304
    assert problem(await acme.api.post(SENSOR, json=sent))[:2] == (409, "name-taken")
    for path in (profile["id"], "motor/versions"):
        assert (await globex.api.get(f"{SENSOR}/{path}")).status_code == 404
    assert await keys(globex, SENSOR) == []
    ok(await globex.api.post(SENSOR, json=sent))


async def test_a_device_profile_binds_its_components_to_versions(acme: Tenant, globex: Tenant) -> None:
    ok(await acme.api.post(SENSOR, json=MOTOR))
    fields = [*MOTOR["fields"], {"name": "torque", "valueType": "DOUBLE"}]
    ok(await acme.api.post(SENSOR, json=MOTOR | {"profileVersion": "1.1", "fields": fields}))
    component = {"key": "motor", "name": "The motor", "sensorProfile": "motor"}
    sent: dict[str, Any] = PUMP | {
        "components": [component],
        "writableFields": [{"name": "speed", "valueType": "BIGINT", "writable": True}],
        "commands": [{"type": "PRIME", "paramsSchema": {"type": "object"}}],
    }
    profile = ok(await acme.api.post(DEVICE, json=sent))

    assert profile["components"] == [component | {"sensorProfile": "motor@1.1"}]
    assert {key: profile[key] for key in ("writableFields", "commands")} == {
        key: sent[key] for key in ("writableFields", "commands")
    }
    assert ok(await acme.api.get(f"{DEVICE}/{profile['id']}")) == profile
    answer = await globex.api.post(DEVICE, json=sent)
    assert problem(answer)[::2] == (422, ["/components/0/sensorProfile"])


@pytest.mark.parametrize(
    ("version", "change", "pointers"),
    [
        ("1.1", {}, []),
        ("1.1", {"max": 10_000}, []),
        ("1.1", {"min": None}, []),
        ("1.1", {"label": "Speed", "description": "x", "required": False, "writable": True}, []),
        ("1.1", {"valueType": "BIGINT"}, ["/fields/0/valueType"]),
        ("1.1", {"unit": "Hz"}, ["/fields/0/unit"]),
        ("1.1", {"min": 1}, ["/fields/0/min"]),
        ("1.1", {"max": 8999}, ["/fields/0/max"]),
        ("1.1", {"enum": [1, 2]}, ["/fields/0/enum"]),
        ("1.1", {"arraySize": 2}, ["/fields/0/arraySize"]),
        ("1.1", {"name": "speed"}, ["/fields", "/fields/0/required"]),
        ("2.0", {"valueType": "BIGINT", "unit": "Hz", "min": 1}, []),
        ("1.0", {"max": 10_000}, None),
        ("0.9", {}, []),
    ],
)
async def test_what_breaks_raises_the_major_number(
    acme: Tenant, version: str, change: dict[str, Any], pointers: list[str] | None
) -> None:
    ok(await acme.api.post(SENSOR, json=MOTOR))
    fields: Any = MOTOR["fields"]
    changed = {name: value for name, value in (fields[0] | change).items() if value is not None}
    answer = await acme.api.post(SENSOR, json=MOTOR | {"profileVersion": version, "fields": [changed, *fields[1:]]})
    if pointers is None:
        assert problem(answer)[:2] == (409, "name-taken")
    elif pointers:
        assert problem(answer) == (422, "version-rule", pointers)
    else:
        ok(answer)


async def test_an_optional_field_may_be_added_and_a_required_one_only_with_a_new_major(acme: Tenant) -> None:
    ok(await acme.api.post(SENSOR, json=MOTOR))
    field = {"name": "torque", "valueType": "DOUBLE"}

    async def add(version: str, **more: Any) -> Any:
        fields = [*MOTOR["fields"], field | more]
        return await acme.api.post(SENSOR, json=MOTOR | {"profileVersion": version, "fields": fields})

    assert problem(await add("1.1", required=True)) == (422, "version-rule", ["/fields/3/required"])
    ok(await add("1.1"))
    ok(await add("2.0", required=True))
    late = await acme.api.post(SENSOR, json=MOTOR | {"profileVersion": "1.0"})
    assert problem(late)[:2] == (409, "name-taken")
    backwards = await acme.api.post(SENSOR, json=MOTOR | {"profileVersion": "1.2"})
    assert problem(backwards) == (422, "version-rule", ["/fields"])


async def test_device_profiles_follow_the_same_rule(acme: Tenant) -> None:
    await add_profiles(acme)
    ok(await acme.api.post(SENSOR, json=MOTOR | {"profileVersion": "2.0"}))
    motor: Any = PUMP["components"][0]
    other = {"key": "other", "name": "Other", "sensorProfile": "motor@1.0"}
    for components, pointers in (
        ([], ["/components"]),
        ([motor | {"sensorProfile": "motor@2.0"}], ["/components/0/sensorProfile"]),
        ([motor, other | {"required": True}], ["/components/1/required"]),
    ):
        answer = await acme.api.post(DEVICE, json=PUMP | {"profileVersion": "1.1", "components": components})
        assert problem(answer) == (422, "version-rule", pointers)
    ok(await acme.api.post(DEVICE, json=PUMP | {"profileVersion": "1.1", "components": [motor, other]}))
    ok(await acme.api.post(DEVICE, json=PUMP | {"profileVersion": "2.0", "components": []}))


async def test_what_is_wrong_with_a_profile_is_named(acme: Tenant) -> None:
    def with_field(**change: Any) -> Any:
        return {"fields": [{"name": "a", "valueType": "DOUBLE"} | change]}

    for change, pointer in (
        ({"key": "a b"}, "/key"),
        ({"key": ""}, "/key"),
        ({"profileVersion": "1"}, "/profileVersion"),
        ({"profileVersion": "01.2"}, "/profileVersion"),
        ({"fields": []}, "/fields"),
        ({"version": "1.0"}, "/version"),
        (with_field(name="1a"), "/fields/0/name"),
        (with_field(valueType="FLOAT"), "/fields/0/valueType"),
        (with_field(min=2, max=1), "/fields/0/max"),
        (with_field(valueType="TEXT", max=1), "/fields/0/max"),
        (with_field(arraySize=0), "/fields/0/arraySize"),
        (with_field(enum=["x"]), "/fields/0/enum"),
        (with_field(colour="red"), "/fields/0/colour"),
        ({"fields": [{"name": "a", "valueType": "TEXT"}] * 2}, "/fields/1/name"),
        ({"configSchema": {"type": "thing"}}, "/configSchema"),
    ):
        assert problem(await acme.api.post(SENSOR, json=MOTOR | change))[::2] == (422, [pointer]), change
    for change, pointer in (
        ({"components": [{"key": "a/b", "name": "x", "sensorProfile": "motor"}]}, "/components/0/key"),
        ({"components": [{"key": "a", "name": "x", "sensorProfile": "m@1"}]}, "/components/0/sensorProfile"),
        ({"components": [{"key": "a", "name": "x"}]}, "/components/0/sensorProfile"),
        ({"components": [], "commands": [{"type": "", "paramsSchema": {}}]}, "/commands/0/type"),
        ({"components": [], "commands": [{"type": "A", "paramsSchema": {"type": 5}}]}, "/commands/0/paramsSchema"),
    ):
        assert problem(await acme.api.post(DEVICE, json=PUMP | change))[::2] == (422, [pointer]), change


@pytest.mark.parametrize("path", [SENSOR, DEVICE])
async def test_profiles_are_listed_by_their_newest_version(acme: Tenant, path: str) -> None:
    ok(await acme.api.post(SENSOR, json=MOTOR | {"key": "base"}))
    body: Any = (MOTOR if path == SENSOR else PUMP | {"components": []}) | {"name": "Thing"}
    for key, version in (("a", "1.0"), ("a", "1.2"), ("a", "1.10"), ("b", "2.0")):
        ok(await acme.api.post(path, json=body | {"key": key, "profileVersion": version}))
    if path == SENSOR:
        ok(
            await acme.api.delete(
                f"{SENSOR}/{ok(await acme.api.get(SENSOR, params={'key': 'base'}))['items'][0]['id']}"
            )
        )
    for params, found in (
        ({}, ["a@1.10", "b@2.0"]),
        ({"sort": "-key"}, ["b@2.0", "a@1.10"]),
        ({"sort": "-createdAt"}, ["b@2.0", "a@1.10"]),
        ({"allVersions": "true"}, ["a@1.0", "a@1.2", "a@1.10", "b@2.0"]),
        ({"key": "a", "version": "1.2"}, ["a@1.2"]),
        ({"key": "a", "version": "3.0"}, []),
        ({"key": "b"}, ["b@2.0"]),
        ({"q": "HIN"}, ["a@1.10", "b@2.0"]),
        ({"q": "zzz"}, []),
        ({"packId": "x"}, []),
    ):
        assert await keys(acme, path, **params) == found, params
    assert problem(await acme.api.get(path, params={"version": "x"}))[::2] == (422, ["version"])
    paged = await acme.api.get(path, params={"allVersions": "true", "limit": 2})
    rest = await keys(acme, path, allVersions="true", limit=2, cursor=ok(paged)["nextCursor"])
    assert rest == ["a@1.10", "b@2.0"]
    versions = ok(await acme.api.get(f"{path}/a/versions"))["items"]
    assert [item["profileVersion"] for item in versions] == ["1.10", "1.2", "1.0"]


@pytest.mark.parametrize("path", [SENSOR, DEVICE])
async def test_a_deprecated_version_stays_usable_and_is_passed_over_by_its_key(acme: Tenant, path: str) -> None:
    await add_profiles(acme)
    body: Any = MOTOR if path == SENSOR else PUMP
    second = ok(await acme.api.post(path, json=body | {"profileVersion": "1.1"}))
    answer = await acme.api.post(f"{path}/{second['id']}/deprecate")
    assert (ok(answer)["deprecated"], answer.headers["etag"]) == (True, '"2"')

    if path == DEVICE:
        assert (await add_device(acme, "a", deviceProfile="pump"))["deviceProfile"] == "pump@1.0"
        assert (await add_device(acme, "b", deviceProfile="pump@1.1"))["deviceProfile"] == "pump@1.1"


async def test_only_a_version_that_nobody_uses_is_deleted(acme: Tenant, globex: Tenant) -> None:
    await add_profiles(acme)
    (motor,) = ok(await acme.api.get(SENSOR))["items"]
    (pump,) = ok(await acme.api.get(DEVICE))["items"]
    device = await add_device(acme, "a", deviceProfile="pump")
    for path in (f"{SENSOR}/{motor['id']}", f"{DEVICE}/{pump['id']}"):
        assert problem(await acme.api.delete(path))[:2] == (409, "in-use")
        assert (await globex.api.delete(path)).status_code == 404

    ok(await acme.api.delete(f"/api/v1/devices/{device['id']}"))
    assert problem(await acme.api.delete(f"{SENSOR}/{motor['id']}"))[:2] == (409, "in-use")
    assert (await acme.api.delete(f"{DEVICE}/{pump['id']}")).status_code == 204
    assert (await acme.api.delete(f"{SENSOR}/{motor['id']}")).status_code == 204


async def test_a_payload_is_checked_as_ingestion_would(acme: Tenant) -> None:
    profile = ok(await acme.api.post(SENSOR, json=MOTOR))

    async def check(payload: Any) -> Any:
        return ok(await acme.api.post(f"{SENSOR}/{profile['id']}/validate", json={"payload": payload}))

    assert await check({"rpm": 5, "starts": 3, "phases": [1, 2.5]}) == {"valid": True, "errors": []}
    bad = await check({"starts": 1.5, "phases": [1], "colour": "red"})
    assert bad["valid"] is False
    assert sorted((error["pointer"], error["code"]) for error in bad["errors"]) == [
        ("/colour", "UNKNOWN_SENSOR"),
        ("/phases", "ARRAY_SIZE"),
        ("/rpm", "MISSING_FIELD"),
        ("/starts", "TYPE_MISMATCH"),
    ]


async def test_members_read_profiles_and_do_not_write_them(acme: Tenant) -> None:
    member = acme.client(await acme.add_key(sorted(GRANTS_OF_ROLE[Role.MEMBER])))
    assert (await member.get(SENSOR)).status_code == 200
    assert problem(await member.post(SENSOR, json=MOTOR))[:2] == (403, "scope-missing")
