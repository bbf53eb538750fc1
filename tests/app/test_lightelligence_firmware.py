"""A device of the Lightelligence dialect is told to install a firmware, and fetches it."""

from pathlib import Path
from uuid import UUID

from roadstead.kernel.ids import DeviceId
from tests.app.gateway import Running
from tests.app.test_lightelligence_downlinks import Lamp, _carried, gateway
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.fleet import add_device, add_type
from tests.dialects.lightelligence.test_firmware_installations import AT, associate, install, report
from tests.dialects.lightelligence.test_firmwares import CONTENT, add_firmware

__all__ = ["_carried", "gateway"]


async def test_a_device_is_told_again_until_it_has_begun_and_fetches_the_content(
    acme: Tenant, gateway: Running, tmp_path: Path
) -> None:
    client = await Client.of(acme)
    type_ = await add_type(client, slots={"main": {}})
    firmware = await add_firmware(client, version="1.2.3")
    await associate(client, type_, firmware)
    device = await add_device(client, type_)
    lamp = Lamp(client, DeviceId(UUID(device["id"])), tmp_path)
    body = {"cert": lamp.certificate.pem.decode(), "status": "valid"}
    await client.data("assignCertificate", deviceId=lamp.id, json=body)

    await lamp.connect(gateway.tls, "firmware-installations")
    installation = await install(client, device, firmware)
    [(topic, told)] = await lamp.hears(1)
    assert topic == f"devices/{lamp.id}/firmware-installations"
    url = told.pop("downloadUrl")
    assert told == {
        "deviceId": str(lamp.id),
        "installationId": installation["id"],
        "firmwareId": firmware["id"],
        "slot": "main",
        "name": "Main",
        "version": "1.2.3",
        "size": len(CONTENT),
        "hashes": firmware["hashes"],
        "requestedAt": installation["requestedAt"],
    }
    assert (await acme.client().get(url)).content == CONTENT

    await lamp.close()
    await lamp.connect(gateway.tls, "firmware-installations")
    assert [body["installationId"] for _, body in await lamp.hears(2)] == [installation["id"]] * 2
    await lamp.close()

    # However often it connects, a few of its URLs are good at a time.
    for count in range(3, 8):
        await lamp.connect(gateway.tls, "firmware-installations")
        await lamp.hears(count)
        await lamp.close()
    async with acme.edge.system_database.tx() as tx:
        assert await tx.value("SELECT count(*) FROM firmware_token WHERE device_id = %s", lamp.id) == 4
    assert (await acme.client().get(url)).status_code == 404
    newest = lamp.heard[-1][1]["downloadUrl"]
    assert (await acme.client().get(newest)).content == CONTENT

    # It says nothing more about what has begun, and speaks of the next one.
    await report(client, installation, startedAt=AT)
    await lamp.connect(gateway.tls, "firmware-installations")
    another = await install(client, device, firmware)
    assert [body["installationId"] for _, body in (await lamp.hears(8))[7:]] == [another["id"]]
    await lamp.close()
