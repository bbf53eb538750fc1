"""The courier: claims first, hands over then, and loses nothing when something breaks in between."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from roadstead.app.codecs import SPELLERS
from roadstead.core import commands, provisioning, registry
from roadstead.core.commands import Command, CommandDraft, CommandSource
from roadstead.core.downlinks import COMMAND, Downlink, Hearer, Manners, Spelled
from roadstead.core.provisioning import CredentialStatus
from roadstead.core.registry import DeviceDraft
from roadstead.db import Database, Tx
from roadstead.kernel import ids
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import DeviceId
from roadstead.workers.courier import Courier
from tests.conftest import Tenant
from tests.fleet import add_device
from tests.gateways.certificates import make
from tests.workers.conftest import running


class Seat:
    """A session of a test."""

    def __init__(self, tenant: Tenant, name: str, *, hears: bool = True, dialect: str = "native") -> None:
        self.tenant = tenant.tenant_id
        self.organization = tenant.organization_id
        self.dialect = dialect
        self.name = name
        self.is_listening = hears

    def hears(self, topic: str) -> bool:
        """All or nothing."""
        return self.is_listening and topic.startswith((f"v1/gateways/{self.organization}/", "devices/"))


class Sessions:
    """The sessions of a process; what was handed to them waits until the test says that it arrived."""

    def __init__(self) -> None:
        self.seats: dict[bytes, Seat] = {}
        self.handed: list[tuple[bytes, str, dict[str, Any]]] = []
        self.done: list[Callable[[bool], None]] = []

    def find(self, device: bytes) -> Seat | None:
        """As the gateway does."""
        return self.seats.get(device)

    def deliver(
        self, device: bytes, topic: str, payload: bytes, *, retain: bool, key: str, done: Callable[[bool], None]
    ) -> bool:
        """As the gateway does."""
        if device not in self.seats:
            return False
        self.handed.append((device, key, msgspec.json.decode(payload)))
        self.done.append(done)
        return True

    def acknowledge(self, *, arrived: bool = True) -> None:
        """The devices have taken everything, or their sessions have ended."""
        done, self.done = self.done, []
        for tell in done:
            tell(arrived)

    @property
    def numbers(self) -> list[int]:
        """What was handed over, in order."""
        return [message["params"]["number"] for _, _, message in self.handed]


async def queue(tenant: Tenant, device: UUID, *numbers: int) -> list[Command]:
    """Commands with these numbers."""
    made = []
    for number in numbers:
        draft = CommandDraft(type="UPDATE_CONFIG", payload={"number": number})
        async with tenant.work() as work:
            made.append(await commands.create_command(work, DeviceId(device), draft))
    return made


async def statuses(tenant: Tenant, made: Sequence[Command]) -> list[tuple[str, bool]]:
    """Status of each, and whether it has arrived."""
    async with tenant.work() as work:
        found = [await commands.get_command(work, one.device_id, one.id) for one in made]
    return [(one.status.value, one.delivered_at is not None) for one in found]


def _has_handed(sessions: Sessions, count: int) -> bool:
    return len(sessions.handed) == count


async def until(condition: Callable[[], object]) -> None:
    """Wait for what the courier does."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def working(courier: Courier, sessions: Sessions) -> AsyncIterator[None]:
    """A gateway process; at the end it dies."""
    async with running(courier.run(sessions)):
        yield


async def test_what_waits_is_handed_to_those_who_listen_and_noted_when_it_has_arrived(
    acme: Tenant, globex: Tenant, system_database: Database
) -> None:
    pump = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    deaf = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    absent = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    other = await add_device(system_database, globex.tenant_id, status="ACTIVE")
    mine = await queue(acme, pump, 1, 2)
    theirs = await queue(globex, other, 9)
    unheard = [*await queue(acme, deaf, 3), *await queue(acme, absent, 4)]
    sessions, courier = Sessions(), Courier(system_database, [CommandSource()], SPELLERS)
    sessions.seats = {
        ids.to_bytes(pump): Seat(acme, "a/1"),
        ids.to_bytes(deaf): Seat(acme, "a/2", hears=False),
        ids.to_bytes(other): Seat(globex, "a/3"),
    }

    async with working(courier, sessions):
        for device in (pump, deaf, absent, other):
            courier.wake(ids.to_bytes(device))
        await until(lambda: len(sessions.handed) == 3)
        assert sorted((device, message["params"]["number"]) for device, _, message in sessions.handed) == sorted(
            [(ids.to_bytes(pump), 1), (ids.to_bytes(pump), 2), (ids.to_bytes(other), 9)]
        )
        assert await statuses(acme, mine) == [("SENT", False)] * 2
        courier.wake(ids.to_bytes(pump))
        mine += await queue(acme, pump, 5)
        courier.wake(ids.to_bytes(pump))
        await until(lambda: len(sessions.handed) == 4)  # and not 1 and 2 once more

        sessions.acknowledge()
        async with asyncio.timeout(5):
            while await statuses(acme, mine) != [("SENT", True)] * 3:
                await asyncio.sleep(0.005)
    assert await statuses(globex, theirs) == [("SENT", True)]
    assert await statuses(acme, unheard) == [("PENDING", False)] * 2


