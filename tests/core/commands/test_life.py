"""The life of commands, in any order of what can happen to them, whoever dies at it: against an oracle."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadstead.core import commands
from roadstead.core.commands import CommandDraft, CommandSource, CommandStatus, Verdict, judge
from roadstead.core.commands.model import FINAL, STEPS
from roadstead.core.downlinks import Hearer
from roadstead.kernel.ids import DeviceId
from roadstead.web.edge import Edge
from tests.clock import Clock
from tests.conftest import Tenant, found, leave
from tests.core.commands.ground import Ground
from tests.fleet import add_device
from tests.mortal import ALL_DONE, rows_of

S = CommandStatus
_DEVICES = st.integers(0, 1)
_ANY = st.integers(0, 11)
_SAID = st.lists(st.sampled_from(["ACKNOWLEDGED", "SUCCESS", "FAILED"]), min_size=1, max_size=3)
_EVENTS = st.one_of(
    st.tuples(st.just("give"), _DEVICES, st.sampled_from([True, True, False])),
    st.tuples(st.just("bulk"), st.sampled_from([None, 1]), st.sampled_from([None, 0, 50])),
    st.tuples(st.just("come"), _DEVICES, st.booleans()),
    st.tuples(st.just("come"), _DEVICES, st.just(True)),
    st.tuples(st.just("nudge"), _DEVICES, st.booleans()),
    st.tuples(st.just("answer"), _ANY, _SAID),
    st.tuples(st.sampled_from(["answer", "answer", "meddle"]), _ANY, _SAID),
    st.tuples(st.sampled_from(["cancel", "cancel", "stop"]), _ANY),
    st.tuples(st.just("pass"), st.sampled_from([1, 31, 61, 301])),
)
_DEATHS = st.none() | st.integers(0, 8) | st.just(ALL_DONE)


def test_a_final_status_is_never_left_and_answers_lead_only_where_they_may() -> None:
    for status in CommandStatus:
        for said in (S.ACKNOWLEDGED, S.SUCCESS, S.FAILED):
            for acknowledged in (False, True):
                verdict = judge(status, said, acknowledged=acknowledged)
                assert (verdict is Verdict.TAKEN) == (said in STEPS[status])
                if status in FINAL:
                    assert verdict in (Verdict.REPEATED, Verdict.LATE)
    assert judge(S.SENT, S.SUCCESS, acknowledged=False) is Verdict.TAKEN
    assert judge(S.PENDING, S.SUCCESS, acknowledged=False) is Verdict.EARLY
    assert judge(S.SUCCESS, S.FAILED, acknowledged=False) is Verdict.LATE
    assert judge(S.TIMEOUT, S.ACKNOWLEDGED, acknowledged=False) is Verdict.LATE
    assert judge(S.TIMEOUT, S.ACKNOWLEDGED, acknowledged=True) is Verdict.REPEATED


@pytest.mark.timeout(400)  # one that fails is cut down to what matters, which takes its time
@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(script=st.lists(st.tuples(_EVENTS, _DEATHS, _DEATHS), min_size=20, max_size=30))
async def test_a_command_does_what_the_oracle_says_whoever_dies(
    clocked: Edge, clock: Clock, globex: Tenant, script: list[tuple[tuple[Any, ...], int | None, int | None]]
) -> None:
    async with globex.work() as work:
        # It waits for a device of its own, and nothing of all this touches it.
        theirs = DeviceId(await add_device(globex.edge.system_database, globex.tenant_id, status="ACTIVE"))
        await commands.create_command(work, theirs, CommandDraft(type="REBOOT", payload={}, ttl_s=604_800))
    before = await rows_of(clocked.system_database, globex.tenant_id)
    acme = await found(clocked, "acme")
    devices = [await add_device(clocked.system_database, acme.tenant_id, status="ACTIVE") for _ in range(2)]
    ground = Ground(acme, clock, devices)
    for event, death, other in script:
        await ground.happen(event, death)
        await ground.look(other)
        await ground.compare()
    # Nobody does anything any more: everything comes to its end by itself.
    for _ in range(3):
        await ground.happen(("pass", 301), None)
        await ground.look()
        await ground.compare()
    assert all(one.is_over for one in ground.oracle.commands)
    assert all(bulk.status != "RUNNING" for bulk in ground.oracle.bulks)
    async with clocked.system_database.tx() as tx:
        assert await CommandSource().claim(tx, [Hearer(acme.tenant_id, theirs, "gateway/1")], most=10) == []
    assert await rows_of(clocked.system_database, globex.tenant_id) == before
    await leave(acme)
