"""Devices in any order, and what the values are that they have: for programs that search."""

from collections.abc import Sequence
from typing import Any

import msgspec

from roadstead.core.operation import operation
from roadstead.core.registry import device_search_store as store
from roadstead.core.registry.device_search_store import Order, Stats
from roadstead.core.registry.model import Device
from roadstead.core.registry.search import resolve
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.filter import Filter, Path
from roadstead.kernel.page import Page, PageQuery


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Which values are counted."""

    size: int
    include: Sequence[Any] | None = None
    """Only these."""
    exclude: Sequence[Any] = ()


@operation(Grant.DEVICES_READ)
async def search_devices(work: Work, where: Filter, order: Sequence[Order], page: PageQuery) -> Page[Device]:
    """Devices that a filter is true for; those that are alike in the order, by id."""
    return await store.select_page(work.tx, await resolve(work, where), order, page)


@operation(Grant.DEVICES_READ)
async def count_matches(work: Work, where: Filter) -> int:
    """How many devices a filter is true for."""
    return await store.count_matches(work.tx, await resolve(work, where))


@operation(Grant.DEVICES_READ)
async def count_values(work: Work, where: Filter, field: Path, terms: Terms) -> list[tuple[Any, int]]:
    """How many devices of a filter have which value of a field, most first; instants in ms since 1970."""
    where = await resolve(work, where)
    return await store.select_counts(work.tx, where, field, terms.size, terms.include, terms.exclude)


@operation(Grant.DEVICES_READ)
async def count_intervals(work: Work, where: Filter, field: Path, interval: float) -> list[tuple[float, int]]:
    """How many devices of a filter have numbers of a field in which interval, by where these begin."""
    return await store.select_intervals(work.tx, await resolve(work, where), field, interval)


@operation(Grant.DEVICES_READ)
async def measure_values(work: Work, where: Filter, field: Path) -> Stats:
    """What the numbers of a field are like, over the devices of a filter."""
    return await store.select_stats(work.tx, await resolve(work, where), field)


@operation(Grant.DEVICES_READ)
async def bound_search(work: Work, *, most_s: int) -> None:
    """Let no statement of this work take longer than so many seconds; `Unavailable` then."""
    await store.limit_statements(work.tx, most_s)
