"""Children: started again when they end, with a growing pause; ended when we end; their words kept for a while."""

import asyncio
import os
import signal
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from roadstead.supervisor import processes
from roadstead.supervisor.failures import StartError
from roadstead.supervisor.process import MOST_LOG_BYTES, Command, Process, rotate_log
from roadstead.supervisor.processes import Supervised

from .waiting import is_alive, kill, until

_SLEEP = "import time; time.sleep(600)"


def _command(log: Path, code: str) -> Command:
    return Command(name="child", arguments=(sys.executable, "-c", code), environment={}, log=log)


class _Child:
    """A program for tests; `code` may be changed between starts."""

    name = "child"

    def __init__(self, log: Path, code: str) -> None:
        self.log = log
        self.code = code
        self.started_at: list[float] = []

    async def start(self) -> Process:
        self.started_at.append(asyncio.get_running_loop().time())
        if not self.code:
            raise StartError("not now")
        return Process(_command(self.log, self.code))

    async def stop(self, process: Process) -> None:
        await process.stop()


async def test_a_child_that_ends_is_started_again(tmp_path: Path) -> None:
    child = Supervised(_Child(tmp_path / "log", _SLEEP), first_pause_s=0.01)
    await child.start()
    first = child.pid
    assert first is not None
    kill(first)
    await until(lambda: child.pid not in (None, first))
    assert child.restarts == 1

    last = child.pid
    await child.stop()
    assert last is not None
    assert not is_alive(last)
    assert child.pid is None


async def test_the_pauses_grow_and_have_a_limit(tmp_path: Path) -> None:
    program = _Child(tmp_path / "log", _SLEEP)
    child = Supervised(program, first_pause_s=0.02, longest_pause_s=0.08)
    await child.start()
    program.code = ""
    assert child.pid is not None
    kill(child.pid)
    await until(lambda: len(program.started_at) >= 7)
    await child.stop()

    starts = program.started_at[1:]
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert pauses[0] >= 0.04
    assert all(pause >= 0.08 for pause in pauses[2:])
    assert pauses[-1] < 1


async def test_the_pause_is_short_again_after_a_steady_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STEADY_S", 0.0)
    program = _Child(tmp_path / "log", "pass")
    child = Supervised(program, first_pause_s=0.01, longest_pause_s=600)
    await child.start()
    await until(lambda: child.restarts >= 12)  # 0.01 * 2**12 would be 40 seconds
    await child.stop()


async def test_a_first_start_that_fails_is_told_at_once(tmp_path: Path) -> None:
    child = Supervised(_Child(tmp_path / "log", ""))
    with pytest.raises(StartError, match="not now"):
        await child.start()
    await child.stop()


async def test_who_does_not_listen_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    process = Process(_command(tmp_path / "log", deaf))
    await until(lambda: "deaf" in process.last_words())
    assert await process.stop(timeout_s=0.05) == -signal.SIGKILL
    assert not is_alive(process.pid)


async def test_a_signal_does_not_take_away_the_end_of_a_process_that_has_just_ended(tmp_path: Path) -> None:
    process = Process(_command(tmp_path / "log", "pass"))
    has_ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # The loop stands still: nobody has noticed.
    process.signal(signal.SIGTERM)
    assert os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) == has_ended
    assert await process.wait() == 0


async def test_the_last_words_explain_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("an error of long ago\n")
    process = Process(_command(log, "import sys; sys.exit('OSError: No space left on device')"))
    assert await process.wait() == 1
    assert "long ago" not in process.last_words()
    assert "the disk is full" in str(process.explain("ended"))
    assert str(log) in str(process.explain("ended"))


async def test_what_cannot_be_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="/no/such/program"):
        Process(Command(name="child", arguments=("/no/such/program",), environment={}, log=tmp_path / "log"))


async def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
from pathlib import Path
from roadstead.supervisor.process import Command, Process
async def main():
    process = Process(Command(name="child", arguments=(sys.executable, "-c", "{_SLEEP}"),
                              environment={{}}, log=Path("{tmp_path}/log")))
    print(process.pid, flush=True)
    await process.wait()
asyncio.run(main())
"""
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert supervisor.stdout is not None
    child = int(await supervisor.stdout.readline())
    supervisor.kill()
    await supervisor.wait()
    await until(lambda: not is_alive(child))


def test_a_large_log_is_moved_aside_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old")
        os.truncate(log, MOST_LOG_BYTES + 1)
        rotate_log(log)
        writer.write(b"new")
        rotate_log(log)
    assert log.read_bytes() == b"new"
    assert (tmp_path / "log.1").stat().st_size == MOST_LOG_BYTES + 1
