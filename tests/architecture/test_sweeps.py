"""Three sweeps over every served operation: without a credential, with another tenant's ids, without the right."""

import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from roadstead.core import commands
from roadstead.core.commands import BatchDraft, CommandDraft
from roadstead.core.operation import OPERATIONS
from roadstead.dialects.native.refusals import read_ledger
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import DeviceId, new_id
from roadstead.web.ledger import LedgerLine
from tests.alerts import add_rule, raise_alert, rule_body
from tests.architecture.test_ledger import contract_operations
from tests.conftest import Tenant
from tests.dialects.native.firmware import add_firmware
from tests.golden_files import check_golden
from tests.notifications import announce

SERVED = [line for line in read_ledger() if line.status in {"served", "partial"}]
CONTRACT = {operation["id"]: operation for operation in contract_operations()}

# A valid body for each operation that needs one: a sweep must not stop at the door of validation.
BODIES: dict[str, Any] = {
    "auth.me-update": {"name": "Somebody"},
    "auth.switch-organization": {"organizationId": "6b012fc1-d34a-8124-8000-000f507d91d6"},
    "auth.password-change": {"currentPassword": "x" * 12, "newPassword": "y" * 12},
    "auth.totp-begin": {"password": "x" * 12},
    "auth.totp-confirm": {"otp": "123456"},
    "auth.totp-remove": {"password": "x" * 12, "otp": "123456"},
    "organization.create": {"name": "Another"},
    "organization.update": {"name": "Other"},
    "member.update": {"role": "MEMBER"},
    "invitation.create": {"email": "new@example.test"},
    "api-key.create": {"name": "k"},
    "api-key.update": {"name": "k2"},
    "api-key.rotate": {},
    "device.create": {"name": "d"},
    "device.replace": {"name": "d"},
    "device.patch": {"name": "d"},
    "device.bulk": {"operations": [{"op": "addTags", "ids": ["{device}"], "value": {"a": "b"}}]},
    "device.set-status": {"status": "ACTIVE"},
    "device.health-report": {"timestamp": "2026-01-01T00:00:00Z", "uptimeSeconds": 1},
    "device.credentials-register": {"certificate": "PEM"},
    "device.credentials-revoke": {},
    "device.reprovision": {},
    "component.create": {"deviceId": "{device}", "key": "c", "name": "C", "sensorProfile": "p@1.0"},
    "component.replace": {"deviceId": "{device}", "key": "c", "name": "C", "sensorProfile": "p@1.0"},
    "component.patch": {"name": "C"},
    "sensor.create": {"deviceId": "{device}", "key": "s2", "valueType": "DOUBLE"},
    "sensor.replace": {"deviceId": "{device}", "key": "s", "valueType": "DOUBLE"},
    "sensor.patch": {"name": "S"},
    "device-group.create": {"name": "g", "selector": {"matchTags": {"a": "b"}}},
    "device-group.replace": {"name": "g", "selector": {"matchTags": {"a": "b"}}},
    "device-group.patch": {"name": "g"},
    "device-group.preview": {"selector": {"matchTags": {"a": "b"}}},
    "site.create": {"name": "s"},
    "site.replace": {"name": "s"},
    "site.patch": {"name": "s"},
    "registration.token-create": {"deviceName": "r"},
    "registration.token-bulk": {"devices": [{"deviceName": "r"}]},
    "provision.renew": {"csr": "PEM"},
    "sensor-profile.create": {
        "key": "q", "profileVersion": "1.0", "name": "Q", "fields": [{"name": "t", "valueType": "DOUBLE"}],
    },
    "sensor-profile.validate": {"payload": {"t": 1}},
    "device-profile.create": {"key": "q", "profileVersion": "1.0", "name": "Q", "components": []},
    "reading.ingest": [{"sensorId": "s", "deviceId": "{device}", "timestamp": "2026-01-01T00:00:00Z", "value": 1}],
    "reading.batch": {"sensorIds": ["{sensor}"], "mode": "latest"},
    "command.create": {"type": "REBOOT"},
    "command.bulk": {"target": {"deviceIds": ["{device}"]}, "command": {"type": "REBOOT"}},
    "config-artefact.create": {"name": "a", "content": {"x": 1}},
    "config-artefact.upload-url": {"fileName": "f", "sizeBytes": 1, "sha256": "0" * 64},
    "binding.put": {"targetType": "DEVICE", "targetId": "{device}", "configArtefactId": "{config-artefact}"},
    "alert-rule.create": rule_body("{sensor}"),
    "alert-rule.replace": rule_body("{sensor}"),
    "alert-rule.patch": {"name": "r"},
    "alert-rule.test": {
        "rule": rule_body("{sensor}"), "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z",
    },
    "alert.acknowledge": {},
    "alert.resolve": {},
    "alert.comment": {"comment": "c"},
    "alert.assign": {"userId": None},
    "alert.silence": {"until": None},
    "alert.bulk": {"action": "acknowledge", "ids": ["{alert}"]},
    "event.create": {"type": "t", "message": "m"},
    "channel.create": {"name": "c", "type": "WEBHOOK", "config": {"url": "https://hooks.example.test/"}},
    "channel.replace": {"name": "c", "type": "WEBHOOK", "config": {"url": "https://hooks.example.test/"}},
    "channel.patch": {"name": "c"},
    "quarantine.replay": {"ids": ["{quarantine}"]},
    "firmware.create": {
        "name": "f", "version": "1.0.0", "deviceProfile": "d", "sizeBytes": 1, "sha256": "0" * 64,
    },
    "firmware.patch": {"releaseNotes": "n"},
    "firmware.token": {"deviceId": "{device}"},
    "rollout.create": {"target": {"deviceIds": ["{device}"]}},
    "export.create": {
        "scopeType": "DEVICE", "scopeId": "{device}", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z",
        "includes": ["READINGS"],
    },
}  # fmt: skip
QUERIES: dict[str, dict[str, str]] = {
    "config-artefact.diff": {"against": "6b012fc1-d34a-8124-8000-000f507d91d6"},
    "organization.delete": {"confirm": "slug"},
    "reading.window": {"duration": "PT1H"},
    "reading.aggregated": {"interval": "PT1H"},
    "reading.purge": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"},
    "quarantine.purge": {"reason": "MALFORMED"},
    "stream": {"topics": "reading"},
    "stream.ws": {"topics": "reading"},
}

