"""The intake: what becomes a reading, and what is refused and why."""

from collections import Counter
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from roadstead.core.messages import Reading, SensorsChanged, Uplink, ValueType, decode_fact
from roadstead.core.ports import RefusalReason
from roadstead.core.telemetry import DeviceCatalog, Intake, Taken
from roadstead.core.types import ProfileField
from roadstead.db import Database
from roadstead.dialects.native.wire import NativeCodec
from roadstead.kernel import ids
from roadstead.kernel.ids import DeviceId
from tests.conftest import Tenant
from tests.fleet import add_component, add_device, add_sensor, item, sensors_of, uplink

_AT = 1767225600000

_ENGINE = [
    ProfileField(name="rpm", value_type=ValueType.BIGINT, min=0, max=9000, required=True, unit="1/min", label="Speed"),
    ProfileField(name="oil", value_type=ValueType.DOUBLE, min=-40, max=200),
    ProfileField(name="gear", value_type=ValueType.TEXT, enum=["N", "D", "R"]),
    ProfileField(name="accel", value_type=ValueType.DOUBLE, array_size=3),
]


@pytest.fixture
def intake(system_database: Database) -> Intake:
    """An intake with an empty cache."""
    return Intake(DeviceCatalog(system_database), {"native": NativeCodec()})


def readings(taken: Taken) -> list[tuple[str, Any]]:
    """Path and value of everything that was taken."""
    return [(reading.path, reading.value) for message in taken.accepted for reading in message.readings]


def reasons(taken: Taken) -> list[RefusalReason]:
    """Why things were refused."""
    return [refusal.reason for _, refusal in taken.refused]


