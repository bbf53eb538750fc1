"""A limit that runs as a process of its own, beside the generator, as the platform does."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping

import msgspec


class LimitProcess(msgspec.Struct, frozen=True):
    """A running one."""

    port: int
    pid: int


@contextlib.asynccontextmanager
async def running_limit(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[LimitProcess]:
    """`python -m bench.limits.<module>`, until the end of the context. It prints its port when it listens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"bench.limits.{module}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    assert process.stdout is not None
    try:
        yield LimitProcess(int(await process.stdout.readline()), process.pid)
    finally:
        process.kill()
        await process.wait()