_GOLDEN = Path(__file__).parents[1] / "golden"
_RIGHT = re.compile(r"this needs the right '(.+)'")

_TOKENS_IN_PATH = {"firmwareUploadToken", "firmwareDownloadToken"}
NO_CREDENTIAL_NEEDED = {"none", "none|user", "presigned", "registrationToken in the body", *_TOKENS_IN_PATH}
# Served to whoever has signed in, whatever their rights: the reason stands at each operation of the core.
NO_RIGHT_NEEDED = {
    "auth.me", "auth.me-update", "auth.switch-organization", "auth.password-change", "auth.totp-begin",
    "auth.totp-confirm", "auth.totp-remove", "organization.list", "organization.create", "organization.current",
}  # fmt: skip
# A device shows its certificate on the TLS port; there is no key to try these with.
BY_CERTIFICATE = {"provision.renew"}


class Estate:
    """One of everything that an organization can own, by the name of the path parameter or the group."""

    def __init__(self, ids: dict[str, str]) -> None:
        self.ids = ids

    def fill(self, value: Any) -> Any:
        """Ids in place of `{name}`, at any depth."""
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, str) and value.startswith("{"):
            return self.ids[value.strip("{}")]
        return value

    def path(self, line: LedgerLine) -> str:
        """The path of an operation on this estate."""
        group = line.operation.partition(".")[0]
        parameters = {**self.ids, "id": self.ids.get(_NOUN.get(line.operation, _NOUN.get(group, group)), "")}
        return line.path.format_map(parameters)


_NOUN = {
    "schema.sensor-profile": "sensor-profile",
    "schema.device-profile": "device-profile",
    "rollout.create": "firmware",
}


