"""Every documented request is sent as documented, and every answer is as its documentation says."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import jsonschema_rs
import msgspec
import pyotp
import pytest
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.ports import Refusal, RefusalReason
from roadstead.core.telemetry import Quarantined, insert_quarantined, quarantine_id
from roadstead.dialects.native import examples
from roadstead.dialects.native.app import make_litestar
from roadstead.dialects.native.examples import BODIES
from roadstead.dialects.native.openapi import Documents
from roadstead.kernel.actor import Role
from roadstead.web.edge import Edge
from tests.alerts import add_rule, raise_alert
from tests.conftest import Postbox, Tenant
from tests.core.firmware.ground import Ground
from tests.core.provisioning.devices import make_key, request_for, self_signed
from tests.dialects.native.firmware import add_firmware
from tests.dialects.native.fleet import MOTOR, PUMP, ok
from tests.dialects.native.test_members import token_in
from tests.dialects.native.test_provisioning import over_tls
from tests.fleet import item, uplink
from tests.people import PASSWORD, add_person, client_of, sign_in

READS = [
    "auth.me", "auth.jwks", "organization.list", "organization.current", "member.list", "invitation.list",
    "api-key.list", "api-key.get", "audit.list", "device.list", "device.stats", "device.get", "device.components",
    "device.sensors", "site.devices", "component.list", "component.get", "component.sensors", "sensor.list",
    "sensor.get", "device-group.list", "device-group.get", "device-group.devices", "site.list", "site.tree",
    "site.get", "registration.token-list", "device.credentials", "sensor-profile.list", "sensor-profile.get",
    "device-profile.list", "device-profile.get", "schema.index", "reading.raw", "reading.stats",
    "reading.latest-many", "reading.device", "reading.component", "quarantine.list", "quarantine.get",
    "quarantine.stats", "export.list", "export.get", "channel.list", "config-artefact.list",
    "config-artefact.get", "binding.list", "binding.get", "binding.reports", "device.desired-state", "channel.get",
    "alert-rule.list", "alert-rule.get", "alert.list", "alert.get", "alert.stats", "alert.notifications", "event.list",
    "event.get", "device.events", "channel.deliveries", "firmware.list", "firmware.get", "rollout.list", "rollout.get",
    "rollout.devices", "meta.live", "meta.ready", "meta.info", "device.health-history",
]  # fmt: skip
"""Operations whose answers are checked that need nothing but an id. `latest-many` needs one as a parameter, too."""


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


class World:
    """The organization of the examples, as far as it is real."""

    def __init__(self, tenant: Tenant, names: Mapping[str, str], places: Mapping[str, str]) -> None:
        self.tenant = tenant
        self.names = dict(names)
        """What stands in the place of something in an example."""
        self.places = places
        """Ids for path parameters, by what comes before them in the path."""

    def path(self, template: str) -> str:
        """A path with real ids."""
        return re.sub(r"([\w-]+)/{\w+}", lambda found: f"{found[1]}/{self.places[found[1]]}", template)

    def body(self, name: str) -> Any:
        """The example of an operation with real ids."""
        text = msgspec.json.encode(BODIES[name]).decode()
        for made_up, real in self.names.items():
            text = text.replace(msgspec.json.encode(made_up).decode()[1:-1], msgspec.json.encode(real).decode()[1:-1])
        return msgspec.json.decode(text)


@pytest_asyncio.fixture
async def world(acme: Tenant) -> World:
    """Everything that the examples speak of."""
    api = acme.api
    motor = ok(await api.post("/api/v1/sensor-profiles", json=MOTOR))
    pump = ok(await api.post("/api/v1/device-profiles", json=PUMP))
    site = ok(await api.post("/api/v1/sites", json={"name": "Harbour"}))["id"]
    device = {"name": "pump-1", "siteId": site, "deviceProfile": "pump@1.0", "tags": {"line": "north"}}
    device_id = ok(await api.post("/api/v1/devices", json=device))["id"]
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE device SET status = 'ACTIVE' WHERE tenant_id = %s", acme.tenant_id)
    [component] = ok(await api.get(f"/api/v1/devices/{device_id}/components"))["items"]
    sensor = {"deviceId": device_id, "key": "temperature", "valueType": "DOUBLE"}
    sensor_id = ok(await api.post("/api/v1/sensors", json=sensor))["id"]
    group = {"name": "All", "selector": {"matchTags": {"line": "north"}}}
    group_id = ok(await api.post("/api/v1/device-groups", json=group))["id"]
    key = ok(await api.post("/api/v1/api-keys", json={"name": "old", "scopes": ["devices:read"]}))["id"]
    member = await add_person(acme, Role.MEMBER)
    channel = ok(await api.post("/api/v1/notification-channels", json=CHANNEL))
    artefact = ok(await api.post("/api/v1/config-artefacts", json={"name": "limits", "content": {"rpm": 900}}))["id"]
    rule = await add_rule(acme, sensor_id)
    alert = await raise_alert(acme, rule["id"], sensor_id)
    target = {"targetType": "DEVICE", "targetId": device_id, "configArtefactId": artefact}
    binding = ok(await api.put("/api/v1/desired-state-bindings", json=target))["id"]
    entry = await refuse(acme, device_id)
    asked = {"scopeType": "DEVICE", "scopeId": device_id, "includes": ["READINGS"]}
    span = {"from": "2026-05-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"}
    export = ok(await api.post("/api/v1/exports", json=asked | span))["id"]
    made = await add_firmware(acme)
    rollout = ok(await api.post(f"/api/v1/firmware/{made['id']}/rollouts", json={"target": {"deviceProfile": "pump"}}))
    ok(await api.post(f"/api/v1/firmware/rollouts/{rollout['id']}/cancel"))
    await Ground(acme).settle(UUID(rollout["id"]))
    return World(
        acme,
        {
            examples.DEVICE: device_id,
            examples.COMPONENT: component["id"],
            examples.SENSOR: sensor_id,
            examples.SITE: site,
            examples.ORGANIZATION: str(acme.organization_id),
            examples.ENTRY: entry,
            examples.CONFIG_ARTEFACT: artefact,
            examples.PASSWORD: PASSWORD,
        },
        {
            "devices": device_id,
            "device": device_id,
            "components": component["id"],
            "component": component["id"],
            "sensors": sensor_id,
            "sensor": sensor_id,
            "sites": site,
            "device-groups": group_id,
            "api-keys": key,
            "members": str(member.id),
            "sensor-profiles": motor["id"],
            "device-profiles": pump["id"],
            "quarantine": entry,
            "exports": export,
            "firmware": made["id"],
            "rollouts": rollout["id"],
            "alert-rules": rule["id"],
            "alerts": alert["id"],
            "events": alert["eventId"],
            "notification-channels": channel["id"],
            "config-artefacts": artefact,
            "desired-state-bindings": binding,
        },
    )


async def refuse(tenant: Tenant, device_id: str) -> str:
    """Something in quarantine that would be taken by now."""
    message = uplink(tenant.tenant_id, UUID(device_id), item("temperature", 20.5))
    refusal = Refusal(RefusalReason.OUT_OF_RANGE, "20.5 is not within 0..10", message.payload, "temperature")
    entry = Quarantined(quarantine_id(message, device_id), message, refusal)
    async with tenant.edge.system_database.tx() as tx:
        await insert_quarantined(tx, [entry])
    return str(entry.id)


class Documentation:
    """The OpenAPI document, ready to be compared with what happens."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.components = document["components"]
        self.operations: dict[str, tuple[str, str, dict[str, Any]]] = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, item in document["paths"].items()
            for method, operation in item.items()
        }

    def check(self, name: str, answer: httpx.Response) -> None:
        """Fail unless the answer is a success that the document foresees."""
        responses = self.operations[name][2]["responses"]
        assert answer.is_success, (name, answer.status_code, answer.text)
        assert str(answer.status_code) in responses, name
        content = responses[str(answer.status_code)].get("content", {})
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        if answer.content:
            assert media_type in content, (name, media_type)
        if media_type == "application/json" and answer.content:
            whole = content[media_type]["schema"] | {"components": self.components}
            errors = [error.message for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(answer.json())]
            assert not errors, (name, errors, answer.text)