async def test_a_gateway_that_dies_before_it_hands_over_loses_nothing(acme: Tenant, system_database: Database) -> None:
    pump = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    key = ids.to_bytes(pump)
    made = await queue(acme, pump, 1, 2)
    async with system_database.tx() as tx:  # claimed and committed, and then the lights went out
        hearer = Hearer(acme.tenant_id, DeviceId(pump), "dead/1/0")
        assert len(await CommandSource().claim(tx, [hearer], most=1)) == 1
    assert await statuses(acme, made) == [("SENT", False), ("PENDING", False)]

    first, second = Sessions(), Sessions()
    for sessions, name in ((first, "b/1"), (second, "c/1")):
        sessions.seats = {key: Seat(acme, name)}
        courier = Courier(system_database, [CommandSource()], SPELLERS)
        async with working(courier, sessions):
            courier.wake(key)
            await until(partial(_has_handed, sessions, 2))
        assert sessions.numbers == [1, 2]
    # Handed over twice, under the same ids, and told of as sent once.
    assert first.handed == second.handed
    async with acme.edge.system_database.tx() as tx:
        sent = await tx.value("SELECT count(DISTINCT sent_at) FROM command WHERE sent_session LIKE 'c/1%%'")
    assert sent == 2 and await statuses(acme, made) == [("SENT", False)] * 2


class Broken(CommandSource):
    """Commits, and then nobody knows."""

    def __init__(self) -> None:
        self.failures = 1

    async def claim(self, tx: Tx, hearers: Sequence[Hearer], *, most: int) -> list[Downlink]:
        """The first time the connection breaks right after the commit."""
        claimed = await super().claim(tx, hearers, most=most)
        if self.failures:
            self.failures -= 1
            await tx.commit()
            raise Unavailable("the connection was lost")
        return claimed


async def test_a_claim_of_unknown_outcome_is_made_again(acme: Tenant, system_database: Database) -> None:
    pump = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    await queue(acme, pump, 1)
    sessions, courier = Sessions(), Courier(system_database, [Broken()], SPELLERS)
    sessions.seats = {ids.to_bytes(pump): Seat(acme, "a/1")}
    async with working(courier, sessions):
        courier.wake(ids.to_bytes(pump))
        await until(lambda: sessions.handed)
        assert sessions.numbers == [1]


async def test_a_device_is_handed_no_more_than_it_takes(acme: Tenant, system_database: Database) -> None:
    pump = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    made = await queue(acme, pump, *range(5))
    sessions, courier = Sessions(), Courier(system_database, [CommandSource()], SPELLERS, most_each=2)
    sessions.seats = {ids.to_bytes(pump): Seat(acme, "a/1")}
    async with working(courier, sessions):
        for count in (2, 4, 5):
            courier.wake(ids.to_bytes(pump))
            await until(partial(_has_handed, sessions, count))
            courier.wake(ids.to_bytes(pump))
            assert [status for status, _ in await statuses(acme, made)].count("PENDING") == 5 - count
            sessions.acknowledge()
    assert sessions.numbers == [0, 1, 2, 3, 4]


async def test_a_session_that_ended_meanwhile_is_handed_nothing(acme: Tenant, system_database: Database) -> None:
    pump = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    key = ids.to_bytes(pump)
    await queue(acme, pump, 1)
    sessions = Sessions()

    class Slow(CommandSource):
        async def claim(self, tx: Tx, hearers: Sequence[Hearer], *, most: int) -> list[Downlink]:
            claimed = await super().claim(tx, hearers, most=most)
            if sessions.seats[key].name == "a/1":
                sessions.seats[key] = Seat(acme, "a/2")
            return claimed

    courier = Courier(system_database, [Slow()], SPELLERS)
    sessions.seats = {key: Seat(acme, "a/1")}
    async with working(courier, sessions):
        courier.wake(key)
        await until(lambda: sessions.seats[key].name == "a/2")
        assert sessions.handed == []
        courier.wake(key)  # as the new session does when it subscribes
        await until(lambda: sessions.handed)
    assert sessions.numbers == [1]


class _Document(msgspec.Struct):
    text: str


class Documents:
    """Another kind of downlinks."""

    kind = "document"

    def __init__(self) -> None:
        self.arrived: list[UUID] = []

    async def claim(self, tx: Tx, hearers: Sequence[Hearer], *, most: int) -> list[Downlink]:
        """The same for everybody."""
        return [Downlink(one.tenant, one.device, self.kind, one.device, _Document("hello")) for one in hearers]

    async def note_arrived(self, tx: Tx, downlinks: Sequence[Downlink]) -> None:
        """Remember."""
        self.arrived += [downlink.id for downlink in downlinks]


