"""The life of desired configurations, whoever binds, comes, reports or dies: against an oracle."""

from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadstead.web.edge import Edge
from tests.configuration import add_artefact, bind, work_off
from tests.conftest import Tenant, found, leave
from tests.core.configuration.ground import Ground
from tests.core.configuration.oracle import DEVICES, NAMES, PART, TARGETS, WHOLE
from tests.dialects.native.fleet import add_device
from tests.mortal import ALL_DONE, rows_of

_DEVICES = st.sampled_from(DEVICES)
_TARGETS, _NAMES = st.sampled_from(TARGETS), st.sampled_from(NAMES)
_PLACES = st.tuples(st.sampled_from([WHOLE, PART]), _NAMES)
_STATUSES = st.sampled_from(["PENDING", "IN_PROGRESS", "ACCEPTED", "ACCEPTED", "REJECTED", "FAILED"])
_EVENTS = st.one_of(
    st.tuples(st.just("bind"), _TARGETS, _NAMES, st.integers(0, 2), st.integers(0, 1)),
    st.tuples(st.just("bind"), _TARGETS, _NAMES, st.integers(0, 2), st.integers(0, 1)),
    st.tuples(st.sampled_from(["unbind", "resend"]), st.integers(0, 9)),
    st.tuples(st.just("tag"), _DEVICES, st.sampled_from(["G0", "G1"]), st.booleans()),
    st.tuples(st.just("tag"), _DEVICES, st.sampled_from(["G0", "G1"]), st.just(True)),
    st.tuples(st.just("profile"), _DEVICES, st.booleans()),
    st.tuples(st.just("obey"), _DEVICES),
    st.tuples(st.sampled_from(["come", "nudge"]), _DEVICES, st.booleans()),
    st.tuples(st.just("report"), _DEVICES, _PLACES, st.sampled_from(["it", "it", "nothing", "other"]), _STATUSES),
)
_DEATHS = st.none() | st.integers(0, 30) | st.just(ALL_DONE)


@pytest_asyncio.fixture
async def theirs(globex: Tenant) -> Tenant:
    """An organization with a binding of its own, which nothing of all this touches."""
    device = await add_device(globex, "pump-1")
    await bind(globex, await add_artefact(globex, "x", 1), "DEVICE", device)
    await work_off(globex)
    return globex


@pytest.mark.timeout(400)  # one that fails is cut down to what matters, which takes its time
@settings(
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(script=st.lists(st.tuples(_EVENTS, _DEATHS, st.booleans()), min_size=20, max_size=30))
async def test_a_configuration_does_what_the_oracle_says_whoever_dies(
    clocked: Edge, theirs: Tenant, script: list[tuple[tuple[Any, ...], int | None, bool]]
) -> None:
    before = await rows_of(clocked.system_database, theirs.tenant_id)
    acme = await found(clocked, "acme")
    ground = Ground(acme)
    await ground.begin()
    for event, death, rests in script:
        await ground.happen(event, death)
        if not rests:
            await ground.work(death)
            await ground.compare()
    # All come and do as they are told: nothing is left but what is accepted.
    await ground.work()
    for device in DEVICES:
        await ground.happen(("obey", device), None)
    await ground.compare()
    statuses = [ground.oracle.status(device, place) for device in DEVICES for place in ground.oracle.documents[device]]
    assert set(statuses) <= {"ACCEPTED"}
    assert await rows_of(clocked.system_database, theirs.tenant_id) == before
    await leave(acme)
