"""A disk that is full for a while: nobody is promised anything, everybody is told, and it gets over it by itself."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.crash.inspection import await_offline, check_everything
from tests.crash.test_crashes import await_progress, make_publishers
from tests.platform import Platform, wait_until

_SIZE_MB = 420
_NOTICED_S = 20.0
_FULL_S = 2.0
_RECOVERED_S = 60.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE_MB}m", "tmpfs", str(place)], check=False)
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a small file system")
    try:
        yield place
    finally:
        shutil.copytree(place / "data" / "logs", tmp_path / "logs", dirs_exist_ok=True)  # to be read when it failed
        shutil.copy(place / "data.out", tmp_path / "logs")
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.timeout(240)
def test_a_full_disk_is_told_and_got_over_without_a_person(small_disk: Path, tmp_path: Path) -> None:
    with Platform(small_disk / "data") as platform:
        platform.start()
        publishers, clerk = make_publishers(platform, tmp_path)
        for publisher in (*publishers, clerk):
            publisher.start()
        await_progress(publishers)

        ballast = small_disk / "ballast"
        _fill(ballast)
        for publisher in publishers:
            publisher.burst(2_000)
        wait_until(lambda: _is_down(platform), timeout_s=_NOTICED_S, pause_s=0.2)
        until = time.monotonic() + _FULL_S
        while time.monotonic() < until:
            _fill(ballast)
            time.sleep(0.1)
        assert _is_down(platform)

        ballast.unlink()
        began = time.monotonic()
        wait_until(lambda: not _is_down(platform), timeout_s=_RECOVERED_S, pause_s=0.2)
        await_progress(publishers)
        print(f"recovered {time.monotonic() - began:.1f} s after there was room")
        for publisher in (*publishers, clerk):
            publisher.finish()
        await_offline(platform, publishers)
        check_everything(platform, publishers, clerk)
        assert platform.stop() == 0


def _fill(file: Path) -> None:
    """Until nothing more fits."""
    piece = b"\0" * 65_536
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        while True:
            os.write(descriptor, piece)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _is_down(platform: Platform) -> bool:
    try:
        return httpx.get(f"{platform.url}/readyz", timeout=10).status_code == 503
    except httpx.TransportError:
        return True
