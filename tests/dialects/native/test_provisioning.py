"""Provisioning as programs and devices see it: the round trip of the original to the letter, and every refusal."""

import csv
import io
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509

from roadstead.dialects.native import create_app
from roadstead.kernel import time
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import new_id
from tests.conftest import Tenant
from tests.core.provisioning.devices import der, make_key, request_for, self_signed

TOKENS = "/api/v1/devices/registration/tokens"
PROVISION = "/api/v1/devices/provision"


async def register(tenant: Tenant, name: str, **fields: Any) -> dict[str, Any]:
    """A device and its token."""
    answer = await tenant.api.post(TOKENS, json={"deviceName": name, **fields})
    assert answer.status_code == 201, answer.text
    token: dict[str, Any] = answer.json()
    return token


async def provision(tenant: Tenant, token: str) -> httpx.Response:
    """What a device does, without any other credential."""
    async with tenant.client() as device:
        return await device.post(PROVISION, json={"token": token, "csr": request_for(make_key())})


def over_tls(tenant: Tenant, certificate_pem: str) -> httpx.AsyncClient:
    """A device on the TLS port: the server puts the certificate into the scope."""
    app: Any = create_app(tenant.edge)

    async def with_certificate(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "extensions": {"tls": {"client_cert_der": der(certificate_pem)}}}, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(with_certificate), base_url="https://api.test")


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem."""
    return answer.status_code, answer.json()["code"]


async def test_the_round_trip_of_the_original_holds_to_the_letter(acme: Tenant) -> None:
    before = time.now()
    answer = await acme.api.post(TOKENS, json={"deviceName": "warehouse-gateway-01"})

    assert answer.status_code == 201
    token = answer.json()
    assert set(token) == {"token", "deviceId", "deviceName", "provisionEndpoint", "expiresAt"}
    assert token["deviceName"] == "warehouse-gateway-01"
    assert token["provisionEndpoint"] == "http://api.test/api/v1/devices/provision"
    id_, device_id, secret = token["token"].split(".")
    assert (device_id, len(secret)) == (token["deviceId"], 43)
    life = datetime.fromisoformat(token["expiresAt"]) - before
    assert timedelta(hours=24) <= life < timedelta(hours=24, minutes=1)

    async with acme.client() as device:
        csr = request_for(make_key())
        body = {"token": token["token"], "csr": csr, "hardwareId": "hw-1", "firmwareVersion": "1.2.3"}
        answer = await device.post(token["provisionEndpoint"], json=body)
    assert answer.status_code == 201
    result = answer.json()
    organization = str(acme.organization_id)
    assert (result["deviceId"], result["organizationId"]) == (device_id, organization)
    leaf = x509.load_pem_x509_certificate(result["certificate"].encode())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(result["caChain"].encode()))
    assert datetime.fromisoformat(result["notAfter"]) == leaf.not_valid_after_utc
    assert result["mqtt"] == {
        "host": "api.test",
        "port": 8883,
        "clientId": device_id,
        "topics": {
            "readings": f"v1/readings/{organization}/{device_id}",
            "commands": f"v1/gateways/{organization}/{device_id}/commands",
            "commandsResponse": f"v1/gateways/{organization}/{device_id}/commands/response",
            "health": f"v1/gateways/{organization}/{device_id}/health",
            "status": f"v1/gateways/{organization}/{device_id}/status",
            "configReported": f"v1/gateways/{organization}/{device_id}/config/reported",
            "configDesired": f"v1/gateways/{organization}/{device_id}/config/desired",
        },
    }
    info = (await acme.api.get(f"{TOKENS}/{id_}")).json()
    assert (info["status"], info["deviceId"]) == ("USED", device_id)
    assert "usedFromIp" in info
    assert "token" not in info


async def test_a_token_works_once(acme: Tenant) -> None:
    token = await register(acme, "pump-1")
    assert (await provision(acme, token["token"])).status_code == 201
    assert code_of(await provision(acme, token["token"])) == (410, "gone")


async def test_what_is_no_token_is_401_and_a_bad_request_is_422_and_costs_nothing(acme: Tenant) -> None:
    token = await register(acme, "pump-1")
    assert code_of(await provision(acme, "nonsense")) == (401, "unauthenticated")
    async with acme.client() as device:
        refused = await device.post(PROVISION, json={"token": token["token"], "csr": "nonsense"})
        unknown = await device.post(PROVISION, json={"token": token["token"], "csr": "x", "name": "y"})
    assert code_of(refused) == (422, "csr-invalid")
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/csr"]
    assert code_of(unknown) == (422, "unknown-field")
    assert (await provision(acme, token["token"])).status_code == 201


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/deviceName"),
        ({"deviceName": ""}, "/deviceName"),
        ({"deviceName": "x" * 121}, "/deviceName"),
        ({"deviceName": "x", "ttlSeconds": 299}, "/ttlSeconds"),
        ({"deviceName": "x", "ttlSeconds": 2_592_001}, "/ttlSeconds"),
        ({"deviceName": "x", "siteId": "elsewhere"}, "/siteId"),
        ({"deviceName": "x", "deviceProfile": "no-such@1.0"}, "/deviceProfile"),
        ({"deviceName": "x", "tags": {"": "y"}}, "/tags/"),
        ({"deviceName": "x", "color": "red"}, "/color"),
    ],
)
async def test_a_bad_registration_names_the_field(acme: Tenant, body: dict[str, Any], pointer: str) -> None:
    answer = await acme.api.post(TOKENS, json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_a_name_is_registered_once_in_each_organization(acme: Tenant, globex: Tenant) -> None:
    await register(acme, "pump-1")
    answer = await acme.api.post(TOKENS, json={"deviceName": "pump-1"})
    assert code_of(answer) == (409, "name-taken")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/deviceName"]
    await register(globex, "pump-1")


async def test_tokens_are_listed_without_their_text_and_pending_ones_by_default(acme: Tenant, globex: Tenant) -> None:
    first = await register(acme, "pump-1", ttlSeconds=300)
    second = await register(acme, "pump-2")
    await provision(acme, second["token"])
    pending = (await acme.api.get(TOKENS)).json()
    used = (await acme.api.get(TOKENS, params={"status": "USED", "includeTotal": "true"})).json()
    of_device = (await acme.api.get(TOKENS, params={"deviceId": second["deviceId"]})).json()

    assert [token["deviceName"] for token in pending["items"]] == ["pump-1"]
    assert ([token["deviceName"] for token in used["items"]], used["totalItems"]) == (["pump-2"], 1)
    assert of_device["items"] == []
    assert first["token"].rpartition(".")[2] not in str(pending)
    assert (await globex.api.get(TOKENS)).json() == {"items": []}
    assert (await acme.api.get(TOKENS, params={"status": "BROKEN"})).status_code == 422


async def test_revoking_a_token(acme: Tenant, globex: Tenant) -> None:
    token = await register(acme, "pump-1")
    place = f"{TOKENS}/{token['token'].partition('.')[0]}"
    assert code_of(await globex.api.delete(place)) == (404, "not-found")
    assert code_of(await globex.api.get(place)) == (404, "not-found")
    assert (await acme.api.delete(place, params={"deleteDevice": "true"})).status_code == 204
    assert (await provision(acme, token["token"])).status_code in {401, 410}

    used = await register(acme, "pump-1")
    await provision(acme, used["token"])
    assert code_of(await acme.api.delete(f"{TOKENS}/{used['token'].partition('.')[0]}")) == (409, "invalid-state")


async def test_many_devices_at_once(acme: Tenant) -> None:
    await register(acme, "pump-2")
    devices = [{"deviceName": f"pump-{number}", "tags": {"hall": "7"}} for number in range(1, 4)]
    answer = await acme.api.post(f"{TOKENS}/bulk", json={"devices": devices, "ttlSeconds": 3600})

    assert answer.status_code == 207
    result = answer.json()
    assert (result["succeeded"], result["failed"]) == (2, 1)
    assert [line["status"] for line in result["results"]] == [201, 409, 201]
    problem = result["results"][1]["problem"]
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("name-taken", "/devices/1/deviceName")
    for line in (result["results"][0], result["results"][2]):
        assert line["id"] == line["resource"]["deviceId"]
        assert (await provision(acme, line["resource"]["token"])).status_code == 201


async def test_many_devices_as_a_table_in_and_out(acme: Tenant) -> None:
    text = 'deviceName,tag.hall,metadata\r\npump-1,7,"{""floor"": 2}"\r\n"pump, second",,\r\n'
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    answer = await acme.api.post(f"{TOKENS}/bulk", content=text, headers=headers)

    assert answer.status_code == 201
    assert answer.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [line["deviceName"] for line in lines] == ["pump-1", "pump, second"]
    assert (await provision(acme, lines[0]["token"])).status_code == 201
    async with acme.work() as work:
        sql = "SELECT tags, metadata FROM device ORDER BY name"
        assert await work.tx.rows(sql) == [({}, {}), ({"hall": "7"}, {"floor": 2})]


async def test_a_request_that_is_sent_again_gets_the_same_tokens_again(acme: Tenant) -> None:
    headers = {"Idempotency-Key": "once", "Content-Type": "text/csv", "Accept": "text/csv"}
    first = await acme.api.post(f"{TOKENS}/bulk", content="deviceName\npump-1\n", headers=headers)
    again = await acme.api.post(f"{TOKENS}/bulk", content="deviceName\npump-1\n", headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.text, again.headers["content-type"]) == (first.text, first.headers["content-type"])

    answers = [
        await acme.api.post(TOKENS, json={"deviceName": "pump-2"}, headers={"Idempotency-Key": "twice"}) for _ in "ab"
    ]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotency-replayed"] == "true"
    async with acme.work() as work:
        kept = await work.tx.rows("SELECT row_to_json(idempotency)::text FROM idempotency")
    assert kept
    assert not any(answers[0].json()["token"] in line for (line,) in kept)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("deviceName,color\npump-1,red\n", 422),
        ("deviceName\n", 422),
        ("deviceName\npump-1,too,many\n", 400),
        ('deviceName,metadata\npump-1,"{"\n', 400),
        (b"deviceName\n\xff\xfe\n", 400),
    ],
)
async def test_a_bad_table_is_refused_as_a_whole(acme: Tenant, text: str | bytes, status: int) -> None:
    answer = await acme.api.post(f"{TOKENS}/bulk", content=text, headers={"Content-Type": "text/csv"})
    assert answer.status_code == status, answer.text
    assert (await acme.api.get(TOKENS)).json() == {"items": []}


async def test_more_than_a_thousand_devices_are_too_many(acme: Tenant) -> None:
    devices = [{"deviceName": f"pump-{number}"} for number in range(1001)]
    assert (await acme.api.post(f"{TOKENS}/bulk", json={"devices": devices})).status_code == 422


async def test_a_device_can_be_provisioned_again(acme: Tenant, globex: Tenant) -> None:
    token = await register(acme, "pump-1")
    place = f"/api/v1/devices/{token['deviceId']}/registration/token"
    assert code_of(await globex.api.post(place)) == (404, "not-found")
    again = await acme.api.post(place, json={"ttlSeconds": 600})
    assert again.status_code == 201
    assert again.json()["deviceId"] == token["deviceId"]
    assert code_of(await provision(acme, token["token"])) == (410, "gone")
    assert (await provision(acme, again.json()["token"])).status_code == 201
    assert (await acme.api.post(place)).status_code == 201


async def test_credentials_are_listed_registered_and_revoked(acme: Tenant, globex: Tenant) -> None:
    token = await register(acme, "pump-1")
    leaf = x509.load_pem_x509_certificate((await provision(acme, token["token"])).json()["certificate"].encode())
    place = f"/api/v1/devices/{token['deviceId']}/credentials"
    foreign = {"certificate": self_signed(make_key())}
    registered = await acme.api.post(place, json=foreign)
    assert registered.status_code == 201
    assert code_of(await acme.api.post(place, json=foreign)) == (409, "certificate-taken")
    assert code_of(await acme.api.post(place, json={"certificate": "?"})) == (422, "validation-failed")

    listed = (await acme.api.get(place)).json()["items"]
    assert [item["status"] for item in listed] == ["ACTIVE", "ACTIVE"]
    assert listed[0] == registered.json()
    assert int(listed[1]["serialNumber"], 16) == leaf.serial_number
    for foreign_answer in (await globex.api.get(place), await globex.api.post(f"{place}/revoke")):
        assert code_of(foreign_answer) == (404, "not-found")

    revoke = await acme.api.post(f"{place}/revoke", json={"serialNumber": listed[1]["serialNumber"], "reason": "lost"})
    assert revoke.status_code == 204
    assert [item["status"] for item in (await acme.api.get(place)).json()["items"]] == ["ACTIVE", "REVOKED"]
    assert code_of(await acme.api.post(f"{place}/revoke", json={"serialNumber": "00"})) == (404, "not-found")
    assert (await acme.api.post(f"{place}/revoke")).status_code == 204
    assert {item["status"] for item in (await acme.api.get(place)).json()["items"]} == {"REVOKED"}

    async with acme.client() as anybody:
        listing = x509.load_der_x509_crl((await anybody.get(f"{PROVISION}/crl")).content)
    assert listing.get_revoked_certificate_by_serial_number(leaf.serial_number) is not None


async def test_rights_are_asked_for(acme: Tenant) -> None:
    reader = acme.client(await acme.add_key([Grant.PROVISIONING_READ]))
    registrar = acme.client(await acme.add_key([Grant.PROVISIONING_WRITE]))
    async with reader, registrar:
        assert code_of(await reader.post(TOKENS, json={"deviceName": "pump-1"})) == (403, "scope-missing")
        answer = await registrar.post(TOKENS, json={"deviceName": "pump-1"})
        assert answer.status_code == 201, answer.text
        assert code_of(await registrar.get(TOKENS)) == (403, "scope-missing")
        place = f"/api/v1/devices/{answer.json()['deviceId']}/credentials"
        assert code_of(await registrar.get(place)) == (403, "scope-missing")
        assert code_of(await registrar.post(f"{place}/revoke")) == (403, "scope-missing")


async def test_anybody_can_have_what_everybody_trusts(acme: Tenant) -> None:
    async with acme.client() as anybody:
        chain = await anybody.get(f"{PROVISION}/ca")
        listing = await anybody.get(f"{PROVISION}/crl")
    assert chain.headers["content-type"].startswith("application/x-pem-file")
    intermediate, root = x509.load_pem_x509_certificates(chain.content)
    intermediate.verify_directly_issued_by(root)
    assert listing.headers["content-type"].startswith("application/pkix-crl")
    assert x509.load_der_x509_crl(listing.content).issuer == intermediate.subject


async def test_a_device_renews_its_certificate_with_the_one_it_has(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await register(acme, "pump-1")
    certificate = (await provision(acme, token["token"])).json()["certificate"]
    body = {"csr": request_for(make_key())}
    async with over_tls(acme, certificate) as device, acme.client() as nobody:
        assert code_of(await device.post(f"{PROVISION}/renew", json=body)) == (409, "too-early")
        monkeypatch.setattr("roadstead.core.provisioning.authority.RENEWAL_WINDOW", timedelta(days=366))
        assert code_of(await nobody.post(f"{PROVISION}/renew", json=body)) == (401, "unauthenticated")
        assert code_of(await device.post(f"{PROVISION}/renew", json={"csr": "?"})) == (422, "csr-invalid")
        renewed = await device.post(f"{PROVISION}/renew", json=body)
    assert renewed.status_code == 201
    assert renewed.json()["deviceId"] == token["deviceId"]
    async with over_tls(acme, self_signed(make_key())) as stranger:
        assert code_of(await stranger.post(f"{PROVISION}/renew", json=body)) == (401, "unauthenticated")


async def test_a_certificate_is_no_credential_where_devices_have_no_business(acme: Tenant) -> None:
    token = await register(acme, "pump-1")
    certificate = (await provision(acme, token["token"])).json()["certificate"]
    async with over_tls(acme, certificate) as device:
        assert (await device.get(TOKENS)).status_code == 401
        assert (await device.get(f"/api/v1/devices/{token['deviceId']}/credentials")).status_code == 401


async def test_a_token_that_cannot_be_an_id_does_not_exist(acme: Tenant) -> None:
    assert code_of(await acme.api.get(f"{TOKENS}/nonsense")) == (404, "not-found")
    assert code_of(await acme.api.get(f"{TOKENS}/{new_id()}")) == (404, "not-found")