async def build_estate(tenant: Tenant) -> Estate:
    """Made through the API where it can make them."""
    api, tag = tenant.api, secrets.token_hex(3)

    async def post(path: str, body: Any) -> dict[str, Any]:
        answer = await api.post(f"/api/v1/{path}", json=body)
        assert answer.status_code == 201, (path, answer.text)
        found: dict[str, Any] = answer.json()
        return found

    field = {"name": "t", "valueType": "DOUBLE"}
    profile = {"key": f"p-{tag}", "profileVersion": "1.0", "name": "P", "fields": [field]}
    sensor_profile = await post("sensor-profiles", profile)
    reference = f"p-{tag}@1.0"
    component = {"key": "c", "name": "C", "sensorProfile": reference, "required": True}
    device_profile = await post(
        "device-profiles", {"key": f"d-{tag}", "profileVersion": "1.0", "name": "D", "components": [component]}
    )
    site = await post("sites", {"name": f"site {tag}"})
    device = await post("devices", {"name": f"device {tag}", "deviceProfile": f"d-{tag}@1.0"})
    components = (await api.get(f"/api/v1/devices/{device['id']}/components")).json()["items"]
    sensors = (await api.get(f"/api/v1/devices/{device['id']}/sensors")).json()["items"]
    group = await post("device-groups", {"name": f"group {tag}", "selector": {"matchTags": {"a": "b"}}})
    key = await post("api-keys", {"name": f"key {tag}"})
    invitation = await post("organizations/current/invitations", {"email": f"{tag}@example.test"})
    export = await post("exports", {**BODIES["export.create"], "scopeId": device["id"]})
    token = await post("devices/registration/tokens", {"deviceName": f"token {tag}"})
    artefact = await post("config-artefacts", {"name": f"a-{tag}", "content": {"x": 1}})
    target = {"targetType": "DEVICE", "targetId": device["id"], "configArtefactId": artefact["id"]}
    binding = (await api.put("/api/v1/desired-state-bindings", json=target)).json()
    channel = await post("notification-channels", {**BODIES["channel.create"], "name": f"channel {tag}"})
    batch, command = await _add_command(tenant, device["id"])
    return Estate(
        {
            "sensor-profile": sensor_profile["id"],
            "device-profile": device_profile["id"],
            "key": f"p-{tag}",
            "site": site["id"],
            "device": device["id"],
            "deviceId": device["id"],
            "component": components[0]["id"],
            "componentId": components[0]["id"],
            "sensor": sensors[0]["id"],
            "sensorId": sensors[0]["id"],
            "device-group": group["id"],
            "api-key": key["id"],
            "invitation": invitation["id"],
            "userId": await _add_member(tenant),
            "export": export["id"],
            "tokenId": token["token"].partition(".")[0],
            "quarantine": await _add_refused(tenant, device["id"]),
            "config-artefact": artefact["id"],
            "binding": binding["id"],
            **await _add_alert(tenant, sensors[0]["id"], tag),
            "channel": channel["id"],
            "deliveryId": str(await announce(tenant, channel)),
            **await _add_rollout(tenant, device["id"], f"d-{tag}"),
            "commandId": command,
            "batchId": batch,
        }
    )


async def _add_member(tenant: Tenant) -> str:
    person = new_id()
    async with tenant.edge.system_database.tx() as tx:
        await tx.run(
            "INSERT INTO person (id, email, created_at, updated_at) VALUES (%s, %s, now(), now())",
            person,
            f"{person}@example.test",
        )
        await tx.run(
            "INSERT INTO membership (tenant_id, person_id, role, joined_at) VALUES (%s, %s, 'MEMBER', now())",
            tenant.tenant_id,
            person,
        )
    return str(person)


async def _add_alert(tenant: Tenant, sensor: str, tag: str) -> dict[str, str]:
    rule = await add_rule(tenant, sensor, name=f"rule {tag}")
    alert = await raise_alert(tenant, rule["id"], sensor)
    event = {"type": "t", "message": "m", "requiresAction": True}
    answer = await tenant.api.post("/api/v1/events", json=event)
    assert answer.status_code == 201, answer.text
    return {"alert-rule": rule["id"], "alert": alert["id"], "event": answer.json()["id"]}


async def _add_command(tenant: Tenant, device: str) -> tuple[str, str]:
    async with tenant.work() as work:
        await work.tx.run("UPDATE device SET status = 'ACTIVE' WHERE id = %s", device)
        draft = BatchDraft(command=CommandDraft(type="REBOOT", payload={}))
        queued = await commands.send_in_bulk(work, [DeviceId(UUID(device))], draft)
        command = await work.tx.value("SELECT id FROM command WHERE batch_id = %s", queued.batch.id)
    return str(queued.batch.id), str(command)


async def _add_rollout(tenant: Tenant, device: str, profile: str) -> dict[str, str]:
    made = await add_firmware(tenant, deviceProfile=profile)
    target = {"target": {"deviceIds": [device]}}
    answer = await tenant.api.post(f"/api/v1/firmware/{made['id']}/rollouts", json=target)
    assert answer.status_code == 201, answer.text
    return {"firmware": made["id"], "rollout": answer.json()["id"], "token": "x" * 43}


