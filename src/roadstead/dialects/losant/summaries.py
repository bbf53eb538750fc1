"""`summary` of applications and organizations: how much is in them (contract section 20)."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from roadstead.core import contents, metering
from roadstead.core.contents import Amounts
from roadstead.core.ports import Span
from roadstead.core.registry import OwnedSpace
from roadstead.core.work import Account, Work
from roadstead.kernel import time
from roadstead.kernel.errors import Invalid
from roadstead.web.edge import AnyRequest

_COUNTED = {
    "apiTokenCount": "tokens",
    "deviceCount": "devices",
    "eventCount": "events",
    "keyCount": "keys",
}
_NONE_YET = frozenset(
    {
        "certificateCount",
        "certificateAuthorityCount",
        "credentialCount",
        "dashCount",
        "dataTableCount",
        "deviceRecipeCount",
        "experienceDomainCount",
        "experienceEndpointCount",
        "experienceGroupCount",
        "experienceSlugCount",
        "experienceUserCount",
        "experienceVersionCount",
        "experienceViewCount",
        "fileCount",
        "flowCount",
        "integrationCount",
        "notebookCount",
        "privateFileCount",
        "resourceJobCount",
        "webhookCount",
    }
)
"""What cannot be made here yet, so that there is none."""
_EMPTY: Mapping[str, Mapping[str, int]] = {
    "storageStats": {"count": 0, "size": 0},
    "notebookStats": {"awaitingCompletion": 0, "minutesThisPeriod": 0, "runsThisPeriod": 0},
}
COUNTED_OF_ALL = frozenset(_COUNTED) | _NONE_YET | frozenset(_EMPTY)
_PAYLOADS = "payloadCount"
"""Of the last thirty days; counted only when it is named, because it is much to count."""
_PERIOD = timedelta(days=30)


def read_wanted(request: AnyRequest, known: frozenset[str] = COUNTED_OF_ALL) -> frozenset[str]:
    """Which members of a summary are asked for: all, or those of `summaryInclude`, without those of
    `summaryExclude`."""
    every = known | {_PAYLOADS}
    included = read_names(request, "summaryInclude", every)
    return (known if included is None else included) - (read_names(request, "summaryExclude", every) or frozenset())


async def summarise(
    asked: Account | Work, wanted: frozenset[str], spaces: Sequence[OwnedSpace]
) -> list[dict[str, Any] | None]:
    """The summary of each application; None when nothing of it is wanted."""
    if not wanted:
        return [None] * len(spaces)
    amounts = [Amounts()] * len(spaces)
    if not wanted.isdisjoint(_COUNTED):
        amounts = await contents.count_contents(asked, spaces)
    summaries: list[dict[str, Any] | None] = [spell_amounts(each, wanted) for each in amounts]
    if _PAYLOADS in wanted:
        for space, summary in zip(spaces, summaries, strict=True):
            if summary is not None:
                summary[_PAYLOADS] = await _count_payloads(asked, space)
    return summaries


async def _count_payloads(asked: Account | Work, space: OwnedSpace) -> dict[str, dict[str, int]]:
    actor = msgspec.structs.replace(asked.actor, tenant_id=space.tenant_id, organization_id=space.organization_id)
    now = time.now()
    work = Work(actor, asked.tx, asked.ports)
    return await metering.count_payloads(work, Span(now - _PERIOD, now), space_id=space.id)


def spell_amounts(amounts: Amounts, wanted: frozenset[str]) -> dict[str, Any]:
    """What is wanted of a summary."""
    counted = {name: getattr(amounts, field) for name, field in _COUNTED.items()}
    whole: dict[str, Any] = {**counted, **dict.fromkeys(_NONE_YET, 0), **_EMPTY}
    return {name: whole[name] for name in sorted(whole) if name in wanted}


def read_names(request: AnyRequest, parameter: str, known: frozenset[str]) -> frozenset[str] | None:
    text = request.query_params.get(parameter)
    if text is None:
        return None
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if unknown := sorted(names - known):
        raise Invalid.field(parameter, f"'{unknown[0]}' is no member of a summary", place="query")
    return names
