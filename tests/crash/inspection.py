"""What is looked at afterwards: everything that was promised, and every projection against one made from scratch."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import httpx
import msgspec
import psycopg

from roadstead.bus import ACCEPTED, FACTS, UPLINK, Bus, Pack, Reader, connect, pending, stream_state
from roadstead.core.messages import (
    CONNECTED,
    REFUSED,
    SESSION,
    DeviceCreated,
    SessionNotice,
    decode_accepted,
    decode_fact,
    decode_facts,
)
from roadstead.kernel import ids
from roadstead.kernel.time import parse_instant, to_millis
from roadstead.settings import read_settings
from roadstead.supervisor.servers import find_running
from tests.crash.publishers import START, STEP, Clerk, Ledger, Publisher, nonsense_of
from tests.journeys.devices import sensor_of
from tests.platform import Platform, wait_until

_SETTLED_S = 60.0
_STEP_MS = STEP.total_seconds() * 1000


def check_everything(platform: Platform, publishers: Sequence[Publisher], clerk: Clerk) -> None:
    """All publishers have finished. Waits until the platform has come to rest, and looks."""
    asyncio.run(_Inside(platform).check(publishers, clerk))
    for publisher in publishers:
        with platform.client(publisher.key) as api:
            _check_points(api, publisher)
            _check_quarantine(api, publisher)
            device = api.get(f"/api/v1/devices/{publisher.identity.device_id}").json()
            assert not device["online"], "a device that has left is shown as connected"
    _check_devices(platform, clerk)


# --- what users see --------------------------------------------------------------------------------------------------


def _check_points(api: httpx.Client, publisher: Publisher) -> None:
    """Every acknowledged value once, none that was never sent, none under another time."""
    sensor = sensor_of(api, publisher.identity.device_id, "n")
    points = _every(api, f"/api/v1/readings/sensor/{sensor}", limit="10000", **{"from": START.isoformat()})
    numbers = [_number_at(point["timestamp"]) for point in points]
    assert [point["value"] for point in points] == numbers
    _check_numbers(publisher.ledger.sent, publisher.ledger.acknowledged, numbers, once=True)
    span = {"from": START.isoformat()}
    assert api.get(f"/api/v1/readings/sensor/{sensor}/stats", params=span).json()["count"] == len(numbers)
    latest = api.get(f"/api/v1/readings/sensor/{sensor}/latest").json()
    assert latest["value"] == max(numbers)


def _check_quarantine(api: httpx.Client, publisher: Publisher) -> None:
    """What could not be stored is there to be read: once, unless its sender has said it twice."""
    params = {"deviceId": publisher.identity.device_id, "limit": "200"}
    entries = _every(api, "/api/v1/admin/quarantine", **params)
    ledger = publisher.ledger
    texts = {nonsense_of(number): number for number in ledger.refused_sent}
    numbers = [texts[_said(entry)] for entry in entries]
    _check_numbers(ledger.refused_sent, ledger.refused_acknowledged, numbers, once=not ledger.resends)


def _check_devices(platform: Platform, clerk: Clerk) -> None:
    """Every device that somebody was told is there is there, and no two of one name."""
    with platform.client(clerk.key) as api:
        named = [device["name"] for device in _every(api, "/api/v1/devices", limit="200")]
    numbers = [int(name.removeprefix("device ")) for name in named if name.startswith("device ")]
    _check_numbers(clerk.ledger.sent, clerk.ledger.acknowledged, numbers, once=True)


def _check_numbers(sent: set[int], acknowledged: set[int], found: Sequence[int], *, once: bool) -> None:
    lost, strange = acknowledged - set(found), set(found) - sent
    twice = [number for number, count in Counter(found).items() if count > 1] if once else []
    assert not lost, f"acknowledged and lost: {sorted(lost)[:20]}, {len(lost)} in all"
    assert not strange, f"never sent: {sorted(strange)[:20]}, {len(strange)} in all"
    assert not twice, f"there more than once: {sorted(twice)[:20]}, {len(twice)} in all"


def _every(api: httpx.Client, path: str, **params: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = api.get(path, params=params | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        cursor = page.get("nextCursor")
        if cursor is None:
            return items


def _number_at(timestamp: str) -> int:
    at = parse_instant(timestamp)
    assert at is not None
    return round((at - START) / STEP)


def _said(entry: dict[str, Any]) -> str:
    """What was refused: a message that is no JSON, or an item whose value is none."""
    payload = entry["payload"]
    return str(payload["value"] if isinstance(payload, dict) else payload)


# --- what it is made of ----------------------------------------------------------------------------------------------


class _Inside:
    """The log and the database, past the platform."""

    def __init__(self, platform: Platform) -> None:
        self._settings = find_running(read_settings(platform.environment))

    async def check(self, publishers: Sequence[Publisher], clerk: Clerk) -> None:
        bus = await connect(self._settings.nats_url, name="inspection", timeout_s=10)
        try:
            async with await psycopg.AsyncConnection.connect(self._settings.database_url, autocommit=True) as database:
                await database.execute("SET search_path = roadstead")
                await self._await_rest(bus, database)
                await self._check_projections(bus, database, publishers)
                await self._check_facts(bus, clerk)
        finally:
            await bus.close()

    async def _await_rest(self, bus: Bus, database: psycopg.AsyncConnection) -> None:
        """Nobody is stuck: all that is in a log has been read by whoever reads it."""
        deadline = time.monotonic() + _SETTLED_S
        while waiting := await self._waiting(bus, database):
            assert time.monotonic() < deadline, f"stuck: {waiting}"
            await asyncio.sleep(0.1)

    async def _waiting(self, bus: Bus, database: psycopg.AsyncConnection) -> dict[str, int]:
        cursor = await database.execute("SELECT name, position FROM projection")
        last = (await stream_state(bus, ACCEPTED)).last_sequence
        found = {f"projection {name}": last - position for name, position in await cursor.fetchall() if name == "state"}
        found["store"] = await pending(bus, UPLINK)
        cursor = await database.execute("SELECT count(*) FROM outbox")
        found["outbox"] = (await cursor.fetchone() or [0])[0]
        return {name: count for name, count in found.items() if count}

    async def _check_projections(
        self, bus: Bus, database: psycopg.AsyncConnection, publishers: Sequence[Publisher]
    ) -> None:
        """Newest values and connections are what the log says, read once more from its beginning."""
        newest: dict[bytes, dict[str, tuple[Any, int]]] = {}
        sessions: dict[bytes, tuple[str, int] | None] = {}
        told: dict[bytes, Counter[int]] = {}
        async for pack in _packs(bus, ACCEPTED):
            for message in decode_accepted(pack.payload):
                if message.dialect == SESSION:
                    if message.channel != REFUSED:
                        notice = msgspec.msgpack.decode(message.payload, type=SessionNotice)
                        here = (notice.gateway, notice.session)
                        if message.channel == CONNECTED:
                            sessions[message.device] = here
                        elif sessions.get(message.device) == here:
                            sessions[message.device] = None
                    continue
                values = newest.setdefault(message.device, {})
                for reading in message.readings:
                    if reading.at >= values.get(reading.path, (None, 0))[1]:
                        values[reading.path] = (reading.value, reading.at)
                    told.setdefault(message.device, Counter())[reading.at] += 1

        cursor = await database.execute("SELECT device_id, body FROM device_state")
        states = {
            ids.to_bytes(device): {path: (value[0], value[1]) for path, value in body.items()}
            for device, body in await cursor.fetchall()
        }
        for device in states.keys() | newest.keys():
            assert states.get(device, {}) == newest.get(device, {}), f"newest values of {device.hex()}"
        # A gateway that was killed has said goodbye for nobody: those sessions were ended for it, see `online` above.
        cursor = await database.execute("SELECT id, online_gateway, online_session FROM device WHERE online")
        online = {ids.to_bytes(device): (gateway, session) for device, gateway, session in await cursor.fetchall()}
        assert online.items() <= sessions.items()
        for publisher in publishers:
            if not publisher.ledger.resends:
                _check_told_once(
                    publisher.ledger, told.get(ids.to_bytes(UUID(publisher.identity.device_id)), Counter())
                )

    async def _check_facts(self, bus: Bus, clerk: Clerk) -> None:
        """What was committed has become a fact; whoever was told of a device finds it among them, under one number."""
        created: dict[str, set[int]] = {}
        async for pack in _packs(bus, FACTS):
            for message in decode_facts(pack.payload):
                fact = decode_fact(message.fact)
                if isinstance(fact, DeviceCreated):
                    created.setdefault(str(fact.device_id), set()).add(message.id)
        missing = [id_ for id_ in clerk.created.values() if id_ not in created]
        assert not missing, f"no fact tells of {missing[:5]}, {len(missing)} in all"
        assert all(len(numbers) == 1 for numbers in created.values())


def _check_told_once(ledger: Ledger, told: Counter[int]) -> None:
    """Projections, rules and live streams hear of a message once, when it was sent once."""
    numbers = Counter({round((at - to_millis(START)) / _STEP_MS): count for at, count in told.items()})
    _check_numbers(ledger.sent, ledger.acknowledged, list(numbers.elements()), once=True)


async def _packs(bus: Bus, stream: str) -> AsyncIterator[Pack]:
    last = (await stream_state(bus, stream)).last_sequence
    reader = Reader(bus, stream)
    try:
        position = 0
        while position < last:
            pack = await reader.next(10)
            assert pack is not None, f"{stream} cannot be read to its end"
            assert not pack.gap
            position = pack.sequence
            yield pack
    finally:
        await reader.close()


def await_offline(platform: Platform, publishers: Sequence[Publisher]) -> None:
    """Nobody is connected any more, also according to those who were told so by a process that died."""
    for publisher in publishers:
        with platform.client(publisher.key) as api:
            path = f"/api/v1/devices/{publisher.identity.device_id}"
            wait_until(lambda path=path, api=api: not api.get(path).json()["online"], timeout_s=30)  # type: ignore[misc]
