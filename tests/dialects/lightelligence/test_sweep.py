"""The third sweep: whatever a tenant has, another one gets nothing of it, by any operation that takes an id."""

from typing import Any

from roadstead.core.identity import Permission
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import OPERATIONS, Client, check_answer
from tests.dialects.lightelligence.fleet import add_device, add_type
from tests.dialects.lightelligence.programs import add_application, permissions
from tests.dialects.lightelligence.team import add_role, join
from tests.dialects.lightelligence.test_firmwares import add_firmware
from tests.gateways.certificates import make

AT = "2026-01-01T00:00:00Z"
SPAN = {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-02T00:00:00Z"}
QUERIES: dict[str, dict[str, str]] = {
    "getAggregatedTimeseries": {"path": "$.attributes.people", "aggregation": "max", **SPAN},
    "getLastTimeseries": {"path": "$.attributes.people"},
    "deleteTimeseriesData": {"path": "$.attributes.people"},
    "getAggregatedPoints": {"aggregation": "max", **SPAN},
}
OWN = {
    name for name, told in OPERATIONS.items() if told["auth"]["token"] in ("user_self", "ws_token", "client", "none")
}
"""About oneself, or behind a secret of its own: there is nothing of another tenant to name."""


async def belongings(acme: Tenant, owner: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """One of everything, by the name of its id; and bodies that would do."""
    type_ = await add_type(owner, slots={"main": {}})
    device = await add_device(owner, type_)
    pem = {"cert": make("sweep").pem.decode(), "status": "valid"}
    certificate = await owner.data("assignCertificate", deviceId=device["id"], json=pem)
    firmware = await add_firmware(owner)
    place = {"deviceTypeId": type_["id"], "slotName": "main"}
    allowed = await owner.data("associateFirmware", **place, json={"firmwareId": firmware["id"]})
    asked = {"firmwareId": firmware["id"], "slot": "main"}
    installation = await owner.data("createFirmwareInstallation", deviceId=device["id"], json=asked)
    dump = await owner.data("requestTimeseriesDump", deviceId=device["id"], json={"path": "$.attributes.people"})
    application = await add_application(owner, permissions=permissions(user=[Permission.DEVICETYPES_READ]))
    custom = {"alias": "pumps:read", "name": "Pumps", "category": "pumps"}
    extra = await owner.data("createCustomPermission", applicationId=application["id"], json=custom)
    role = await add_role(owner, "Sweepers", Permission.DEVICETYPES_READ)
    guest = {"receiverEmail": "sweep@guest.test", "roles": [{"id": role["id"]}]}
    invite = await owner.data("createInvite", tenantId=owner.tenant_id, json=guest)
    notification = {
        "active": True,
        "notificationTemplate": {
            "notificationRecipient": "a@b.test",
            "notificationTopic": "t",
            "notificationPayload": "p",
            "debounceDuration": 2,
        },
        "notificationFilter": {"eventFilter": {"deviceEvent": ["crowded"]}},
    }
    definition = await owner.data("createNotification", json=notification)
    series = {"name": "s", "dataType": {"type": "number"}, "metadata": {"a": "b"}}
    timeseries = await owner.data("createTimeseries", json=series)
    answer = await owner.ask(
        "requestRawFile", json={"dataFilter": SPAN, "timeseriesFilter": {"timeseriesIds": [timeseries["id"]]}}
    )
    ids = {
        "tenantId": owner.tenant_id,
        "userId": owner.id,
        "deviceTypeId": type_["id"],
        "slotName": "main",
        "associationId": allowed["id"],
        "deviceId": device["id"],
        "certId": certificate["id"],
        "id": firmware["id"],
        "installationId": installation["id"],
        "dumpId": dump["url"].rpartition("/")[2],
        "applicationId": application["id"],
        "permissionId": extra["id"],
        "roleId": role["id"],
        "inviteId": invite["id"],
        "notificationId": definition["notificationId"],
        "timeseriesId": timeseries["id"],
        "requestId": answer.headers["Location"].rpartition("/")[2],
        "fileId": answer.headers["Location"].rpartition("/")[2],
    }
    bodies: dict[str, Any] = {
        "updateTenant": {"contractId": "x"},
        "createInvite": guest,
        "createCustomPermission": {"alias": "x:y", "name": "Other", "category": "x"},
        "updateCustomPermission": {"description": "x"},
        "updateRole": {"description": "x"},
        "setTenantUserRoles": [{"id": role["id"]}],
        "updateDeviceType": {"model": "x"},
        "updateDeviceTypeMonitoring": {"communicationInterval": 5},
        "associateFirmware": {"firmwareId": firmware["id"]},
        "updateDevice": {"info": {"location": "x"}},
        "updateDeviceMonitoring": {"communicationInterval": 5},
        "triggerAction": {"action": "blink", "payload": {"seconds": 1}},
        "assignCertificate": {"cert": make("other").pem.decode(), "status": "valid"},
        "updateCertificate": {"status": "revoked"},
        "createFirmwareInstallation": asked,
        "updateFirmwareInstallation": {"startedAt": AT},
        "requestTimeseriesDump": {"path": "$.attributes.people"},
        "updateDevelopedApplication": {"teaserDescription": "x"},
        "addAllowedTenant": {},
        "regenerateSecret": {},
        "installApplication": {"permissions": permissions()},
        "updateInstallation": {"permissions": permissions()},
        "replaceNotification": notification,
        "updateNotification": {"active": False},
        "updateTimeseries": {"name": "x"},
        "addPoints": {"data": [{"value": 1}]},
    }
    return ids, bodies


async def call(client: Client, operation: str, ids: dict[str, str], bodies: dict[str, Any]) -> int:
    """The status of an operation with these ids."""
    told = OPERATIONS[operation]
    path = told["path"].format(**ids)
    if operation == "attachBlob":
        headers = {"Content-Type": "application/octet-stream"}
        answer = await client.http.post(path, content=b"x", headers=headers)
    else:
        answer = await client.http.request(
            told["method"], path, json=bodies.get(operation), params=QUERIES.get(operation)
        )
    check_answer(operation, answer)
    return answer.status_code


async def test_no_operation_reaches_what_belongs_to_another_tenant(acme: Tenant, globex: Tenant) -> None:
    owner, stranger = await join(acme), await join(globex)
    ids, bodies = await belongings(acme, owner)
    swept = [name for name, told in OPERATIONS.items() if told.get("path_params") and name not in OWN]
    assert len(swept) > 70
    statuses = {name: await call(stranger, name, ids, bodies) for name in swept}
    assert {name: status for name, status in statuses.items() if status not in (403, 404)} == {}

    # And all of it is there, as it was: the owner reads what nobody has changed.
    for name in ("getDeviceType", "getDevice", "getCertificate", "getFirmware", "getFirmwareInstallation"):
        assert await call(owner, name, ids, bodies) == 200, name
    for name in ("getDevelopedApplication", "getCustomPermission", "getRole", "getNotification", "getTimeseries"):
        assert await call(owner, name, ids, bodies) == 200, name
    assert (await owner.data("getDevice", deviceId=ids["deviceId"]))["info"].get("location") is None
    assert await owner.data("listTenantInvites", tenantId=owner.tenant_id) != []
