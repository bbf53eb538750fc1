"""The life of deliveries, whatever becomes of their endpoints and whoever dies at sending them: against an oracle."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadstead.web.edge import Edge
from tests.clock import Clock
from tests.conftest import Tenant, found, leave
from tests.core.notify.ground import Ground
from tests.core.notify.oracle import BOTH, CHANNELS
from tests.mortal import rows_of
from tests.notifications import add_channel, announce

_CHANNELS = st.sampled_from((*CHANNELS, BOTH))
_EVENTS = st.one_of(
    st.tuples(st.just("announce"), st.lists(_CHANNELS, min_size=1, max_size=4), st.booleans()),
    st.tuples(st.just("announce"), st.lists(_CHANNELS, min_size=1, max_size=4), st.booleans()),
    st.tuples(st.just("test"), _CHANNELS),
    st.tuples(st.just("resend"), st.integers(0, 9)),
    st.tuples(st.just("switch"), _CHANNELS, st.sampled_from([True, True, False])),
    st.tuples(st.just("endpoint"), _CHANNELS, st.sampled_from(["up", "down", "away", "refused"])),
    st.tuples(st.just("endpoint"), _CHANNELS, st.sampled_from(["down", "away"])),
    st.tuples(st.just("pass"), st.sampled_from([13.1, 61.3, 121.7, 301.9, 1_802.3, 7_204.7])),
)
_DEATHS = st.none() | st.integers(0, 20)


@pytest.mark.timeout(400)  # one that fails is cut down to what matters, which takes its time
@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    hour=st.sampled_from([12, 21, 23, 23]),
    script=st.lists(st.tuples(_EVENTS, _DEATHS), min_size=20, max_size=30),
)
async def test_a_delivery_does_what_the_oracle_says_whoever_dies(
    clocked: Edge, clock: Clock, globex: Tenant, hour: int, script: list[tuple[tuple[Any, ...], int | None]]
) -> None:
    clock.at = datetime(2026, 5, 1, hour, tzinfo=UTC)
    await announce(globex, await add_channel(globex, "https://a.example/", digestMinutes=1_440))
    before = await rows_of(clocked.system_database, globex.tenant_id)
    acme = await found(clocked, "acme")
    ground = Ground(acme, clock)
    await ground.add_channels()
    for event, death in script:
        await ground.happen(event)
        await ground.look(death)
        await ground.compare()
    # Nobody does anything any more: everything comes to its end by itself.
    for _ in range(14):
        await ground.happen(("pass", 40_000.3))
        await ground.look()
        await ground.compare()
    assert all(one.status != "PENDING" for one in ground.oracle.all)
    assert await rows_of(clocked.system_database, globex.tenant_id) == before
    await leave(acme)
