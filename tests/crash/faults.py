"""What happens to a platform: processes are killed or stand still, one of them or several, at any moment."""

import os
import random
import signal
import time
from collections.abc import Callable, Sequence

import psutil

from tests.crash.publishers import Publisher
from tests.platform import ROLES, SERVERS, Platform, end, wait_until

Fault = Callable[[Platform, Sequence[Publisher], random.Random], None]
"""Does its harm and sees to it that whatever has to be started by a person is started again."""

_BURST = 400
_LONGEST_PAUSE_S = 3.0
_BACK_S = 30.0


def kill(*names: str) -> Fault:
    """These at once, with `kill -9`; the supervisor brings them back."""

    def strike(platform: Platform, _publishers: Sequence[Publisher], _luck: random.Random) -> None:
        _kill(platform, names)

    return strike


def kill_in_a_batch(name: str) -> Fault:
    """While it has more to do than ever."""

    def strike(platform: Platform, publishers: Sequence[Publisher], luck: random.Random) -> None:
        for publisher in publishers:
            publisher.burst(_BURST)
        time.sleep(luck.uniform(0.05, 0.4))
        _kill(platform, [name])

    return strike


def pause(name: str) -> Fault:
    """It stands still and goes on: connections stay, nothing answers."""

    def strike(platform: Platform, _publishers: Sequence[Publisher], luck: random.Random) -> None:
        processes = [platform.supervisor] if name == "supervisor" else platform.find(name)
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        time.sleep(luck.uniform(0.3, _LONGEST_PAUSE_S))
        for process in processes:
            process.send_signal(signal.SIGCONT)

    return strike


def kill_the_supervisor(platform: Platform, _publishers: Sequence[Publisher], _luck: random.Random) -> None:
    """It takes everything else along, each in its own time."""
    platform.stop(signal.SIGKILL)
    platform.start()


def cut_the_power(platform: Platform, _publishers: Sequence[Publisher], _luck: random.Random) -> None:
    """All at once. Afterwards the process id in PostgreSQL's file is that of a stranger."""
    end(platform.family())
    (pid_file,) = platform.directory.glob("postgres/*/postmaster.pid")
    _, *lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines]) + "\n")
    platform.start()


def _kill(platform: Platform, names: Sequence[str]) -> None:
    killed = [process for name in names for process in platform.find(name)]
    end(killed)
    wait_until(lambda: all(_is_back(platform, name, killed) for name in names), timeout_s=_BACK_S)


def _is_back(platform: Platform, name: str, killed: Sequence[psutil.Process]) -> bool:
    return any(process not in killed for process in platform.find(name))


FAULTS: dict[str, Fault] = {
    **{f"kill {name}": kill(name) for name in (*ROLES, *SERVERS)},
    **{f"kill {name} in a batch": kill_in_a_batch(name) for name in ("gateway", "store", "worker", *SERVERS)},
    **{f"pause {name}": pause(name) for name in (*ROLES, *SERVERS, "supervisor")},
    "kill store and nats-server": kill("store", "nats-server"),
    "kill gateway and postgres": kill("gateway", "postgres"),
    "kill all roles": kill(*ROLES),
    "kill both servers": kill(*SERVERS),
    "kill the supervisor": kill_the_supervisor,
    "cut the power": cut_the_power,
}
"""By a name that says what it is."""