@pytest.fixture(scope="module")
def documentation() -> dict[str, Documentation]:
    """Made once: it takes a while."""
    return {}


@pytest_asyncio.fixture
async def told(edge: Edge, documentation: dict[str, Documentation]) -> Documentation:
    """What is documented."""
    if not documentation:
        documents: Documents = make_litestar(edge).state.documents
        documentation["it"] = Documentation(documents.document)
    return documentation["it"]


CHANNEL = {"name": "old", "type": "WEBHOOK", "config": {"url": "https://hooks.example.org/1"}}
OF_PEOPLE = ("auth.", "organization.create")
APART = {"auth.password-reset", "auth.totp-remove", "invitation.accept", "provision.exchange", "provision.renew"}
"""Requests that need something that was said before."""
PERSONAL = [name for name in BODIES if name.startswith(OF_PEOPLE) and name not in APART]
PLAIN = [name for name in BODIES if not name.startswith(OF_PEOPLE) and name not in APART]


async def test_documented_requests_are_answered_as_documented(world: World, told: Documentation) -> None:
    world.names[examples.CERTIFICATE] = self_signed(make_key())
    for name in PLAIN:
        method, path, _ = told.operations[name]
        told.check(name, await world.tenant.api.request(method, world.path(path), json=world.body(name)))