async def _add_refused(tenant: Tenant, device: str) -> str:
    entry = new_id()
    async with tenant.edge.system_database.tx() as tx:
        await tx.run(
            """
            INSERT INTO quarantine (tenant_id, id, device_id, reason, detail, dialect, channel, payload, source,
                                    received_at, expires_at)
            VALUES (%s, %s, %s, 'MALFORMED', 'no JSON', 'native', 'readings', '{', 'MQTT', now(), now() + '1 day')
            """,
            tenant.tenant_id,
            entry,
            device,
        )
    return str(entry)


async def _call(client: httpx.AsyncClient, line: LedgerLine, estate: Estate) -> httpx.Response:
    body = estate.fill(BODIES[line.operation]) if line.operation in BODIES else None
    query = QUERIES.get(line.operation, {})
    return await client.request(line.method, estate.path(line), json=body, params=query)


def _lines(keep: Callable[[LedgerLine], bool]) -> Sequence[LedgerLine]:
    return [line for line in SERVED if keep(line)]


async def test_without_a_credential_every_operation_answers_401(acme: Tenant) -> None:
    estate = await build_estate(acme)
    answers = {}
    async with acme.client() as nobody:
        for line in _lines(lambda line: CONTRACT[line.operation]["auth"] not in NO_CREDENTIAL_NEEDED):
            answer = await _call(nobody, line, estate)
            answers[line.operation] = (answer.status_code, answer.json()["code"])

    assert {name: said for name, said in answers.items() if said != (401, "unauthenticated")} == {}
    assert len(answers) > 60


async def test_what_belongs_to_another_tenant_is_not_there(acme: Tenant, globex: Tenant) -> None:
    theirs = await build_estate(globex)
    answers = {}
    for line in _lines(lambda line: "{" in line.path and line.operation not in BY_CERTIFICATE):
        if CONTRACT[line.operation]["auth"] in NO_CREDENTIAL_NEEDED:
            continue
        answer = await _call(acme.api, line, theirs)
        answers[line.operation] = (answer.status_code, answer.json().get("code"))

    assert {name: said for name, said in answers.items() if said != (404, "not-found")} == {}
    assert len(answers) > 40


@pytest.mark.parametrize("kept", [[], [Grant.READINGS_WRITE]])
async def test_without_the_right_every_operation_answers_403(acme: Tenant, kept: list[Grant]) -> None:
    estate = await build_estate(acme)
    answers = {}
    async with acme.client(await acme.add_key(kept)) as weak:
        for line in _lines(lambda line: line.operation not in NO_RIGHT_NEEDED | BY_CERTIFICATE):
            operation = CONTRACT[line.operation]
            if operation["auth"] in NO_CREDENTIAL_NEEDED or operation.get("scope") in kept:
                continue
            answer = await _call(weak, line, estate)
            answers[line.operation] = (answer.status_code, answer.json().get("code"))

    refused = {(403, "scope-missing"), (403, "forbidden")}
    assert {name: said for name, said in answers.items() if said not in refused} == {}
    assert len(answers) > 60


async def test_each_route_needs_the_right_that_is_written_down(acme: Tenant) -> None:
    estate = await build_estate(acme)
    lines = ["operation\tmethod\tpath\tneeds"]
    async with acme.client(await acme.add_key([])) as weak:
        for line in SERVED:
            auth = CONTRACT[line.operation]["auth"]
            if auth in NO_CREDENTIAL_NEEDED or line.operation in NO_RIGHT_NEEDED | BY_CERTIFICATE:
                needs = f"({auth})"
            else:
                answer = (await _call(weak, line, estate)).json()
                needs = _RIGHT.sub(r"\1", answer["detail"]) if answer["code"] == "scope-missing" else answer["detail"]
            lines.append("\t".join([line.operation, line.method, line.path, needs]))

    check_golden(_GOLDEN / "rights.tsv", "\n".join(lines) + "\n")


def test_each_operation_of_the_core_asks_for_the_right_that_is_written_down() -> None:
    lines = ["operation\tright\twhy none"]
    lines += [f"{one.name}\t{one.grant or ''}\t{one.reason}" for _, one in sorted(OPERATIONS.items())]

    check_golden(_GOLDEN / "operations.tsv", "\n".join(lines) + "\n")
