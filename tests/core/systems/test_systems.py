"""What systems say of the devices below them: real rows, a worker that looks when it is told to."""

import statistics
from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from roadstead.core import registry
from roadstead.core.registry import AttributeChange, DataType, Device, DeviceChange, DeviceClass
from roadstead.db import Database, Tx
from roadstead.kernel.ids import from_bytes, new_id, to_hex24
from tests.conftest import Tenant
from tests.core.systems.plant import START, Turns, add, add_system, let_pass, recipe, say, sensor_id, timers


@pytest.fixture
def turns(system_database: Database) -> Turns:
    """A worker."""
    return Turns(system_database)


def values(heard: list[dict[str, Any]]) -> list[Any]:
    """What was said, without of whom and when."""
    return [item["value"] for item in heard]


NUMBERS = [4.0, 1.5, 9.0, 2.0]
"""In the order in which they were measured."""


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("FIRST", NUMBERS[0]),
        ("LAST", NUMBERS[-1]),
        ("COUNT", 4),
        ("MAX", max(NUMBERS)),
        ("MIN", min(NUMBERS)),
        ("MEDIAN", statistics.median(NUMBERS)),
        ("MEAN", statistics.mean(NUMBERS)),
        ("SUM", sum(NUMBERS)),
        ("STD_DEV", statistics.stdev(NUMBERS)),
    ],
)
async def test_each_aggregation_is_of_the_newest_values_of_the_children(
    acme: Tenant, globex: Tenant, turns: Turns, function: str, expected: float
) -> None:
    for tenant, factor in ((acme, 1), (globex, 10)):
        async with tenant.work() as work:
            system = await add_system(work, "plant", attributes={"all": recipe(function)})
            pumps = [await add(work, f"pump {number}", system) for number in range(len(NUMBERS))]
            await add(work, "silent", system)
            below = await add(work, "below", pumps[0])
        for number, value in enumerate(NUMBERS):
            await say(tenant, pumps[number], START - 1_000, a=77.0)
            await say(tenant, pumps[number], START + number, a=value * factor)
        await say(tenant, below, a=1_000.0)
        (heard,) = await turns(tenant)
        assert heard["sensorId"] == await sensor_id(tenant, system, "all")
        assert heard["value"] == pytest.approx(expected * (1 if function == "COUNT" else factor))


@pytest.mark.parametrize("function", ["COUNT", "SUM", "MEAN", "LAST"])
async def test_where_no_child_has_a_value_nothing_is_said(acme: Tenant, turns: Turns, function: str) -> None:
    async with acme.work() as work:
        system = await add_system(work, "plant", attributes={"a": recipe(function)})
        pump = await add(work, "pump", system, attributes={"a": DataType.NUMBER, "b": DataType.NUMBER})
        await add_system(work, "empty")
    await say(acme, pump, b=3.0)
    assert await turns(acme) == []
    await say(acme, pump, a=3.0)
    assert values(await turns(acme)) == [1 if function == "COUNT" else 3.0]


async def test_children_are_chosen_by_their_ids_and_by_any_of_the_tags(acme: Tenant, turns: Turns) -> None:
    async with acme.work() as work:
        system = await add_system(work, "plant", attributes={})
        tags: list[dict[str, Any]] = [
            {},
            {"tags": {"side": "north"}},
            {"tags": {"side": "south"}},
            {"tags": {"side": "west"}, "repeated_tags": {"side": ["north"]}},
        ]
        pumps = [await add(work, f"pump {number}", system, **kind) for number, kind in enumerate(tags)]
    for number, pump in enumerate(pumps):
        await say(acme, pump, a=10.0**number)

    async def chosen(mode: str, **named: Any) -> list[Any]:
        async with acme.work() as work:
            draft = registry.AttributeDraft(
                name="a", data_type=DataType.NUMBER, system=recipe("SUM", mode=mode, **named)
            )
            await registry.replace_device_attributes(work, system.id, [draft])
        return values(await turns(acme))

    ids = [to_hex24(pumps[0].id), to_hex24(pumps[2].id)]
    north = {"key": "side", "value": "north"}
    assert await chosen("all", deviceIds=ids) == [1111]
    assert await chosen("whitelist", deviceIds=ids) == [101]
    assert await chosen("blacklist", deviceIds=ids) == [1010]
    assert await chosen("whitelist", deviceTags=[north]) == [1010]
    assert await chosen("blacklist", deviceTags=[north]) == [101]
    assert await chosen("whitelist", deviceTags=[{"key": "side"}]) == [1110]
    assert await chosen("whitelist", deviceTags=[{"value": "south"}]) == [100]
    assert await chosen("whitelist", deviceIds=ids[:1], deviceTags=[north]) == [1011]
    assert await chosen("whitelist", deviceTags=[{"key": "side", "value": "east"}]) == []
    assert await chosen("whitelist") == []
    assert await chosen("blacklist") == [1111]


