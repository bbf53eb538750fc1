"""The life of alerts, whatever is said and done and whoever dies at seeing to it: against an oracle."""

from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadstead.web.edge import Edge
from roadstead.workers import rule_evaluation
from tests.alerts import add_rule, add_sensor, raise_alert
from tests.clock import Clock
from tests.conftest import Tenant, found, leave
from tests.core.rules.ground import TAKEN_OVER, Ground
from tests.mortal import ALL_DONE, rows_of

_DEVICES = st.sampled_from([0, 0, 1])
_ANY = st.integers(0, 7)
_SAID = st.lists(st.sampled_from([20.0, 40.0, 60.0]), min_size=1, max_size=3)
_EVENTS = st.one_of(
    st.tuples(st.just("say"), _DEVICES, _SAID, st.just(0)),
    st.tuples(st.just("say"), _DEVICES, _SAID, st.just(61.3)),
    st.tuples(st.just("say"), _DEVICES, _SAID, st.sampled_from([0, 61.3, 101.9])),
    st.tuples(st.sampled_from(["acknowledge", "resolve"]), _ANY, st.integers(0, 1)),
    st.tuples(st.just("silence"), _ANY, st.sampled_from([None, 60, 3_600])),
    st.tuples(st.just("bulk"), st.sampled_from(["acknowledge", "resolve"]), st.lists(_ANY, min_size=1, max_size=3)),
    st.tuples(st.just("mute"), _DEVICES, st.booleans()),
    st.tuples(st.just("pass"), st.sampled_from([1.7, 101.9])),
)
_DEATHS = st.none() | st.integers(0, 30) | st.sampled_from([ALL_DONE, TAKEN_OVER])
_AT_ONCE = 0
"""Dies before it has heard of anything."""
_REMEMBERS = st.sampled_from([False, False, False, True])


@pytest_asyncio.fixture
async def theirs(globex: Tenant) -> Tenant:
    """An organization with an alert of its own, which nothing of all this touches."""
    sensor = await add_sensor(globex)
    await raise_alert(globex, (await add_rule(globex, sensor["id"], name="theirs"))["id"], sensor["id"])
    return globex


@pytest.mark.timeout(400)  # one that fails is cut down to what matters, which takes its time
@settings(
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(script=st.lists(st.tuples(_EVENTS, _DEATHS, _REMEMBERS), min_size=20, max_size=30))
async def test_an_alert_does_what_the_oracle_says_whoever_dies(
    clocked: Edge,
    clock: Clock,
    theirs: Tenant,
    monkeypatch: pytest.MonkeyPatch,
    script: list[tuple[tuple[Any, ...], int | None, bool]],
) -> None:
    acme = await found(clocked, "acme")
    ground = await _begin(acme, clock, monkeypatch)
    before = await rows_of(clocked.system_database, theirs.tenant_id)
    for event, death, remember in script:
        await ground.happen(event)
        await ground.look(death, remember=remember)
        await ground.compare()
    # It cools down: what resolves itself is over, what waits for people goes with its rule.
    for device in range(2):
        await ground.happen(("say", device, [20.0], 0))
    await ground.look()
    await ground.compare()
    assert all(one.status == "RESOLVED" or one.rule == 1 for one in ground.oracle.alerts)
    await ground.happen(("delete", 1))
    await ground.look(3)
    await ground.compare()
    assert all(one.status == "RESOLVED" for one in ground.oracle.alerts)
    assert await rows_of(clocked.system_database, theirs.tenant_id) == before
    await leave(acme)


async def test_what_was_said_before_people_resolved_an_alert_raises_none_when_the_worker_dies(
    clocked: Edge, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = await _begin(await found(clocked, "acme"), clock, monkeypatch)
    await _play(ground, ("say", 0, [60.0], 0), ("say", 0, [60.0], 1))
    await ground.happen(("resolve", 0, 0))
    await ground.happen(("resolve", 1, 0))
    await ground.look(_AT_ONCE)
    await ground.compare()
    await leave(ground.tenant)


async def test_what_was_said_in_maintenance_raises_nothing_when_the_worker_dies_after_it(
    clocked: Edge, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = await _begin(await found(clocked, "acme"), clock, monkeypatch)
    await _play(ground, ("mute", 0, True), ("say", 0, [60.0], 0), ("mute", 0, False))
    await ground.look(ALL_DONE)
    await ground.compare()
    assert not ground.alerts
    await leave(ground.tenant)


async def test_a_cooldown_counts_from_when_the_alert_was_last_open_and_true_though_the_worker_dies(
    clocked: Edge, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = await _begin(await found(clocked, "acme"), clock, monkeypatch)
    await _play(ground, ("say", 0, [40.0], 0), ("say", 0, [40.0], 61.3))
    await ground.happen(("resolve", 0, 0))
    await ground.look(_AT_ONCE)
    await _play(ground, ("say", 0, [40.0], 61.3))
    assert len(ground.alerts) == 1
    await _play(ground, ("say", 0, [40.0], 61.3))
    assert len(ground.alerts) == 2

    await _play(ground, ("resolve", 1, 0), ("say", 0, [40.0], 61.3))
    await ground.look(ALL_DONE)
    await _play(ground, ("say", 0, [40.0], 61.3))
    assert len(ground.alerts) == 3
    await leave(ground.tenant)


async def _begin(tenant: Tenant, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Ground:
    ground = Ground(tenant, clock)

    async def last_sequence(*_: object) -> int:
        return len(ground.log)

    monkeypatch.setattr(rule_evaluation, "last_sequence", last_sequence)
    await ground.begin()
    return ground


async def _play(ground: Ground, *events: tuple[Any, ...]) -> None:
    for event in events:
        await ground.happen(event)
        await ground.look()
        await ground.compare()
