"""The embedded NATS with JetStream, on a loopback port, behind a password."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import msgspec
import nats
import nats.errors
from nats.aio.client import Client

from roadstead.supervisor.account import Account, own_directory, own_file, reachable
from roadstead.supervisor.binaries import packaged_nats, runnable_nats
from roadstead.supervisor.datadir import DataDir
from roadstead.supervisor.orphans import end_orphans
from roadstead.supervisor.ports import LOOPBACK, Access, find_access, remember_access
from roadstead.supervisor.process import Command, Process

NATS_FAILURES = (OSError, TimeoutError, nats.errors.Error)
_USER = "roadstead"
_SYSTEM_USER = "roadstead-system"
"""May ask the server how it is; sees no message of ours."""
_STOP_TIMEOUT_S = 20.0
# Long streams are read through before the first connection is taken.
_READY_TIMEOUT_S = 600.0
_SYSTEM_TIMEOUT_S = 2
_OTHERS_S = 0.5
"""How long the other servers of a cluster are waited for, once one has answered."""
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024


def find_url(data: DataDir) -> str | None:
    """How to reach the NATS of this data directory; None when there has never been one."""
    access = find_access(_access_file(data))
    return _url(access) if access else None


def find_system_url(data: DataDir, url: str) -> str | None:
    """How to ask the NATS of this data directory about itself, if `url` is how to reach it; else None."""
    access = find_access(_access_file(data))
    return _url(access, _SYSTEM_USER) if access and url in ("", _url(access)) else None


class Nats:
    """Starts and stops NATS in a data directory. Needs the lock."""

    name = "nats"

    def __init__(self, data: DataDir, *, binary: Path | None = None) -> None:
        """`binary`: a `nats-server`; None: the one that came as a package."""
        self._data = data
        self._binary = binary
        self._url = ""

    @property
    def url(self) -> str:
        """With user and password. The same after every start, unless a stranger took the port in between."""
        return self._url

    async def find_illness(self) -> str:
        """What the server says is wrong with it; empty when it is well, or says nothing."""
        url = find_system_url(self._data, self._url)
        try:
            answers = await ask_system(url, "HEALTHZ") if url else []
        except NATS_FAILURES:
            return ""  # it is down, and started again for that
        found = [msgspec.convert(answer, _Health) for answer in answers]
        return next((health.error or health.status for health in found if health.status != "ok"), "")

    async def start(self) -> Process:
        """Returns when it takes connections and JetStream answers. Raises `StartError`."""
        account = self._data.account()
        own_directory(self._data.nats, account)
        self._data.check_space()
        await end_orphans(self._data.nats, "nats-server", gently=signal.SIGTERM)
        binary = await asyncio.to_thread(runnable_nats, self._binary or packaged_nats(), account)
        access = remember_access(_access_file(self._data), account)
        self._url = _url(access)
        process = self._spawn(binary, access, account)
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                while not await _answers(self._url):
                    if not process.is_running:
                        raise process.explain("ended while it started")
                    await asyncio.sleep(0.02)
        except BaseException as error:
            await self.stop(process)
            if isinstance(error, TimeoutError):
                raise process.explain(f"is not ready after {_READY_TIMEOUT_S:.0f} s") from error
            raise
        return process

    async def stop(self, process: Process) -> None:
        """Flushes its streams, then ends."""
        await process.stop(signal.SIGTERM, timeout_s=_STOP_TIMEOUT_S)

    def _spawn(self, binary: Path, access: Access, account: Account | None) -> Process:
        place, descriptor = reachable(self._data.nats, account)
        try:
            own_file(_configuration_file(self._data), _configuration(access, place), account)
            return Process(
                Command(
                    name=self.name,
                    arguments=(str(binary), "-c", f"{place}/{_configuration_file(self._data).name}"),
                    environment={"PATH": "/usr/bin:/bin"},
                    log=self._data.logs / "nats.log",
                    directory=self._data.nats,
                    descriptors=(descriptor,),
                    account=account,
                    death_signal=signal.SIGTERM,
                )
            )
        finally:
            os.close(descriptor)


def _access_file(data: DataDir) -> Path:
    return data.nats / "access.json"


def _configuration_file(data: DataDir) -> Path:
    return data.nats / "nats.conf"


def _url(access: Access, user: str = _USER) -> str:
    return f"nats://{user}:{quote(access.password)}@{LOOPBACK}:{access.port}"


def _configuration(access: Access, place: str) -> str:
    """NATS reads JSON. How much a stream may hold is each stream's own limit, so the server's is out of reach."""
    configuration = {
        "server_name": "roadstead",
        "host": LOOPBACK,
        "port": access.port,
        "authorization": {"users": [{"user": _USER, "password": access.password}]},
        "accounts": {"$SYS": {"users": [{"user": _SYSTEM_USER, "password": access.password}]}},
        "max_payload": MAX_PAYLOAD_BYTES,
        "jetstream": {
            "store_dir": place,
            "max_mem": 64 * 1024**2,
            "max_file": 1024**4,
            "sync_interval": "always",
        },
    }
    return msgspec.json.format(msgspec.json.encode(configuration)).decode()


async def connect_once(url: str, *, timeout_s: int) -> Client:
    """A connection now or one of `NATS_FAILURES`: no second chances, no words in the log."""
    return await nats.connect(
        [part.strip() for part in url.split(",")],
        connect_timeout=timeout_s,
        allow_reconnect=False,
        # Without these two the client goes on trying for two minutes, `allow_reconnect` or not.
        max_reconnect_attempts=1,
        reconnect_time_wait=0.02,
        error_cb=_ignore,
    )


class _Answer(msgspec.Struct):
    data: Any = None


class _Health(msgspec.Struct):
    status: str = "ok"
    error: str = ""


async def ask_system(url: str, what: Literal["HEALTHZ", "VARZ"], *, most: int = 1) -> list[Any]:
    """What servers of a cluster answer to their system account, `most` of them; of one it takes a millisecond.

    Raises one of `NATS_FAILURES`.
    """
    client = await connect_once(url, timeout_s=_SYSTEM_TIMEOUT_S)
    found: list[Any] = []
    try:
        inbox = client.new_inbox()
        answers = await client.subscribe(inbox)
        await client.publish(f"$SYS.REQ.SERVER.PING.{what}", reply=inbox)
        with suppress(TimeoutError):
            while len(found) < most:
                answer = await answers.next_msg(timeout=_OTHERS_S if found else _SYSTEM_TIMEOUT_S)
                found.append(msgspec.json.decode(answer.data, type=_Answer).data)
    except msgspec.MsgspecError as error:
        raise nats.errors.ProtocolError from error
    finally:
        await client.close()
    return found


async def _answers(url: str) -> bool:
    """Whether JetStream answers there, to our password: the port alone could be anybody's."""
    try:
        connection = await connect_once(url, timeout_s=2)
        try:
            await connection.jetstream().account_info()
        finally:
            await connection.close()
    except NATS_FAILURES:
        return False
    return True


async def _ignore(error: Exception) -> None:
    """The caller gets it as an exception besides."""