async def test_several_attributes_count_together_and_each_device_once_for_each(acme: Tenant, turns: Turns) -> None:
    async with acme.work() as work:
        system = await add_system(work, "plant", attributes={"all": recipe("SUM", "a", "b", "a")})
        pump = await add(work, "pump", system, attributes={"a": DataType.NUMBER, "b": DataType.BOOLEAN})
        label = await add(work, "label", system, attributes={"a": DataType.STRING})
    await say(acme, pump, a=5.0, b=True)
    await say(acme, label, a="7")
    assert values(await turns(acme)) == [6]


async def test_an_attribute_that_cannot_have_the_value_says_nothing(acme: Tenant, turns: Turns) -> None:
    async with acme.work() as work:
        system = await add_system(work, "plant", attributes={})
        drafts = [
            registry.AttributeDraft(name=name, data_type=kind, system=recipe(function))
            for name, kind, function in [
                ("text", DataType.STRING, "LAST"),
                ("place", DataType.GPS, "LAST"),
                ("file", DataType.BLOB, "COUNT"),
                ("flag", DataType.BOOLEAN, "SUM"),
                ("number", DataType.NUMBER, "SUM"),
                ("spread", DataType.NUMBER, "STD_DEV"),
            ]
        ]
        await registry.create_device_attributes(work, system.id, drafts)
        pump = await add(work, "pump", system)
        other = await add(work, "other", system)
    await say(acme, pump, a=1.7e308)
    assert {item["sensorId"] for item in await turns(acme)} == {
        await sensor_id(acme, system, name) for name in ("text", "number")
    }
    await say(acme, other, a=1.7e308)
    found = {item["sensorId"] for item in await turns(acme)}
    assert await sensor_id(acme, system, "number") not in found  # no float is as large as the sum


async def test_all_attributes_of_a_turn_are_of_one_instant_of_the_grid(acme: Tenant, turns: Turns) -> None:
    async with acme.work() as work:
        system = await add_system(
            work, "plant", attributes={"sum": recipe("SUM"), "mean": recipe("MEAN")}, system_interval=3_600
        )
        pump = await add(work, "pump", system)
    await say(acme, pump, a=5.0)
    await let_pass(acme, 20)
    heard = await turns(acme)
    assert len(heard) == 2
    assert {item["timestamp"][13:] for item in heard} == {":00:00Z"}
    assert len({item["timestamp"] for item in heard}) == 1
    await turns.settled()
    assert len(turns.log.heard(acme)) == 2


async def test_timers_follow_from_devices(acme: Tenant, globex: Tenant) -> None:
    async with acme.work() as work:
        top = await add_system(work, "top")
        system = await add_system(work, "plant", top, system_interval=3_600)
        await add(work, "pump", system)
    known = await timers(acme)
    assert {key: told[:2] for key, told in known.items()} == {top.id: (None, 30), system.id: (top.id, 3_600)}
    assert await timers(globex) == {}

    async with acme.work() as work:
        await registry.change_device(work, system.id, DeviceChange(system_interval=5), expected=None)
        await registry.change_device(work, top.id, DeviceChange(device_class=DeviceClass.FLOATING), expected=None)
    known = await timers(acme)
    assert list(known) == [system.id]
    assert known[system.id][1] == 5 and known[system.id][2].total_seconds() <= 5

    async with acme.work() as work:
        await registry.change_device(work, top.id, DeviceChange(device_class=DeviceClass.SYSTEM), expected=None)
        await registry.delete_device(work, top.id, expected=None, purge=False)
    assert {key: told[:2] for key, told in (await timers(acme)).items()} == {system.id: (None, 5)}
    async with acme.work() as work:
        await registry.restore_device(work, top.id)
    assert {key: told[:2] for key, told in (await timers(acme)).items()} == {top.id: (None, 30), system.id: (top.id, 5)}


async def test_what_is_changed_holds_from_the_next_interval_on(acme: Tenant, turns: Turns) -> None:
    async with acme.work() as work:
        one, other = await add_system(work, "one"), await add_system(work, "other")
        pump = await add(work, "pump", one)
    await say(acme, pump, a=5.0)
    assert [item["sensorId"] for item in await turns(acme)] == [await sensor_id(acme, one)]
    async with acme.work() as work:
        await registry.change_device(work, pump.id, DeviceChange(parent_id=other.id), expected=None)
        await registry.change_device_attribute(work, other.id, "a", AttributeChange(system=recipe("COUNT")))
    (heard,) = await turns(acme)
    assert (heard["sensorId"], heard["value"]) == (await sensor_id(acme, other), 1)
    async with acme.work() as work:
        await registry.change_device_attribute(work, other.id, "a", AttributeChange(name="b"))
        await registry.change_device_attribute(work, pump.id, "a", AttributeChange(name="b"))
    assert await turns(acme) == []
    async with acme.work() as work:
        await registry.delete_device(work, other.id, expected=None, purge=False)
    assert await turns(acme) == []


