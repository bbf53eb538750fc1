"""Free topics: devices and programs of one application talk to each other, through any process, and to nobody else."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from roadstead.bus import Bus
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.dialects.losant.app import create_app
from roadstead.gateways.http import HttpServer
from roadstead.kernel.actor import Role
from roadstead.supervisor.servers import Servers
from tests.app.gateway import Running, running_gateway, until
from tests.app.losant import Application, LosantDevice, close_all
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client, check_value


@pytest_asyncio.fixture(scope="module")
async def gateways(
    servers: Servers, bus: Bus, tenant_database: Database, system_database: Database, ports: Ports
) -> AsyncIterator[tuple[Running, Running]]:
    """Two gateway processes."""
    parts = (servers, tenant_database, system_database, ports)
    async with running_gateway(*parts) as one, running_gateway(*parts) as other:
        yield one, other


async def test_devices_of_an_application_hear_each_other_across_processes_and_others_do_not(
    acme: Tenant, globex: Tenant, gateways: tuple[Running, Running]
) -> None:
    here, there = gateways
    application, beside, foreign = [await Application.of(tenant) for tenant in (acme, acme, globex)]
    speaker, near = [await application.connected(here.plain) for _ in range(2)]
    far = await application.connected(there.plain)
    strangers = [await other.connected(port.plain) for other in (beside, foreign) for port in gateways]
    for device in (speaker, near, far, *strangers):
        await device.listen("#")
    said = [(f"chat/{number}", f"hello {number}".encode()) for number in range(20)]
    for topic, payload in said:
        await speaker.say(topic, payload)
    for device in (speaker, near, far):
        await device.hears(*said)
    # What they would have heard has been told before this.
    for device in strangers:
        await device.say("last/words", b"of our own")
        await device.hears_about("last/words")
    await close_all(speaker, near, far, *strangers)


async def test_the_most_that_was_asked_for_is_delivered_once(acme: Tenant, gateways: tuple[Running, Running]) -> None:
    here, there = gateways
    application = await Application.of(acme)
    speaker, listener = await application.connected(here.plain), await application.connected(there.plain)
    listener.client.subscribe([("a/+/c", 0), ("a/#", 1), ("+/b/c", 0), ("other", 1)])
    await until(lambda: len(listener.granted) == 4)
    await speaker.say("a/b/c", b"1", qos=1)
    await speaker.say("a/b/c", b"2", qos=0, retain=True)
    await speaker.say("a", b"3")
    await speaker.say("b/b", b"nobody listens")
    await speaker.say("other", b"4")
    await listener.hears(("a/b/c", b"1"), ("a/b/c", b"2"), ("a", b"3"), ("other", b"4"))
    listener.client.unsubscribe(["a/#", "a/+/c", "+/b/c"])
    await speaker.say("other", b"5")
    await until(lambda: len(listener.heard) == 5)
    await listener.say("other", b"6")  # its UNSUBSCRIBE came before
    await until(lambda: len(listener.heard) == 6)
    await speaker.say("a/b/c", b"7")
    await speaker.say("other", b"8")
    await until(lambda: len(listener.heard) == 7)
    assert [payload for _, payload in listener.heard[-3:]] == [b"5", b"6", b"8"]
    await close_all(speaker, listener)


async def test_nothing_is_retained_and_a_device_of_mqtt_5_need_not_hear_itself(
    acme: Tenant, gateways: tuple[Running, Running]
) -> None:
    application = await Application.of(acme)
    speaker = await application.connected(gateways[0].plain)
    await speaker.say("chat", b"before", retain=True)
    v5 = MQTTProtocolVersion.MQTTv5
    listener = LosantDevice(await application.add_device(), application.key, version=v5)
    await listener.connect(gateways[1].plain)
    listener.client.subscribe("chat", options=SubscribeOptions(qos=1, noLocal=True))
    await until(lambda: listener.granted)
    await listener.say("chat", b"from itself")
    await speaker.say("chat", b"after")
    await listener.hears(("chat", b"after"))
    await close_all(speaker, listener)


async def test_the_will_of_a_device_is_heard_when_it_is_cut_off(
    acme: Tenant, gateways: tuple[Running, Running]
) -> None:
    application = await Application.of(acme)
    listener = await application.connected(gateways[1].plain)
    await listener.listen("gone/+")
    device = LosantDevice(await application.add_device(), application.key)
    device.client.will_set(f"gone/{device.id}", b"farewell", qos=1, retain=True)
    await device.connect(gateways[0].plain)
    await device.say("losant/nobody/state", b"{}")
    await listener.hears((f"gone/{device.id}", b"farewell"))
    refused = LosantDevice(await application.add_device(), application.key)
    refused.client.will_set("losant/nobody/state", b"{}")
    await refused.connect(gateways[0].plain)
    assert not refused.is_in
    await close_all(listener, device, refused)


@pytest.mark.parametrize(
    ("rules", "may_say", "may_hear"),
    [
        ({"filterType": "none"}, False, False),
        ({"filterType": "whitelist", "pubTopics": ["chat/+"], "subTopics": ["news/#"]}, True, False),
        ({"filterType": "whitelist", "pubTopics": ["news/#"], "subTopics": ["chat/#"]}, False, True),
        ({"filterType": "blacklist", "pubTopics": ["chat/#"], "subTopics": ["news/#"]}, False, True),
        ({"filterType": "blacklist", "pubTopics": ["news/#"], "subTopics": ["+/room"]}, True, False),
    ],
)
async def test_a_key_says_which_free_topics_a_device_may_use(
    acme: Tenant, gateways: tuple[Running, Running], rules: dict[str, Any], may_say: bool, may_hear: bool
) -> None:
    application = await Application.of(acme)
    key = await application.add_key(**rules)
    port = gateways[0].plain
    speaker, listener = [await application.connected(port, key=key) for _ in range(2)]
    await speaker.listen(f"losant/{speaker.id}/command")
    await speaker.say("chat/room", b"hello")
    assert speaker.is_in is may_say
    assert await listener.try_to_listen("chat/room") is may_hear
    await close_all(speaker, listener)


async def test_programs_speak_on_free_topics_and_on_no_others(
    acme: Tenant, globex: Tenant, gateways: tuple[Running, Running]
) -> None:
    application = await Application.of(acme)
    listener = await application.connected(gateways[0].plain)
    await listener.listen("chat/#", f"losant/{listener.id}/command")
    await application.publish("chat/room", "grüezi")
    await listener.hears(("chat/room", "grüezi".encode()))
    for topic in ("chat/#", f"losant/{listener.id}/command", "/losant/x", "$SYS/x"):
        body = {"topic": topic, "message": "{}"}
        refused = await application.client.failure(
            "application.mqttPublishMessage", applicationId=application.id, json=body
        )
        assert refused == (400, "Validation")
    stranger = await Client.of(globex)
    body = {"topic": "chat/room", "message": "let me in"}
    refused = await stranger.failure("application.mqttPublishMessage", applicationId=application.id, json=body)
    assert refused == (404, "NotFound")
    assert len(listener.heard) == 1
    await listener.close()


async def test_programs_speak_no_more_often_than_they_may(acme: Tenant) -> None:
    application = await Application.of(acme)
    for _ in range(30):
        await application.publish("chat/room", "again")
    body = {"topic": "chat/room", "message": "and again"}
    refused = await application.client.failure(
        "application.mqttPublishMessage", applicationId=application.id, json=body
    )
    assert refused == (429, "RateLimited")


class Stream:
    """Server-sent events of one response."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def line(self) -> str:
        """The next one that is not empty."""
        async with asyncio.timeout(5):
            async for line in self._lines:
                if line:
                    return line
        return ""

    async def message(self) -> tuple[str, str]:
        """Topic and message of the next event."""
        while (line := await self.line()).startswith(":"):
            continue
        assert line == "event: mqttMessage"
        data = json.loads((await self.line()).removeprefix("data: "))
        check_value("mqttSubscriptionStream", "mqttPublishBody", data)
        return data["topic"], data["message"]


