"""A NATS that does not get over a failure by itself is started anew, as soon as that helps."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from roadstead.supervisor import nats_watch
from roadstead.supervisor.datadir import LEAST_FREE_BYTES, DataDir
from roadstead.supervisor.nats import Nats
from roadstead.supervisor.nats_watch import NatsWatch
from roadstead.supervisor.processes import Supervised
from roadstead.supervisor.servers import EmbeddedServers

from .waiting import until


class Patient:
    """Stands in for NATS and for who keeps it running."""

    def __init__(self) -> None:
        self.illness = ""
        self.looks = 0
        self.restarts = 0

    async def find_illness(self) -> str:
        self.looks += 1
        return self.illness

    async def restart(self) -> None:
        self.restarts += 1


async def test_an_ill_nats_is_started_anew_when_there_is_room_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_watch, "_EVERY_S", 0.001)
    monkeypatch.setattr(nats_watch, "_PAUSE_S", 0.001)
    free = LEAST_FREE_BYTES - 1
    monkeypatch.setattr(DataDir, "free_bytes", lambda self: free)
    patient = Patient()
    watch = NatsWatch(cast(Nats, patient), cast(Supervised, patient), DataDir(tmp_path))
    watching = asyncio.create_task(watch.run())
    try:
        await until(lambda: patient.looks > 5)
        patient.illness, looks = "write error", patient.looks
        await until(lambda: patient.looks > looks + 5)
        assert patient.restarts == 0
        free = LEAST_FREE_BYTES
        await until(lambda: patient.restarts > 0)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_a_server_says_that_it_is_well_and_a_restart_keeps_its_address(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path) as servers:
        assert servers.nats is not None
        assert await servers._nats.find_illness() == ""
        url, pid = servers.nats_url, servers.nats.pid
        await servers.nats.restart()
        await until(lambda: servers.nats is not None and servers.nats.pid not in (None, pid))
        assert servers.nats_url == url
        assert await servers._nats.find_illness() == ""