async def test_only_systems_work_out_their_attributes(acme: Tenant, turns: Turns) -> None:
    async with acme.work() as work:
        hub = await add(work, "hub", attributes={"a": recipe("SUM")})
        pump = await add(work, "pump", hub)
    await say(acme, pump, a=5.0)
    assert await turns(acme) == []


async def test_a_tree_settles_within_one_interval(acme: Tenant, turns: Turns) -> None:
    async with acme.work() as work:
        top = await add_system(work, "top")
        middle = await add_system(work, "middle", top)
        bottom = await add_system(work, "bottom", middle)
        pumps = [await add(work, f"pump of {each.name}", each) for each in (top, middle, bottom)]
    for number, pump in enumerate(pumps):
        await say(acme, pump, a=10.0**number)
    said = {item["sensorId"]: item["value"] for item in await turns(acme)}
    assert said == {
        await sensor_id(acme, top): 111,
        await sensor_id(acme, middle): 110,
        await sensor_id(acme, bottom): 100,
    }


Tree = list[tuple[int, bool, str, list[float]]]
"""(place of the parent before it, whether it is a system, what a system does, what another one has said in turn)"""
_NODE = strategies.tuples(
    strategies.integers(0, 50),
    strategies.booleans(),
    strategies.sampled_from(["SUM", "COUNT", "MAX", "MIN", "MEAN", "MEDIAN"]),
    strategies.lists(strategies.floats(-1_000, 1_000, width=16), max_size=2),
)
_ORACLE: dict[str, Callable[[list[float]], float]] = {
    "SUM": sum,
    "COUNT": len,
    "MAX": max,
    "MIN": min,
    "MEAN": statistics.fmean,
    "MEDIAN": statistics.median,
}


def expected(tree: Tree, place: int) -> float | None:
    """What a device of a tree comes to."""
    _, is_system, function, spoken = tree[place]
    if not is_system:
        return spoken[-1] if spoken else None
    below = [expected(tree, each) for each in range(1, len(tree)) if parent_of(tree, each) == place]
    known = [value for value in below if value is not None]
    return _ORACLE[function](known) if known else None


def parent_of(tree: Tree, place: int) -> int:
    """The system that it lies below: one of those before it."""
    systems = [each for each in range(place) if tree[each][1]]
    return systems[tree[place][0] % len(systems)]


@hypothesis.settings(
    max_examples=15,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
@hypothesis.given(nodes=strategies.lists(_NODE, min_size=1, max_size=9), root=_NODE)
async def test_any_tree_comes_to_what_an_oracle_says(
    acme: Tenant, turns: Turns, nodes: Tree, root: tuple[int, bool, str, list[float]]
) -> None:
    tree: Tree = [(0, True, root[2], []), *nodes]
    devices: list[Device] = []
    async with acme.work() as work:
        for place, (_, is_system, function, _) in enumerate(tree):
            parent = devices[parent_of(tree, place)] if place else None
            name = f"{place} {new_id()}"
            if is_system:
                devices.append(await add_system(work, name, parent, attributes={"a": recipe(function)}))
            else:
                devices.append(await add(work, name, parent))
        attributes = await registry.find_attributes(work, [each.id for each in devices])
    for place, (_, is_system, _, spoken) in enumerate(tree):
        for number, value in enumerate(() if is_system else spoken):
            await say(acme, devices[place], START + number, a=value)
    heard = await turns(acme)
    said = {item["sensorId"]: item["value"] for item in heard}
    mine = {str(attributes[device.id][0].sensor_id): place for place, device in enumerate(devices)}
    found = {mine[sensor]: value for sensor, value in said.items() if sensor in mine}
    wanted = {place: expected(tree, place) for place, node in enumerate(tree) if node[1]}
    assert found == pytest.approx({place: value for place, value in wanted.items() if value is not None})
    assert max(Counter(item["sensorId"] for item in heard).values(), default=1) == 1


async def test_many_systems_with_many_children_are_a_few_statements(
    acme: Tenant, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with acme.work() as work:
        systems = [await add_system(work, f"plant {number}") for number in range(20)]
        pumps = [await add(work, f"pump {each.name} {number}", each) for each in systems for number in range(4)]
    for pump in pumps:
        await say(acme, pump, a=1.0)
    await let_pass(acme)
    counts: Counter[str] = Counter()
    for name in ("_execute", "_change"):
        plain = getattr(Tx, name)

        async def counted(tx: Tx, sql: str, params: Any, *, name: str = name, plain: Any = plain) -> Any:
            counts[name] += 1
            return await plain(tx, sql, params)

        monkeypatch.setattr(Tx, name, counted)
    assert await turns.worker.look() >= 20
    assert counts.total() <= 12
    devices = {from_bytes(uplink.device) for uplink in turns.log.uplinks if uplink.tenant == acme.tenant_id}
    assert devices == {each.id for each in systems}
    assert values(turns.log.heard(acme)) == [4.0] * 20
