"""Advanced queries on events, against what they mean, on the real database."""

from collections.abc import Sequence
from typing import Any, NoReturn
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadstead.core import events, registry
from roadstead.core.work import Work
from roadstead.dialects.losant.event_shapes import FIELDS as EVENT_FIELDS
from roadstead.dialects.losant.event_shapes import STATES
from roadstead.dialects.losant.queries import read_query
from roadstead.dialects.losant.schemas import check
from roadstead.kernel import time
from roadstead.kernel.ids import SpaceId, new_id, parse_hex24, to_hex24
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.dialects.losant.query_oracle import Sample, is_true
from tests.dialects.losant.test_queries import IDS, INSTANTS, KEYS, TAGS, VALUES, conditions, ids, moments

SUBJECTS = ["pump", "Pump", "pump 1", "a*b", "a%b", "Ähre"]
SOURCES = {"flow": "SYSTEM", "user": "USER", "device": "DEVICE", "apiToken": "EXTERNAL"}
LEVELS = {
    "info": ("INFO", False),
    "warning": ("WARNING", False),
    "error": ("CRITICAL", True),
    "critical": ("CRITICAL", False),
}


@st.composite
def logs(draw: st.DrawFn) -> list[Sample]:
    """A few events."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        fields: dict[str, Any] = {
            "id": IDS[number],
            "subject": draw(st.sampled_from(SUBJECTS)),
            "sourceType": draw(st.sampled_from(list(SOURCES))),
            "level": draw(st.sampled_from(list(LEVELS))),
            "state": draw(st.sampled_from(list(STATES))),
            **{name: draw(st.sampled_from(INSTANTS)) for name in ("creationDate", "lastUpdated")},
        }
        for name in ("deviceId", "sourceId"):
            if draw(st.booleans()):
                fields[name] = draw(st.sampled_from(IDS))
        if fields["sourceType"] == "device" and "deviceId" in fields:
            fields.setdefault("sourceId", fields["deviceId"])
        tags = draw(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2))
        found.append(Sample(fields=fields, tags=tuple(tags.items())))
    return found


async def store(work: Work, log: Sequence[Sample]) -> SpaceId:
    """The events, in an application of their own."""
    space = await registry.create_space(work, registry.SpaceDraft(name=f"log {new_id()}"))
    for event in log:
        fields = event.fields
        severity, is_error = LEVELS[fields["level"]]
        await work.tx.run(
            """
            INSERT INTO event (tenant_id, id, space_id, type, source, severity, is_error, message, subject, status,
                               device_id, created_by, occurred_at, created_at, updated_at)
            VALUES (%s, %s, %s, 'incident', %s, %s, %s, 'said', %s, %s, %s, %s, %s, now(), %s)
            """,
            work.tenant_id,
            _uuid(fields["id"]),
            space.id,
            SOURCES[fields["sourceType"]],
            severity,
            is_error,
            fields["subject"],
            STATES[fields["state"]],
            *(_uuid(fields[name]) if name in fields else None for name in ("deviceId", "sourceId")),
            *(time.from_millis(fields[name]) for name in ("creationDate", "lastUpdated")),
        )
        for key, value in event.tags:
            sql = "INSERT INTO event_tag (tenant_id, event_id, key, value) VALUES (%s, %s, %s, %s)"
            await work.tx.run(sql, work.tenant_id, _uuid(fields["id"]), key, value)
    return space.id


def _uuid(text: str) -> UUID | None:
    return parse_hex24(text)


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("creationDate", "lastUpdated"), moments()),
    **dict.fromkeys(("id", "deviceId", "sourceId", "experienceUserId", "experienceGroupId"), ids()),
    "subject": conditions(SUBJECTS),
    "sourceType": conditions([*SOURCES, "public", "none"]),
    "level": conditions([*LEVELS, "none"]),
    "state": conditions([*STATES, "none"]),
    "eventTags": st.one_of(TAGS, TAGS.map(lambda value: {"$eq": value}), TAGS.map(lambda value: {"$ne": value})),
}
MEMBERS = st.one_of([st.tuples(st.just(name), condition) for name, condition in FIELDS.items()])
QUERIES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.lists(MEMBERS, max_size=2, unique_by=lambda member: member[0]).map(dict),
    lambda inner: st.dictionaries(
        st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, max_size=3), min_size=1, max_size=2
    ),
    max_leaves=5,
)


class Undo(Exception):
    """Ends a transaction without a trace."""


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=logs(), queries=st.lists(QUERIES, min_size=4, max_size=4))
async def test_a_query_finds_the_events_it_is_true_for(
    acme: Tenant, log: list[Sample], queries: list[dict[str, Any]]
) -> None:
    with pytest.raises(Undo):
        async with acme.work() as work:
            space_id = await store(work, log)
            for query in queries:
                check(query, "advancedEventQuery")
                where = read_query(query, EVENT_FIELDS)
                found = await events.list_incidents(work, space_id, where, page=PageQuery(limit=100))
                expected = {event.fields["id"] for event in log if is_true(_plain(query), event)}
                assert {to_hex24(each.id) for each in found.items} == expected, query
            undo()


def _plain(query: Any) -> Any:
    """With the tags where the oracle looks for them."""
    if isinstance(query, dict):
        return {"tags" if name == "eventTags" else name: _plain(each) for name, each in query.items()}
    return [_plain(each) for each in query] if isinstance(query, list) else query


def undo() -> NoReturn:
    raise Undo