@pytest.mark.parametrize("name", PERSONAL)
async def test_a_documented_request_of_a_person_is_answered_as_documented(
    acme: Tenant, told: Documentation, name: str
) -> None:
    person = await add_person(acme)
    session = await sign_in(acme, person)
    world = World(acme, {examples.EMAIL: person.email, examples.SECRET: session.refresh_token}, {})
    world.names[examples.ORGANIZATION] = str(acme.organization_id)
    api = client_of(acme, session)
    if name == "auth.totp-confirm":
        begun = ok(await api.post("/api/v1/auth/totp", json={"password": PASSWORD}))
        world.names[examples.CODE] = pyotp.TOTP(begun["secret"]).now()
    method, path, _ = told.operations[name]

    told.check(name, await api.request(method, path, json=world.body(name)))


async def test_a_second_factor_is_removed_as_documented(acme: Tenant, told: Documentation) -> None:
    person = await add_person(acme)
    api = client_of(acme, await sign_in(acme, person))
    begun = ok(await api.post("/api/v1/auth/totp", json={"password": PASSWORD}))
    code = pyotp.TOTP(begun["secret"]).now()
    recovery = ok(await api.post("/api/v1/auth/totp/confirm", json={"otp": code}))["recoveryCodes"][0]
    world = World(acme, {examples.CODE: recovery}, {})

    answer = await api.request("DELETE", "/api/v1/auth/totp", json=world.body("auth.totp-remove"))

    told.check("auth.totp-remove", answer)


async def test_what_was_mailed_is_used_as_documented(acme: Tenant, told: Documentation, postbox: Postbox) -> None:
    person = await add_person(acme)
    ok(await acme.client().post("/api/v1/auth/password/forgot", json={"email": person.email}))
    world = World(acme, {examples.SECRET: token_in(postbox.newest(person.email))}, {})
    reset = await acme.client().post("/api/v1/auth/password/reset", json=world.body("auth.password-reset"))
    ok(await acme.api.post("/api/v1/organizations/current/invitations", json={"email": "grace@acme.test"}))
    place = f"/api/v1/invitations/{token_in(postbox.newest('grace@acme.test'))}/accept"
    accepted = await acme.client().post(place, json=world.body("invitation.accept"))

    told.check("auth.password-reset", reset)
    told.check("invitation.accept", accepted)


async def test_a_device_is_provisioned_as_documented(
    acme: Tenant, told: Documentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = ok(await acme.api.post("/api/v1/devices/registration/tokens", json={"deviceName": "pump-1"}))["token"]
    world = World(acme, {examples.SECRET: token, examples.SIGNING_REQUEST: request_for(make_key())}, {})

    exchanged = await acme.client().post("/api/v1/devices/provision", json=world.body("provision.exchange"))
    monkeypatch.setattr("roadstead.core.provisioning.authority.RENEWAL_WINDOW", timedelta(days=366))
    async with over_tls(acme, exchanged.json()["certificate"]) as device:
        renewed = await device.post("/api/v1/devices/provision/renew", json=world.body("provision.renew"))

    told.check("provision.exchange", exchanged)
    told.check("provision.renew", renewed)


async def test_what_is_read_is_as_documented(world: World, told: Documentation) -> None:
    person = client_of(world.tenant, await sign_in(world.tenant, await add_person(world.tenant)))
    for name in READS:
        method, path, _ = told.operations[name]
        api = person if name in ("auth.me", "organization.list") else world.tenant.api
        params = {"deviceId": world.places["devices"]} if name == "reading.latest-many" else {}
        told.check(name, await api.request(method, world.path(path), params=params))
