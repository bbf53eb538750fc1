"""The connection: waits, comes back, never hangs."""

import asyncio
import logging
import time
from pathlib import Path

import pytest

from roadstead.bus import Bus, connect
from roadstead.kernel.errors import Unavailable

from .conftest import NatsServer, connected, eventually


async def test_connecting_waits_until_nats_is_there(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    with pytest.raises(Unavailable):
        await connect(server.url, name="early", timeout_s=0.2)
    waiting = asyncio.create_task(connect(server.url, name="early"))
    await server.start()
    own_bus = await asyncio.wait_for(waiting, 10)
    await own_bus.connected(10)
    assert own_bus.is_connected
    await own_bus.close()
    await server.kill()


async def test_a_nudge_reaches_those_who_listen(own_bus: Bus, server: NatsServer) -> None:
    other = await connect(server.url, name="other")
    heard: list[tuple[str, bytes]] = []

    async def hear(subject: str, payload: bytes) -> None:
        heard.append((subject, payload))
        if payload == b"bad":
            raise ValueError("a callback that fails is not the end of it")

    subscription = await own_bus.on("gateway.*.kick", hear)
    await other.nudge("gateway.7.kick", b"bad")
    await other.nudge("gateway.8.kick", b"good")
    await eventually(lambda: len(heard) == 2)
    assert heard == [("gateway.7.kick", b"bad"), ("gateway.8.kick", b"good")]
    await subscription.close()
    await other.nudge("gateway.9.kick")
    await other.close()
    await own_bus.ready()
    assert len(heard) == 2


async def test_without_nats_callers_are_told_at_once_and_subscriptions_come_back(
    own_bus: Bus, server: NatsServer
) -> None:
    heard: list[bytes] = []

    async def hear(subject: str, payload: bytes) -> None:
        heard.append(payload)

    await own_bus.on("word", hear)
    await server.kill()
    await eventually(lambda: not own_bus.is_connected)

    asked = time.monotonic()
    with pytest.raises(Unavailable):
        await own_bus.nudge("word", b"lost")
    with pytest.raises(Unavailable):
        await own_bus.ready()
    assert time.monotonic() - asked < 1

    await server.start()
    await own_bus.connected(10)
    await own_bus.nudge("word", b"found")
    await eventually(lambda: heard == [b"found"])


async def test_a_server_that_does_not_answer_is_told_apart_from_one_that_does(own_bus: Bus, server: NatsServer) -> None:
    await own_bus.ready()
    await server.freeze()
    try:
        with pytest.raises(Unavailable):
            await own_bus.ready()
    finally:
        server.thaw()
    await own_bus.ready()


async def test_closing_sends_what_was_said_before(own_bus: Bus, server: NatsServer) -> None:
    heard: list[bytes] = []

    async def hear(subject: str, payload: bytes) -> None:
        heard.append(payload)

    await own_bus.on("last", hear)
    other = await connect(server.url, name="leaving")
    for number in range(100):
        await other.nudge("last", b"%d" % number)
    await other.close()
    await eventually(lambda: len(heard) == 100)
    with pytest.raises(Unavailable):
        await other.nudge("last", b"after")


async def test_a_question_to_all_gets_the_answers_of_all_who_listen_and_does_not_wait_for_the_others(
    server: NatsServer, own_bus: Bus
) -> None:
    never = asyncio.Event()

    async def answer(question: bytes) -> bytes:
        return b"one heard " + question

    async def answer_too(question: bytes) -> bytes:
        return b"two heard " + question

    async def stay_silent(_: bytes) -> bytes:
        await never.wait()
        return b"late"

    async with connected(server) as one, connected(server) as two, connected(server) as silent:
        await one.answer("who.is.there", answer)
        await two.answer("who.is.there", answer_too)
        await silent.answer("who.is.there", stay_silent)

        answers = await own_bus.ask_all("who.is.there", b"me", within_s=0.3, most=10)
        assert sorted(answers) == [b"one heard me", b"two heard me"]
        assert len(await own_bus.ask_all("who.is.there", within_s=10, most=1)) == 1
        never.set()


async def test_a_question_that_nobody_hears_is_answered_at_once(own_bus: Bus) -> None:
    started = time.monotonic()
    assert await own_bus.ask_all("nobody.here", within_s=10, most=10) == []
    assert time.monotonic() - started < 5


async def test_a_question_while_nats_is_away_is_refused(server: NatsServer, own_bus: Bus) -> None:
    await server.kill()
    await eventually(lambda: not own_bus.is_connected)
    with pytest.raises(Unavailable):
        await own_bus.ask_all("who.is.there", within_s=1, most=1)


@pytest.mark.parametrize("moment", range(6))
async def test_closing_ends_whatever_the_connection_is_doing(server: NatsServer, moment: int) -> None:
    bus = await connect(server.url, name="leaving", timeout_s=10)
    await server.kill()
    await eventually(lambda: not bus.is_connected)
    for _ in range(moment):
        await asyncio.sleep(0)
    await asyncio.wait_for(bus.close(), 5)


def test_that_the_client_stumbles_over_a_socket_that_is_gone_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("nats.aio.client")
    for error in (RuntimeError("unable to perform operation on <TCPTransport closed=True>"), ValueError("odd")):
        logger.error("nats: encountered error", exc_info=error)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]