@asynccontextmanager
async def listening(client: Client, application_id: str, **params: Any) -> AsyncIterator[Stream]:
    """An open stream, over a real port."""
    server = HttpServer(create_app(client.tenant.edge))
    port = await server.start("127.0.0.1", 0)
    headers = {"Authorization": f"Bearer {client.token}", "Accept": "application/json"}
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as http,
        http.stream("GET", f"/applications/{application_id}/mqttSubscriptionStream", params=params) as response,
    ):
        yield Stream(response)
    await server.stop()


async def test_programs_hear_what_devices_and_other_programs_say(
    acme: Tenant, globex: Tenant, gateways: tuple[Running, Running]
) -> None:
    application, foreign = await Application.of(acme), await Application.of(globex)
    device = await application.connected(gateways[0].plain)
    async with listening(application.client, application.id, topic="chat/+", keepAliveInterval=1) as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        await foreign.publish("chat/room", "from another organization")
        await device.say("chat/a/b", b"about something else")
        await device.say("chat/room", b"\xff")
        await application.publish("chat/room", "hello")
        assert await stream.message() == ("chat/room", "\ufffd")
        assert await stream.message() == ("chat/room", "hello")
        assert await stream.line() == ": keep-alive"
    await device.close()


@pytest.mark.parametrize(
    "params", [{}, {"topic": "a/#/b"}, {"topic": "losant/#"}, {"topic": "a", "keepAliveInterval": 0}]
)
async def test_what_is_wrong_is_said_in_json_before_the_stream(acme: Tenant, params: dict[str, Any]) -> None:
    application = await Application.of(acme)
    answer = await application.client.ask(
        "application.mqttSubscriptionStream", applicationId=application.id, params=params
    )
    assert (answer.status_code, answer.json()["type"]) == (400, "Validation")


async def test_another_organization_neither_hears_nor_learns_of_the_application(acme: Tenant, globex: Tenant) -> None:
    application = await Application.of(acme)
    stranger = await Client.of(globex, Role.OWNER)
    refused = await stranger.failure(
        "application.mqttSubscriptionStream", applicationId=application.id, params={"topic": "#"}
    )
    assert refused == (404, "NotFound")
