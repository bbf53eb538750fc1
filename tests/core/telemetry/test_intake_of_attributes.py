"""The intake for dialects that think in attributes: values are fitted into what is there, and nothing is made."""

import base64
from collections.abc import AsyncIterable, Coroutine
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from roadstead.core import files
from roadstead.core.messages import Reading, Uplink, ValueType
from roadstead.core.ports import BlobInfo, Ports, RefusalReason
from roadstead.core.telemetry import DeviceCatalog, Intake, Taken
from roadstead.db import Database
from roadstead.dialects.losant.wire import LosantCodec
from roadstead.kernel import ids
from roadstead.kernel.errors import Unavailable
from tests.conftest import Tenant
from tests.fleet import add_device, add_sensor, sensors_of

_AT = 1767225600000


class Slow(LosantCodec):
    """The same codec, without its quick way."""

    def glance(self, uplink: Uplink) -> None:
        """Never."""


def state(tenant: Tenant, device: UUID, said: object) -> Uplink:
    """What a device says."""
    return Uplink(tenant.tenant_id, ids.to_bytes(device), "losant", "state", _AT, msgspec.json.encode(said))


async def add_boat(database: Database, tenant: Tenant) -> UUID:
    """A device with a sensor of each type, one of them of a component, one that is a place and one that is a file."""
    device = await add_device(database, tenant.tenant_id)
    for path, value_type in {
        "level": ValueType.DOUBLE, "turns": ValueType.BIGINT, "open": ValueType.BOOLEAN, "mode": ValueType.TEXT,
        "engine.heat": ValueType.DOUBLE, "place": ValueType.TEXT, "photo": ValueType.TEXT, "mean": ValueType.DOUBLE,
    }.items():  # fmt: skip
        sensor = await add_sensor(database, tenant.tenant_id, device, path, value_type)
        told = {"place": ("gps", None), "photo": ("blob", None), "mean": ("number", "{}")}.get(path)
        if told is not None:
            async with database.tx() as tx:
                sql = "INSERT INTO sensor_attribute (tenant_id, sensor_id, data_type, system) VALUES (%s, %s, %s, %s)"
                await tx.run(sql, tenant.tenant_id, sensor, *told)
    return device


async def test_sensors_are_called_by_the_names_of_their_attributes_and_no_other_comes_into_being(
    acme: Tenant, globex: Tenant, system_database: Database
) -> None:
    intake = Intake(DeviceCatalog(system_database), {"losant": LosantCodec()})
    device = await add_boat(system_database, acme)
    before = await sensors_of(system_database, device)
    said = {"level": "1.5", "engine_heat": 90, "engine.heat": 91, "heat": 92, "colour": "red", "mean": 5}
    taken = await intake.take_in([state(acme, device, {"data": said, "time": _AT - 5, "meta": {"a": 1}})])
    assert taken.accepted[0].readings == [
        Reading("level", _AT - 5, 1.5, '{"a":1}'), Reading("engine.heat", _AT - 5, 90.0, '{"a":1}'),
    ]  # fmt: skip
    assert [(one.reason, one.sensor_ref) for _, one in taken.refused] == [
        (RefusalReason.UNKNOWN_SENSOR, name) for name in ("engine.heat", "heat", "colour", "mean")
    ]
    assert await sensors_of(system_database, device) == before
    stolen = await intake.take_in([state(globex, device, {"data": {"level": 1}})])
    assert stolen.accepted[0].readings == []


async def test_of_two_values_of_one_instant_the_last_one_counts(acme: Tenant, system_database: Database) -> None:
    intake = Intake(DeviceCatalog(system_database), {"losant": LosantCodec()})
    device = await add_boat(system_database, acme)
    said = [{"data": {"level": 1, "turns": 5}, "time": _AT}, {"data": {"level": 2}, "time": _AT}]
    taken = await intake.take_in([state(acme, device, said)])
    assert taken.accepted[0].readings == [Reading("level", _AT, 2.0), Reading("turns", _AT, 5)]


class Away:
    """A store of files that cannot be reached."""

    async def put(self, key: str, content: bytes | AsyncIterable[bytes]) -> BlobInfo:
        """Never."""
        raise Unavailable("the store of files is away")


async def test_a_file_is_stored_before_its_value_is_taken(
    acme: Tenant, system_database: Database, ports: Ports
) -> None:
    catalog = DeviceCatalog(system_database)
    device = await add_boat(system_database, acme)
    sent = [state(acme, device, {"data": {"photo": base64.b64encode(b"a picture").decode()}})]
    away: Any = Away()
    with pytest.raises(Unavailable):
        await Intake(catalog, {"losant": LosantCodec()}, blobs=away).take_in(sent)
    [one] = (await Intake(catalog, {"losant": LosantCodec()}, blobs=ports.blobs).take_in(sent)).accepted
    digest = str(one.values[0]).removeprefix("sha256:")
    async with system_database.tx() as tx:
        organization = await tx.value("SELECT public_id FROM tenant WHERE tenant_id = %s", acme.tenant_id)
        key = files.blob_key(organization, files.values_area(device) + digest)
        assert b"".join([piece async for piece in ports.blobs.read(key)]) == b"a picture"
        await files.delete_values(tx, ports.blobs, acme.tenant_id, device)
    assert [blob async for blob in ports.blobs.list(files.blob_key(organization, ""))] == []
    without = await Intake(catalog, {"losant": LosantCodec()}).take_in(sent)
    assert [one.reason for _, one in without.refused] == [RefusalReason.TYPE_MISMATCH]


_values = some.sampled_from([0, 1, 1.5, True, "1", "true", "x", "1,2", "x" * 2_000, None, 2**60]) | some.floats(-5, 5)
_data = some.dictionaries(
    some.sampled_from(["level", "turns", "open", "mode", "engine_heat", "place", "colour"]), _values, max_size=3
)
_fitting = some.fixed_dictionaries(
    {"level": some.floats(-5, 5) | some.integers(-5, 5)},
    optional={"turns": some.integers(-5, 5), "open": some.booleans(), "mode": some.text(max_size=3)},
)
_states = some.fixed_dictionaries(
    {"data": _fitting | _data}, optional={"time": some.sampled_from([_AT - 5, _AT + 3_600_000, -7, 5, "soon"])}
)


async def test_the_quick_way_decides_as_the_long_one_does(acme: Tenant, system_database: Database) -> None:
    device = await add_boat(system_database, acme)
    catalog = DeviceCatalog(system_database)
    quick, slow = (Intake(catalog, {"losant": codec}) for codec in (LosantCodec(), Slow()))
    await quick.take_in([state(acme, device, {"data": {}})])  # from here on nothing has to wait
    ways = []

    @settings(max_examples=300)
    @given(_states | some.lists(_states, max_size=3))
    def compare(said: object) -> None:
        sent = [state(acme, device, said)]
        one, other = (_at_once(intake.take_in(sent)) for intake in (quick, slow))
        assert one == other
        assert [type(value) for value in one.accepted[0].values] == [type(value) for value in other.accepted[0].values]
        ways.append(quick._take_plain(sent[0], catalog._known[sent[0].device]) is not None)

    compare()
    assert min(sum(ways), len(ways) - sum(ways)) > 20


def _at_once(job: Coroutine[Any, Any, Taken]) -> Taken:
    """The result of something that has nothing to wait for."""
    try:
        job.send(None)
    except StopIteration as end:
        taken: Taken = end.value
        return taken
    raise AssertionError("it waits")
