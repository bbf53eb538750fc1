"""Checks: whether the parts that a process needs are there."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from roadstead.kernel.errors import Unavailable

Check = Callable[[], Awaitable[None]]
"""Raises `Unavailable` when a part of the platform is away."""

_PATIENCE_S = 3.0


async def run_checks(checks: Mapping[str, Check]) -> dict[str, bool]:
    """Which parts are there, by name. All are asked at once; what does not answer in time is away."""
    states = await asyncio.gather(*(_run(check) for check in checks.values()))
    return dict(zip(checks, states, strict=True))


async def _run(check: Check) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await check()
    except (Unavailable, TimeoutError):
        return False
    return True
