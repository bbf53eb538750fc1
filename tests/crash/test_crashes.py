"""`kill -9` of anything, at any time, and a restart: nothing that was acknowledged is lost or doubled."""

import itertools
import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from roadstead.cli.provision import DeviceIdentity
from tests.crash.faults import FAULTS
from tests.crash.inspection import await_offline, check_everything
from tests.crash.publishers import Clerk, Program, Publisher, Resender, Teller
from tests.journeys.devices import register
from tests.platform import ROLES, Platform, wait_until

SECONDS = float(os.environ.get("CRASH_SECONDS", "8"))
SEED = int(os.environ.get("CRASH_SEED", random.SystemRandom().randrange(1_000_000)))
_RECOVERED_S = 45.0
_LONGEST_ANSWER_S = 30.0
_CALM_S = 1.0


@pytest.mark.timeout(SECONDS * 2 + 300)
def test_nothing_acknowledged_is_lost_or_doubled_whatever_happens(tmp_path: Path) -> None:
    print(f"CRASH_SEED={SEED} CRASH_SECONDS={SECONDS:g}")
    luck = random.Random(SEED)
    with Platform(tmp_path / "data") as platform:
        platform.start()
        publishers, clerk = make_publishers(platform, tmp_path)
        for publisher in (*publishers, clerk):
            publisher.start()
        await_progress(publishers)

        until, happened = time.monotonic() + SECONDS, 0
        for name in shuffled_for_ever(luck):
            print(f"{SECONDS - until + time.monotonic():7.1f} s  {name}")
            FAULTS[name](platform, (*publishers, clerk), luck)
            await_progress(publishers)
            happened += 1
            if time.monotonic() > until:
                break
            time.sleep(luck.uniform(0, _CALM_S))

        for publisher in (*publishers, clerk):
            publisher.finish()
        await_offline(platform, publishers)
        check_everything(platform, publishers, clerk)
        assert platform.stop() == 0
        taken = sum(publisher.acknowledged for publisher in publishers)
        print(f"{happened} faults, {taken} readings and {clerk.acknowledged} devices acknowledged")
        print(f"longest wait for an answer of the API: {clerk.longest_s:.1f} s")
        assert clerk.longest_s < _LONGEST_ANSWER_S

        # All of that was nothing that a role did not expect.
        for role in ROLES:
            assert not [line for line in platform.log_lines(role) if line["level"] in {"error", "critical"}]


def make_publishers(platform: Platform, directory: Path) -> tuple[list[Publisher], Clerk]:
    """Two organizations, every door, those who say things once and those who say them until they are heard."""
    created = platform.command("tenant", "create", "Globex", "--owner", "owner@globex.test", "--json")
    assert created.returncode == 0, created.stderr
    acme, globex = platform.credentials["apiKey"], str(json.loads(created.stdout)["apiKey"])

    def device(key: str, name: str) -> tuple[DeviceIdentity, str]:
        return register(platform.url, key, name), key

    publishers: list[Publisher] = [
        Resender(platform, *device(acme, "by-mqtts"), directory),
        Teller(platform, *device(acme, "by-mqtt")),
        Teller(platform, *device(globex, "by-mqtt")),
        Program(platform, *device(acme, "by-http"), resends=True),
        Program(platform, *device(globex, "by-http-once"), resends=False),
    ]
    return publishers, Clerk(platform, *device(acme, "looked-at"), random.Random(SEED))


def await_progress(publishers: Sequence[Publisher]) -> None:
    """Returns when each has been told of more: nothing has to be restarted by hand."""
    before = [publisher.acknowledged for publisher in publishers]

    def has_more() -> bool:
        return all(publisher.acknowledged > old + 10 for publisher, old in zip(publishers, before, strict=True))

    wait_until(has_more, timeout_s=_RECOVERED_S)


def shuffled_for_ever(luck: random.Random) -> Iterator[str]:
    """All faults in some order, then in another."""
    names = list(FAULTS)
    for _ in itertools.count():
        luck.shuffle(names)
        yield from names
