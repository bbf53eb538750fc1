"""A store that takes connections and answers nothing is away, not slow."""

import signal
import time
from pathlib import Path

import pytest

from roadstead.adapters.clickhouse import transport as module
from roadstead.kernel.errors import Unavailable
from tests.adapters.conftest import StoreProcess


async def test_a_store_that_hangs_is_told_in_time_and_a_slow_one_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(module, "_PING_TIMEOUT_S", 0.3)
    process = await StoreProcess.start(tmp_path / "store")
    way = process.transport()
    try:
        assert await way.query("SELECT sleep(0.9)", {}) == b"[0]\n"

        process.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        for _ in range(3):
            with pytest.raises(Unavailable, match="does not answer"):
                await way.query("SELECT 1", {})
        assert time.monotonic() - began < 3

        process.process.send_signal(signal.SIGCONT)
        assert await way.query("SELECT 1", {}) == b"[1]\n"
    finally:
        process.process.send_signal(signal.SIGCONT)
        await way.close()
        await process.stop()
