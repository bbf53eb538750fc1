"""Our own TLS doors: a certificate of our own authority, renewed while the door stays open."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from roadstead.app.tls import OwnCertificate, public_hosts
from roadstead.core import provisioning
from roadstead.core.ports import Ports
from roadstead.core.work import Entry
from roadstead.db import Database
from roadstead.dialects.native import create_app
from roadstead.gateways.https import HttpsServer
from roadstead.gateways.tls import HTTP_ALPN, TlsServer
from roadstead.kernel import time
from roadstead.settings import Settings
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.core.provisioning.devices import exchange, key_pem, make_key, register, request_for


@pytest_asyncio.fixture
async def authorities(system_database: Database, ports: Ports) -> str:
    """What clients trust."""
    async with system_database.tx() as tx:
        return await provisioning.get_authority_chain(Entry(tx, ports, address="", request_id=""))


@pytest.fixture
def own(system_database: Database, ports: Ports) -> OwnCertificate:
    """The certificate of a process whose public name is iot.test."""
    return OwnCertificate(system_database, ports, ["iot.test"])


@pytest_asyncio.fixture
async def door(own: OwnCertificate, edge: Edge) -> AsyncIterator[tuple[int, TlsServer]]:
    """The native API over TLS."""
    tls = await own.open(HTTP_ALPN)
    https = HttpsServer(create_app(edge), tls)
    yield await https.start("127.0.0.1", 0), tls
    await https.stop()


async def shown(port: int, authorities: str, name: str) -> bytes | None:
    """The certificate (DER) that a client accepts for `name`."""
    context = ssl.create_default_context(cadata=authorities)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.close()
    return certificate


async def test_clients_who_trust_our_root_reach_us_by_every_name(door: tuple[int, TlsServer], authorities: str) -> None:
    for name in ("iot.test", "localhost", "127.0.0.1"):
        assert await shown(door[0], authorities, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        await shown(door[0], authorities, "elsewhere.test")


async def test_a_certificate_is_renewed_when_it_is_time_and_the_door_stays_open(
    own: OwnCertificate, door: tuple[int, TlsServer], authorities: str
) -> None:
    port, tls = door
    first = await shown(port, authorities, "iot.test")
    assert own.renew_at is not None
    assert timedelta(days=59) < own.renew_at - time.now() < timedelta(days=61)
    keeping = asyncio.create_task(own.keep(tls, every_s=0.01))
    try:
        own.renew_at = time.now()
        async with asyncio.timeout(5):
            while await shown(port, authorities, "iot.test") == first:
                await asyncio.sleep(0.01)
    finally:
        keeping.cancel()


async def test_a_device_renews_over_tls_with_the_certificate_it_shows(
    acme: Tenant, door: tuple[int, TlsServer], authorities: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await register(acme, "pump-1")
    key = make_key()
    provisioned = await exchange(acme, token.text, request_for(key))
    chain = tmp_path / "device.pem"
    chain.write_bytes(provisioned.certificate.encode() + key_pem(key))
    context = ssl.create_default_context(cadata=authorities)
    url = f"https://localhost:{door[0]}/api/v1/devices/provision/renew"
    body = {"csr": request_for(make_key())}

    async with httpx.AsyncClient(verify=context) as nobody:
        assert (await nobody.post(url, json=body)).status_code == 401
    context.load_cert_chain(chain)
    async with httpx.AsyncClient(verify=context) as device:
        assert (await device.post(url, json=body)).json()["code"] == "too-early"
        monkeypatch.setattr("roadstead.core.provisioning.authority.RENEWAL_WINDOW", timedelta(days=366))
        renewed = await device.post(url, json=body)
    assert renewed.status_code == 201
    assert renewed.json()["deviceId"] == str(token.device_id)


def test_the_public_names_are_those_of_the_settings() -> None:
    assert public_hosts(Settings(public_url="https://iot.test:8443/", public_host="mqtt.test")) == [
        "mqtt.test",
        "iot.test",
    ]
    assert public_hosts(Settings()) == ["localhost"]
