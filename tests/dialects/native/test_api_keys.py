"""/api-keys over HTTP."""

from datetime import timedelta

from roadstead.kernel import time
from roadstead.kernel.actor import GRANTS_OF_ROLE, Grant, Role
from tests.conftest import Tenant
from tests.people import last_actions, person_client

KEYS = "/api/v1/api-keys"


async def test_a_secret_is_shown_once_and_works(acme: Tenant, globex: Tenant) -> None:
    body = {"name": "ci", "environment": "TEST", "scopes": ["devices:read"], "allowedCidrs": ["127.0.0.1"]}
    made = await acme.api.post(KEYS, json=body)
    key = made.json()
    assert (made.status_code, made.headers["etag"], made.headers["location"]) == (201, '"1"', f"{KEYS}/{key['id']}")
    assert (
        key["secret"].startswith(f"{key['prefix']}")
        and key["prefix"].startswith("sk_test_")
        and len(key["prefix"]) == 12
    )
    assert (key["scopes"], key["allowedCidrs"], key["status"]) == (["devices:read"], ["127.0.0.1/32"], "ACTIVE")

    assert (await acme.client(key["secret"]).get("/api/v1/auth/me")).json()["id"] == key["id"]
    one = await acme.api.get(f"{KEYS}/{key['id']}")
    assert "secret" not in one.json() and "lastUsedAt" in one.json()
    assert (await acme.api.get(f"{KEYS}/{key['id']}", headers={"If-None-Match": '"1"'})).status_code == 304
    assert (await globex.api.get(f"{KEYS}/{key['id']}")).status_code == 404
    async with acme.edge.tenant_database.tx(globex.tenant_id) as tx:
        assert await tx.value("SELECT count(*) FROM api_key WHERE tenant_id = %s", acme.tenant_id) == 0


async def test_a_key_can_do_what_its_maker_can_and_no_more(acme: Tenant) -> None:
    _, admin = await person_client(acme, Role.ADMIN)
    whole = (await admin.post(KEYS, json={"name": "all of mine"})).json()
    assert set(whole["scopes"]) == GRANTS_OF_ROLE[Role.ADMIN]
    more = await admin.post(KEYS, json={"name": "more", "scopes": ["organization:delete"]})
    assert (more.status_code, more.json()["code"]) == (403, "scope-missing")

    keys_only = acme.client(await acme.add_key([Grant.API_KEYS_WRITE, Grant.API_KEYS_READ]))
    assert (await keys_only.post(KEYS, json={"name": "x", "scopes": ["devices:read"]})).status_code == 403
    assert (await keys_only.post(f"{KEYS}/{whole['id']}/rotate", json={})).status_code == 403
    assert (await keys_only.patch(f"{KEYS}/{whole['id']}", json={"allowedCidrs": []})).status_code == 403
    _, member = await person_client(acme, Role.MEMBER)
    assert {(await member.get(KEYS)).status_code, (await member.post(KEYS, json={"name": "x"})).status_code} == {403}


async def test_scopes_only_become_fewer(acme: Tenant) -> None:
    key = (await acme.api.post(KEYS, json={"name": "x", "scopes": ["devices:read", "devices:write"]})).json()
    place = f"{KEYS}/{key['id']}"
    narrowed = await acme.api.patch(place, json={"name": "y", "scopes": ["devices:read"]}, headers={"If-Match": '"1"'})
    assert (narrowed.json()["name"], narrowed.json()["scopes"], narrowed.headers["etag"]) == (
        "y",
        ["devices:read"],
        '"2"',
    )
    assert (await acme.api.patch(place, json={"name": "z"}, headers={"If-Match": '"1"'})).status_code == 412
    wider = await acme.api.patch(place, json={"scopes": ["devices:read", "devices:write"]})
    assert (wider.status_code, wider.json()["errors"][0]["pointer"]) == (422, "/scopes")
    assert (await last_actions(acme, 1)) == ["api-key.update"]


async def test_rotating_and_revoking(acme: Tenant) -> None:
    key = (await acme.api.post(KEYS, json={"name": "x"})).json()
    place = f"{KEYS}/{key['id']}"
    rotated = (await acme.api.post(f"{place}/rotate", json={"graceSeconds": 60})).json()
    for secret in (key["secret"], rotated["secret"]):
        assert (await acme.client(secret).get("/api/v1/auth/me")).status_code == 200
    await acme.api.post(f"{place}/rotate")
    assert (await acme.client(key["secret"]).get("/api/v1/auth/me")).status_code == 401

    assert (await acme.api.delete(place)).status_code == 204
    assert (await acme.api.delete(place)).status_code == 204
    assert (await acme.api.get(place)).json()["status"] == "REVOKED"
    assert (await acme.api.post(f"{place}/rotate")).json()["code"] == "invalid-state"
    assert (await acme.api.post(f"{place}/rotate", json={"graceSeconds": 604_801})).status_code == 422


async def test_keys_are_listed_by_status(acme: Tenant, globex: Tenant) -> None:
    later = (time.now() + timedelta(hours=1)).isoformat()
    good = (await acme.api.post(KEYS, json={"name": "good", "expiresAt": later})).json()
    expired = (await acme.api.post(KEYS, json={"name": "expired", "expiresAt": later})).json()
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE api_key SET expires_at = now() WHERE id = %s", expired["id"])

    async def named(**params: str | list[str]) -> list[str]:
        return [each["name"] for each in (await acme.api.get(KEYS, params=params)).json()["items"]]

    assert good["expiresAt"].endswith("Z")
    assert await named(status="EXPIRED") == ["expired"]
    assert set(await named(status=["ACTIVE", "EXPIRED"])) == {"good", "expired", "test"}
    assert (await acme.api.get(KEYS, params={"status": "LOST"})).status_code == 422
    assert [each["name"] for each in (await globex.api.get(KEYS)).json()["items"]] == ["test"]


async def test_what_makes_no_sense_is_named(acme: Tenant) -> None:
    for body, pointer in (
        ({}, "/name"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": ["devices:read", "devices:fly"]}, "/scopes/1"),
        ({"name": "x", "allowedCidrs": ["10.0.0.0/8", "everywhere"]}, "/allowedCidrs/1"),
        ({"name": "x", "expiresAt": "2020-01-01T00:00:00Z"}, "/expiresAt"),
        ({"name": "x", "expiresAt": "2090-01-01T00:00:00"}, "/expiresAt"),
        ({"name": "x", "color": "red"}, "/color"),
    ):
        refused = await acme.api.post(KEYS, json=body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
