"""The way of HTTP requests into the log: one organization leaves room for others."""

import asyncio

import pytest

from roadstead.core.messages import Uplink
from roadstead.kernel.errors import TooMany
from roadstead.kernel.ids import TenantId
from roadstead.web.uplinks import FairUplinks

ACME, GLOBEX = TenantId(1), TenantId(2)


class SlowLog:
    """Takes everything, and answers when told."""

    def __init__(self) -> None:
        self.taken: list[Uplink] = []
        self.answer = asyncio.Event()

    async def put(self, *items: Uplink) -> int:
        self.taken += items
        await self.answer.wait()
        return len(self.taken)


def uplink(tenant: TenantId, size: int) -> Uplink:
    """A message of some size."""
    return Uplink(tenant, b"0" * 12, "native", "readings", 0, b"x" * size)


async def test_an_organization_with_its_part_on_the_way_is_asked_to_come_back_and_another_one_is_not() -> None:
    log = SlowLog()
    fair = FairUplinks(log, tenant_bytes=10_000, bytes_per_s=0)
    putting = [asyncio.create_task(fair.put(uplink(ACME, 20_000)))]
    await asyncio.sleep(0)
    with pytest.raises(TooMany, match="on its way") as refused:
        await fair.put(uplink(ACME, 10))
    assert refused.value.retry_after_s >= 1
    putting.append(asyncio.create_task(fair.put(uplink(GLOBEX, 9_000))))
    await asyncio.sleep(0)
    assert [item.tenant for item in log.taken] == [ACME, GLOBEX]

    log.answer.set()
    await asyncio.gather(*putting)
    await fair.put(uplink(ACME, 10))
    assert not fair._waiting


async def test_a_pace_is_kept_and_told() -> None:
    log = SlowLog()
    log.answer.set()
    fair = FairUplinks(log, tenant_bytes=10**9, bytes_per_s=1_000)
    await fair.put(uplink(ACME, 5_000))
    with pytest.raises(TooMany, match="1000 bytes a second") as refused:
        await fair.put(uplink(ACME, 1))
    assert 3 < refused.value.retry_after_s < 5
    await fair.put(uplink(GLOBEX, 1))