async def test_sensors_come_into_being_with_the_type_of_their_first_value(
    intake: Intake, acme: Tenant, system_database: Database
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    sent = [item("t", 21.5), item("n", 7), item("on", True), item("mode", "eco")]
    taken = await intake.take_in([uplink(acme.tenant_id, device, sent)])
    assert readings(taken) == [("t", 21.5), ("n", 7), ("on", True), ("mode", "eco")]
    assert [type(value) for _, value in readings(taken)] == [float, int, bool, str]
    assert await sensors_of(system_database, device) == {
        "mode": "TEXT", "n": "BIGINT", "on": "BOOLEAN", "t": "DOUBLE",
    }  # fmt: skip
    async with system_database.tx() as tx:
        rows = await tx.rows("SELECT fact FROM outbox WHERE tenant_id = %s", acme.tenant_id)
    assert [decode_fact(bytes(fact)) for (fact,) in rows] == [SensorsChanged(DeviceId(device))]


async def test_a_sensor_that_begins_with_both_kinds_of_number_is_a_double(
    intake: Intake, acme: Tenant, system_database: Database
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    taken = await intake.take_in([uplink(acme.tenant_id, device, [item("t", 21), item("t", 21.5)])])
    assert readings(taken) == [("t", 21.0), ("t", 21.5)]
    assert await sensors_of(system_database, device) == {"t": "DOUBLE"}


async def test_type_rules_of_the_contract(intake: Intake, acme: Tenant, system_database: Database) -> None:
    device = await add_device(system_database, acme.tenant_id)
    for path, value_type in {"d": "DOUBLE", "i": "BIGINT", "b": "BOOLEAN", "s": "TEXT"}.items():
        await add_sensor(system_database, acme.tenant_id, device, path, ValueType(value_type))

    right = [item("d", 3), item("i", 3), item("b", False), item("s", "x"), item("i", 2**63 - 1)]
    taken = await intake.take_in([uplink(acme.tenant_id, device, right)])
    assert readings(taken) == [("d", 3.0), ("i", 3), ("b", False), ("s", "x"), ("i", 2**63 - 1)]
    assert isinstance(taken.accepted[0].readings[0].value, float)

    wrong = {
        "MISMATCH": [item("i", 1.5), item("b", 1), item("d", True), item("s", 5), item("d", "5"), item("d", [1])],
        "RANGE": [item("i", 2**63)],
        "LARGE": [item("s", "x" * 1001)],
        "MALFORMED": [item("s", "a\0b")],
    }
    taken = await intake.take_in([uplink(acme.tenant_id, device, [one for group in wrong.values() for one in group])])
    assert readings(taken) == []
    assert reasons(taken) == [
        *[RefusalReason.TYPE_MISMATCH] * 6,
        RefusalReason.OUT_OF_RANGE,
        RefusalReason.TOO_LARGE,
        RefusalReason.MALFORMED,
    ]
    assert [refusal.index for _, refusal in taken.refused] == list(range(9))


async def test_ranges_of_a_sensor_hold(intake: Intake, acme: Tenant, system_database: Database) -> None:
    device = await add_device(system_database, acme.tenant_id)
    await add_sensor(system_database, acme.tenant_id, device, "t", ValueType.DOUBLE, min=0, max=10)
    taken = await intake.take_in([uplink(acme.tenant_id, device, [item("t", 0), item("t", 10.0), item("t", 10.1)])])
    assert readings(taken) == [("t", 0.0), ("t", 10.0)]
    assert reasons(taken) == [RefusalReason.OUT_OF_RANGE]


async def test_a_sensor_can_be_named_by_id_by_component_and_key_and_by_key(
    intake: Intake, acme: Tenant, system_database: Database
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    component = await add_component(system_database, acme.tenant_id, device, "engine", _ENGINE)
    sensor = await add_sensor(
        system_database, acme.tenant_id, device, "engine/rpm", ValueType.BIGINT, component_id=component, field="rpm"
    )
    names = [str(sensor), "engine.rpm", "engine/rpm", "rpm"]
    taken = await intake.take_in([uplink(acme.tenant_id, device, [item(name, 900) for name in names])])
    assert readings(taken) == [("engine/rpm", 900)] * 4
    taken = await intake.take_in([uplink(acme.tenant_id, device, [item(name, 9001) for name in names])])
    assert reasons(taken) == [RefusalReason.OUT_OF_RANGE] * 4


async def test_a_sensor_of_another_device_or_tenant_is_unknown(
    intake: Intake, acme: Tenant, globex: Tenant, system_database: Database
) -> None:
    ours, neighbour = [await add_device(system_database, acme.tenant_id) for _ in range(2)]
    theirs = await add_device(system_database, globex.tenant_id)
    foreign = [
        await add_sensor(system_database, acme.tenant_id, neighbour, "t", ValueType.DOUBLE),
        await add_sensor(system_database, globex.tenant_id, theirs, "t", ValueType.DOUBLE),
    ]
    taken = await intake.take_in([uplink(acme.tenant_id, ours, [item(str(id_), 1.0) for id_ in foreign])])
    assert readings(taken) == []
    assert reasons(taken) == [RefusalReason.UNKNOWN_SENSOR] * 2
    # A door that mistook the tenant gets nothing either.
    taken = await intake.take_in([uplink(acme.tenant_id, theirs, [item("t", 1.0)])])
    assert reasons(taken) == [RefusalReason.UNKNOWN_SENSOR]


async def test_fields_of_a_component_come_into_being_as_the_profile_says(
    intake: Intake, acme: Tenant, system_database: Database
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    component = await add_component(system_database, acme.tenant_id, device, "engine", _ENGINE)
    sent = [item("engine.oil", 90), item("rpm", 800), item("engine.nothing", 1), item("gear", "X")]
    taken = await intake.take_in([uplink(acme.tenant_id, device, sent)])
    assert readings(taken) == [("engine/oil", 90.0), ("engine/rpm", 800)]
    assert reasons(taken) == [RefusalReason.UNKNOWN_SENSOR, RefusalReason.OUT_OF_RANGE]
    async with system_database.tx() as tx:
        rows = await tx.rows(
            "SELECT path, key, field, name, value_type, unit, min, max, component_id FROM sensor WHERE device_id = %s "
            "ORDER BY path",
            device,
        )
    assert rows == [
        ("engine/oil", "oil", "oil", "oil", "DOUBLE", None, -40.0, 200.0, component),
        ("engine/rpm", "rpm", "rpm", "Speed", "BIGINT", "1/min", 0.0, 9000.0, component),
    ]


async def test_a_structured_payload_is_taken_as_a_whole_or_not_at_all(
    intake: Intake, acme: Tenant, system_database: Database
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    component = await add_component(system_database, acme.tenant_id, device, "engine", _ENGINE)
    right = {"rpm": 900, "oil": 90, "gear": "D", "accel": [0, 0.5, 1]}
    taken = await intake.take_in([uplink(acme.tenant_id, device, item("engine", right))])
    assert readings(taken) == [
        ("engine/rpm", 900), ("engine/oil", 90.0), ("engine/gear", "D"),
        ("engine/accel[0]", 0.0), ("engine/accel[1]", 0.5), ("engine/accel[2]", 1.0),
    ]  # fmt: skip
    assert not taken.refused

    wrong: list[tuple[object, RefusalReason]] = [
        ({"oil": 90}, RefusalReason.MISSING_FIELD),
        ({"rpm": 900, "accel": [1, 2]}, RefusalReason.ARRAY_SIZE),
        ({"rpm": 900, "oil": 300}, RefusalReason.OUT_OF_RANGE),
        ({"rpm": 900, "gear": "X"}, RefusalReason.OUT_OF_RANGE),
        ({"rpm": 1.5}, RefusalReason.TYPE_MISMATCH),
        ({"rpm": 900, "more": 1}, RefusalReason.UNKNOWN_SENSOR),
        (5, RefusalReason.TYPE_MISMATCH),
    ]
    taken = await intake.take_in([uplink(acme.tenant_id, device, [item("engine", value) for value, _ in wrong])])
    assert readings(taken) == []
    assert reasons(taken) == [reason for _, reason in wrong]
    first = taken.refused[0][1]
    assert first.component == component
    assert [(problem.pointer, problem.code) for problem in first.problems] == [("/rpm", "MISSING_FIELD")]
    assert msgspec.json.decode(first.payload)["value"] == {"oil": 90}

    taken = await intake.take_in([uplink(acme.tenant_id, device, [item("engine.accel", [1, 2, 3]), item("x", {})])])
    assert readings(taken) == [("engine/accel[0]", 1.0), ("engine/accel[1]", 2.0), ("engine/accel[2]", 3.0)]
    assert reasons(taken) == [RefusalReason.MISSING_PROFILE]


async def test_a_structured_payload_is_judged_the_same_at_first_sight_and_later(
    intake: Intake, acme: Tenant, system_database: Database
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    fields = [
        ProfileField(name="t", value_type=ValueType.DOUBLE, min=-40, max=200, required=True),
        ProfileField(name="n", value_type=ValueType.BIGINT, max=10),
        ProfileField(name="on", value_type=ValueType.BOOLEAN),
    ]
    await add_component(system_database, acme.tenant_id, device, "case", fields)
    first = item("case", {"t": 1.5, "n": 1, "on": True})
    await intake.take_in([uplink(acme.tenant_id, device, first)])
    await intake.take_in([uplink(acme.tenant_id, device, first)])
    payloads: list[dict[str, object]] = [
        {"t": 1.5, "n": 2, "on": False},
        {"on": True, "t": 7},
        {"t": 2**60},
        {"t": 200.5},
        {"t": 1.5, "n": 11},
        {"t": 1.5, "n": 2.0},
        {"t": 1.5, "on": None},
        {"t": 1.5, "on": 1},
        {"t": True},
        {"t": None, "n": 1},
        {"n": 1},
        {"t": 1.5, "other": 1},
        {},
    ]
    for payload in payloads:
        message = uplink(acme.tenant_id, device, [item("case", payload)])
        fresh = Intake(DeviceCatalog(system_database), {"native": NativeCodec()})
        known, unknown = await intake.take_in([message]), await fresh.take_in([message])
        assert readings(known) == readings(unknown), payload
        assert [type(value) for _, value in readings(known)] == [type(value) for _, value in readings(unknown)]
        assert known.refused == unknown.refused, payload
    assert readings(await intake.take_in([uplink(acme.tenant_id, device, item("case", payloads[1]))])) == [
        ("case/t", 7.0), ("case/on", True),
    ]  # fmt: skip


async def test_what_a_profile_forbids_no_sensor_allows(intake: Intake, acme: Tenant, system_database: Database) -> None:
    device = await add_device(system_database, acme.tenant_id)
    field = ProfileField(name="t", value_type=ValueType.DOUBLE, min=0, max=100)
    await add_component(system_database, acme.tenant_id, device, "case", [field])
    await intake.take_in([uplink(acme.tenant_id, device, item("case", {"t": 1.5}))])
    async with system_database.tx() as tx:
        await tx.run("UPDATE sensor SET min = -50, max = 50 WHERE device_id = %s", device)
    later = Intake(DeviceCatalog(system_database), {"native": NativeCodec()})
    for _ in range(2):
        sent = [item("case", {"t": value}) for value in (-1.0, 1.0, 51.0)]
        taken = await later.take_in([uplink(acme.tenant_id, device, one) for one in sent])
        assert readings(taken) == [("case/t", 1.0)]
        assert reasons(taken) == [RefusalReason.OUT_OF_RANGE, RefusalReason.OUT_OF_RANGE]


async def test_an_organization_can_refuse_what_no_profile_describes(
    intake: Intake, acme: Tenant, globex: Tenant, system_database: Database
) -> None:
    async with system_database.tx() as tx:
        await tx.run(
            """UPDATE tenant SET settings = '{"unknownSensorPolicy": "QUARANTINE"}' WHERE tenant_id = %s""",
            acme.tenant_id,
        )
    strict, lax = await add_device(system_database, acme.tenant_id), await add_device(system_database, globex.tenant_id)
    await add_component(system_database, acme.tenant_id, strict, "engine", _ENGINE)
    sent = [item("t", 1.0)]
    taken = await intake.take_in(
        [
            uplink(acme.tenant_id, strict, [*sent, item("engine.oil", 50)]),
            uplink(globex.tenant_id, lax, sent),
        ]
    )
    assert readings(taken) == [("engine/oil", 50.0), ("t", 1.0)]
    assert [(index, refusal.reason) for index, refusal in taken.refused] == [(0, RefusalReason.UNKNOWN_SENSOR)]


async def test_times_are_fair(intake: Intake, acme: Tenant, system_database: Database) -> None:
    device = await add_device(system_database, acme.tenant_id)
    sent = [
        item("t", 1.0, "2026-01-01T00:04:59Z"),
        item("t", 2.0, "2026-01-01T00:05:01Z"),
        item("t", 3.0, "1969-12-31T23:59:59Z"),
        item("t", 4.0, "yesterday"),
        item("t", 5.0, "2026-01-01T01:30:00.250+01:30"),
    ]
    taken = await intake.take_in([uplink(acme.tenant_id, device, sent, received=_AT)])
    assert [(reading.at - _AT, reading.value) for reading in taken.accepted[0].readings] == [(299_000, 1.0), (250, 5.0)]
    assert reasons(taken) == [RefusalReason.BAD_TIMESTAMP] * 3


async def test_metadata_stays_with_its_reading_within_bounds(
    intake: Intake, acme: Tenant, system_database: Database
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    sent = [item("t", 1.0, metadata={"q": "good"}), item("t", 2.0, metadata={"q": "x" * 10_300})]
    taken = await intake.take_in([uplink(acme.tenant_id, device, sent)])
    assert taken.accepted[0].readings == [Reading("t", _AT, 1.0, '{"q":"good"}')]
    assert reasons(taken) == [RefusalReason.TOO_LARGE]


async def test_a_message_that_nobody_can_read_harms_no_other(
    intake: Intake, acme: Tenant, system_database: Database
) -> None:
    class Broken:
        is_lenient = False

        def glance(self, uplink: object) -> Any:
            raise RuntimeError("a fault of ours")

        def decode(self, uplink: object) -> Any:
            raise RuntimeError("a fault of ours")

    intake._codecs = {**intake._codecs, "broken": Broken()}
    device = await add_device(system_database, acme.tenant_id)
    gone = ids.new_id()
    sent = [
        uplink(acme.tenant_id, device, b"\x00nonsense"),
        uplink(acme.tenant_id, device, item("t", 1.0), dialect="klingon"),
        uplink(acme.tenant_id, device, item("t", 1.0), dialect="broken"),
        uplink(acme.tenant_id, gone, item("t", 1.0)),
        uplink(acme.tenant_id, device, item("t", 2.0)),
    ]
    taken = await intake.take_in(sent)
    assert len(taken.accepted) == 5
    assert readings(taken) == [("t", 2.0)]
    assert [(index, refusal.reason, refusal.whole) for index, refusal in taken.refused] == [
        (0, RefusalReason.MALFORMED, True),
        (1, RefusalReason.MALFORMED, True),
        (2, RefusalReason.MALFORMED, True),
        (3, RefusalReason.UNKNOWN_SENSOR, True),
    ]


async def test_other_channels_pass_with_their_payload(intake: Intake, acme: Tenant, system_database: Database) -> None:
    device = await add_device(system_database, acme.tenant_id)
    sent = [
        uplink(acme.tenant_id, device, {"status": "ONLINE"}, channel="status"),
        uplink(acme.tenant_id, device, b"notice", channel="connected", dialect="session"),
        uplink(acme.tenant_id, device, item("t", 1.0)),
    ]
    taken = await intake.take_in(sent)
    assert [message.payload for message in taken.accepted] == [sent[0].payload, b"notice", b""]


async def test_a_device_cannot_have_endless_sensors(intake: Intake, acme: Tenant, system_database: Database) -> None:
    device = await add_device(system_database, acme.tenant_id)
    sent = [item(f"s{number}", 1.0) for number in range(1010)]
    taken = await intake.take_in([uplink(acme.tenant_id, device, sent)])
    assert len(readings(taken)) == 1000
    assert reasons(taken) == [RefusalReason.UNKNOWN_SENSOR] * 10
    taken = await intake.take_in([uplink(acme.tenant_id, device, [item("more", 1.0)])])
    assert reasons(taken) == [RefusalReason.UNKNOWN_SENSOR]


async def test_what_changed_meanwhile_is_asked_for_again(acme: Tenant, system_database: Database) -> None:
    catalog = DeviceCatalog(system_database)
    device = await add_device(system_database, acme.tenant_id)
    key = ids.to_bytes(device)

    async def count_rules() -> int:
        known = (await catalog.learn({key: acme.tenant_id})).get(key)
        return -1 if known is None else len(known.rules)

    assert await count_rules() == 0
    await add_sensor(system_database, acme.tenant_id, device, "t", ValueType.DOUBLE)
    assert await count_rules() == 0
    catalog.forget(key)
    assert await count_rules() == 1
    catalog.forget_tenant(acme.tenant_id)
    assert key not in catalog._known


# --- the quick way and the long one ----------------------------------------------------------------------------------

_SENSORS = {"d": "DOUBLE", "low": "DOUBLE", "i": "BIGINT", "b": "BOOLEAN", "s": "TEXT", "off": "DOUBLE"}
_COLUMNS: dict[str, dict[str, Any]] = {"low": {"min": 0, "max": 10}, "off": {"active": False}}
_FIELDS = [
    ProfileField(name="t", value_type=ValueType.DOUBLE, min=-40, max=200, required=True),
    ProfileField(name="n", value_type=ValueType.BIGINT, max=10),
    ProfileField(name="on", value_type=ValueType.BOOLEAN),
]

_scalars = (
    some.sampled_from([0, 1, -1, 10, 11, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1])
    | some.sampled_from([0.0, 1.5, 9.99, 10.5, 200.0, 1e308])
    | some.booleans()
    | some.sampled_from(["", "eco", "x" * 1_001, "a\0b"])
)
_objects = some.dictionaries(some.sampled_from(["t", "n", "on", "p0", "more"]), _scalars | some.none(), max_size=4)
_times = some.sampled_from(
    ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.5Z", "2026-01-01T00:06:00Z",
     "1969-12-31T23:59:59Z", "2026-01-01T00:00:00", "yesterday", 5]
)  # fmt: skip
_items = some.fixed_dictionaries(
    {
        "sensorId": some.sampled_from([*_SENSORS, "case", "case.t", "case/n", "t", "nothing.known", "x" * 37]),
        "timestamp": some.one_of(some.just("2026-01-01T00:00:00Z"), some.just("2026-01-01T00:00:00Z"), _times),
        "value": _scalars | _objects | some.none() | some.lists(some.integers(), max_size=2),
    },
    optional={"metadata": some.sampled_from([{}, {"a": 1}, None, 1]), "unit": some.just("C")},
)
_right = some.one_of(
    some.builds(item, some.sampled_from(["d", "low", "case.t"]), some.sampled_from([0, 3, 1.5, 10, 10.5])),
    some.builds(item, some.sampled_from(["i", "n", "case/n"]), some.sampled_from([0, 9, 11])),
    some.builds(item, some.just("s"), some.sampled_from(["eco", "a\0b"])),
    some.builds(item, some.just("case"), some.fixed_dictionaries({"t": some.sampled_from([1.5, 2, 201])}, optional={
        "n": some.integers(0, 11), "on": some.booleans()})),
)  # fmt: skip
_messages = (
    some.lists(_right, max_size=4)
    | some.lists(_items, max_size=4)
    | _items
    | some.sampled_from([b"", b"[", b"[]", b"5", b"\xff"])
)


class Slow(NativeCodec):
    """The same codec, without its quick way."""

    def glance(self, uplink: Uplink) -> None:
        """Never."""


async def test_the_quick_way_decides_as_the_long_one_does(acme: Tenant, system_database: Database) -> None:
    device = await add_device(system_database, acme.tenant_id)
    for path, value_type in _SENSORS.items():
        columns = _COLUMNS.get(path, {})
        await add_sensor(system_database, acme.tenant_id, device, path, ValueType(value_type), **columns)
    component = await add_component(system_database, acme.tenant_id, device, "case", _FIELDS)
    for field in _FIELDS:
        await add_sensor(
            system_database, acme.tenant_id, device, f"case/{field.name}", field.value_type,
            component_id=component, field=field.name, key=field.name,
        )  # fmt: skip
    await _forbid_new_sensors(system_database, acme)
    catalog = DeviceCatalog(system_database)
    quick, slow = (Intake(catalog, {"native": codec}) for codec in (NativeCodec(), Slow()))
    await quick.take_in([uplink(acme.tenant_id, device, item("d", 1.0))])  # from here on nothing has to wait
    taken: Counter[str] = Counter()

    @settings(max_examples=600)
    @given(_messages)
    @example([item("d", 1), item("low", 5.0), item("i", 3), item("b", True), item("s", "eco")])
    @example([item("d", 1.0), item("d", 2.0, "2026-01-01T00:00:00.5Z")])
    @example([item("case", {"on": True, "t": 3}), item("d", 1.0), item("case", {"t": 200.0})])
    def compare(message: object) -> None:
        sent = [uplink(acme.tenant_id, device, message, received=_AT)]
        one, other = (_at_once(intake.take_in(sent)) for intake in (quick, slow))
        assert one == other
        [passed] = one.accepted
        assert [type(value) for value in passed.values] == [type(value) for value in other.accepted[0].values]
        taken["quick" if quick._take_plain(sent[0], catalog._known[sent[0].device]) else "long"] += 1

    compare()
    assert min(taken["quick"], taken["long"]) > 50


async def _forbid_new_sensors(database: Database, tenant: Tenant) -> None:
    async with database.tx() as tx:
        policy = (
            """UPDATE tenant SET settings = settings || '{"unknownSensorPolicy": "QUARANTINE"}' WHERE tenant_id = %s"""
        )
        assert await tx.run(policy, tenant.tenant_id) == 1


def _at_once(job: Coroutine[Any, Any, Taken]) -> Taken:
    """The result of something that has nothing to wait for."""
    try:
        job.send(None)
    except StopIteration as end:
        taken: Taken = end.value
        return taken
    raise AssertionError("it waits")