class Words:
    """A dialect that knows documents, and stumbles over commands."""

    manners = Manners()

    def topic(self, kind: str, organization: UUID, device: DeviceId) -> str | None:
        """Both."""
        return f"v1/gateways/{organization}/{kind}"

    def spell(self, downlink: Downlink) -> Spelled:
        """Only one of them."""
        if downlink.kind == COMMAND:
            raise ValueError("no words for that")
        return Spelled(msgspec.json.encode(downlink.body), retain=True)


async def test_other_kinds_and_other_dialects_travel_alike_and_a_fault_of_one_stops_nobody(
    acme: Tenant, system_database: Database
) -> None:
    pump = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    await queue(acme, pump, 1)
    documents, sessions = Documents(), Sessions()
    courier = Courier(system_database, [CommandSource(), documents], {"native": Words()})
    sessions.seats = {ids.to_bytes(pump): Seat(acme, "a/1")}
    async with working(courier, sessions):
        courier.wake(ids.to_bytes(pump))
        await until(lambda: sessions.handed)
        assert sessions.handed == [(ids.to_bytes(pump), f"document {pump}", {"text": "hello"})]
        sessions.acknowledge()
        await until(lambda: documents.arrived == [pump])


# --- those who speak for others --------------------------------------------------------------------------------------


async def connect(tenant: Tenant, name: str, hub: UUID, *children: str) -> list[UUID]:
    """A hub that can come by itself, and devices behind it."""
    made = make(name).pem.decode()
    async with tenant.work() as work:
        await provisioning.assign_certificate(
            work, DeviceId(hub), made, dialect="lightelligence", status=CredentialStatus.ACTIVE
        )
        drafts = [DeviceDraft(name=child, gateway_id=DeviceId(hub), aliases=[f"{child}!"]) for child in children]
        return [(await registry.create_device(work, draft)).id for draft in drafts]


async def test_who_speaks_for_others_gets_what_is_theirs_however_it_is_told_of_it(
    acme: Tenant, globex: Tenant, system_database: Database
) -> None:
    hub = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    theirs = await add_device(system_database, globex.tenant_id, status="ACTIVE")
    one, other = await connect(acme, "hub", hub, "one", "other")
    (stranger,) = await connect(globex, "hub", theirs, "one")
    waiting = await queue(acme, one, 1)
    await queue(globex, stranger, 2)
    sessions, courier = Sessions(), Courier(system_database, [Broken()], SPELLERS)
    sessions.seats = {ids.to_bytes(hub): Seat(acme, "a/1", dialect="lightelligence")}
    async with working(courier, sessions):
        # Nobody who speaks for others has come yet, so nobody is asked for.
        courier.wake_away(acme.tenant_id, [ids.to_bytes(one)], "command")
        courier.wake(ids.to_bytes(hub))
        await until(partial(_has_handed, sessions, 1))
        later = await queue(acme, other, 3)
        for tenant, device in ((acme, other), (globex, stranger)):
            courier.wake_away(tenant.tenant_id, [ids.to_bytes(device)], "command")
        await until(partial(_has_handed, sessions, 2))
        heard = [(place, body["deviceId"], body["aliases"], body["payload"]) for place, _, body in sessions.handed]
        assert heard == [
            (ids.to_bytes(hub), str(one), ["one!"], {"number": 1}),
            (ids.to_bytes(hub), str(other), ["other!"], {"number": 3}),
        ]
        sessions.acknowledge()
        async with asyncio.timeout(5):
            while await statuses(acme, waiting + later) != [("SUCCESS", True)] * 2:
                await asyncio.sleep(0.005)


async def test_devices_behind_one_take_turns_and_none_is_forgotten(acme: Tenant, system_database: Database) -> None:
    hub = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    children = await connect(acme, "hub", hub, *(f"child {number}" for number in range(5)))
    made = [command for child in children for command in await queue(acme, child, 1, 2)]
    sessions, courier = Sessions(), Courier(system_database, [CommandSource()], SPELLERS, most_each=2)
    sessions.seats = {ids.to_bytes(hub): Seat(acme, "a/1", dialect="lightelligence")}
    async with working(courier, sessions):
        courier.wake(ids.to_bytes(hub))
        while len(sessions.handed) < 10:
            await until(lambda: sessions.done)
            assert len(sessions.done) < 4
            sessions.acknowledge()
        async with asyncio.timeout(5):
            while await statuses(acme, made) != [("SUCCESS", True)] * 10:
                await asyncio.sleep(0.005)
    assert len({(body["deviceId"], body["payload"]["number"]) for _, _, body in sessions.handed}) == 10
