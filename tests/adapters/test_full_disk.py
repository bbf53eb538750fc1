"""A full disk is a failure that is told: what was not stored is not reported as stored."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# In a process of its own, for a process can own one store only.
_FILL = """
import asyncio, random, sys
from pathlib import Path
from roadstead.adapters.chdb import ChdbEngine, EngineTransport
from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.messages import Reading
from roadstead.core.ports import Series
from roadstead.kernel import ids

async def main():
    store = ClickHouseStore(EngineTransport(ChdbEngine(Path(sys.argv[1]))))
    await store.prepare()
    device, stored = ids.new_id(), 0
    for batch in range(40):
        columns = store.columns()
        texts = [random.randbytes(500).hex() for _ in range(1000)]
        readings = [Reading("text", 1_000 * (batch * 1000 + number), text) for number, text in enumerate(texts)]
        columns.add(1, ids.to_bytes(device), 1, readings)
        try:
            await store.insert(columns)
        except Exception as error:
            print("refused", type(error).__name__)
            break
        stored += 1000
    print(stored, await store.count(1, Series(device, "text")))

asyncio.run(main())
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(tmp_path)], check=False)
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a small file system")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_a_batch_that_finds_no_room_is_refused_and_every_other_is_there(small_disk: Path) -> None:
    filling = [sys.executable, "-c", _FILL, str(small_disk / "store")]
    told = subprocess.run(filling, capture_output=True, text=True, timeout=100, check=True).stdout.splitlines()

    # Above it, the engine may have complained about the machine.
    assert told[-2].startswith("refused")
    stored, counted = told[-1].split()
    assert stored == counted != "0"
