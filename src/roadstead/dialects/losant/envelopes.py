"""Answers and what lists are asked for (contract sections 2 and 4)."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response

from roadstead.dialects.losant.schemas import check
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import to_hex24
from roadstead.kernel.page import PageQuery
from roadstead.web.bodies import decode_json
from roadstead.web.edge import AnyRequest

SUCCESS = {"success": True}
"""What changes without an object of their own answer."""
MOST_PER_PAGE = 1000
_NO = frozenset({"", "0", "false", "undefined", "null"})
_NOTHING = frozenset({"", "undefined", "null"})
_JSON = ("{", "[", '"')
_APPLICATION = "/applications/{applicationId}"
_LINKS: dict[str, dict[str, str]] = {
    "application": {
        "applications": "/applications",
        **{
            name: f"{_APPLICATION}/{path}"
            for name, path in {
                "applicationKeys": "keys",
                "data": "data",
                "deviceRecipes": "device-recipes",
                "devices": "devices",
                "events": "events",
                "flows": "flows",
                "webhooks": "webhooks",
            }.items()
        },
    },
    "applicationKey": {"application": _APPLICATION, "applicationKeys": f"{_APPLICATION}/keys"},
    "applicationKeys": {"application": _APPLICATION},
    "data": {"application": _APPLICATION},
    "device": {"application": _APPLICATION, "devices": f"{_APPLICATION}/devices"},
    "devices": {"application": _APPLICATION},
    "event": {"application": _APPLICATION, "events": f"{_APPLICATION}/events"},
    "events": {"application": _APPLICATION},
    "me": {"applications": "/applications", "dashboards": "/dashboards", "orgs": "/orgs"},
    "org": {"orgs": "/orgs"},
}
"""By kind of answer (contract, `meta.resource_links`); each also has `self`."""
_BRACKET = re.compile(r"\[([^\]]*)\]")


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is wanted, and in which order."""

    sort_field: str
    descending: bool
    page: int
    per_page: int
    filter_field: str | None
    filter: str | None
    """With `*` for anything, in any case."""

    @property
    def query(self) -> PageQuery:
        """What the core is asked for."""
        return PageQuery(limit=max(1, self.per_page), page=self.page, include_total=True)


def read_listing(
    request: AnyRequest,
    sort_fields: Sequence[str],
    *,
    sort: str = "name",
    direction: str = "asc",
    filter_fields: Sequence[str] = ("name",),
    per_page: int = 100,
) -> Listing:
    """From the query of a request. Raises `Invalid` with the name of the parameter."""
    asked = request.query_params
    wanted = (asked.get("sortDirection") or direction).lower()
    if wanted not in ("asc", "desc"):
        raise Invalid.field("sortDirection", "is 'asc' or 'desc'", place="query")
    filter_field = asked.get("filterField") or None
    if filter_field is not None and filter_field not in filter_fields:
        raise Invalid.field("filterField", f"is one of {', '.join(filter_fields)}", place="query")
    sort_field = asked.get("sortField") or sort
    if sort_field not in sort_fields:
        raise Invalid.field("sortField", f"is one of {', '.join(sort_fields)}", place="query")
    return Listing(
        sort_field=sort_field,
        descending=wanted == "desc",
        page=read_number(request, "page", 0, most=10_000_000),
        per_page=read_number(request, "perPage", per_page, most=MOST_PER_PAGE),
        filter_field=filter_field,
        filter=asked.get("filter") or None,
    )


def read_number(request: AnyRequest, name: str, default: int, *, least: int = 0, most: int) -> int:
    """A number in the query. Raises `Invalid` with its name."""
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    if not re.fullmatch(r"-?[0-9]{1,17}", text) or not least <= int(text) <= most:
        raise Invalid.field(name, f"takes {least} to {most}", place="query")
    return int(text)


def read_descending(request: AnyRequest) -> bool:
    """Whether the newest come first, as they do unless told otherwise. Raises `Invalid`."""
    direction = (request.query_params.get("sortDirection") or "desc").lower()
    if direction not in ("asc", "desc"):
        raise Invalid.field("sortDirection", "is 'asc' or 'desc'", place="query")
    return direction == "desc"


def read_flag(request: AnyRequest, name: str) -> bool:
    """Whether something is asked for: `true`, `True`, `1` or any other text but a plain no."""
    return request.query_params.get(name, "").lower() not in _NO


def read_structure(request: AnyRequest, name: str, schema: str) -> Any:
    """A structured parameter in either encoding, one JSON text or `name[0][key]=value`; None when it is not there.

    A text that does not look like JSON is that text. Raises `Invalid` when it is not as the contract's schema says.
    """
    text = request.query_params.get(name, "").strip()
    value: Any = text if text not in _NOTHING else _read_brackets(request, name)
    if text[:1] in _JSON:
        value = decode_json(text.encode())
    if value is not None:
        check(value, schema, where=name)
    return value


def _read_brackets(request: AnyRequest, name: str) -> Any:
    root: dict[str, Any] = {}
    for key, text in request.query_params.multi_items():
        head, *_ = key.partition("[")
        steps = _BRACKET.findall(key)
        if head != name or not steps:
            continue
        place = root
        for step in steps[:-1]:
            inner = place.setdefault(step, {})
            if not isinstance(inner, dict):
                raise Invalid.field(name, "is a value and an object at once", place="query")
            place = inner
        place[steps[-1] or str(len(place))] = text
    return _lists(root) if root else None


def _lists(value: Any) -> Any:
    """Objects whose members are numbered from 0 are lists."""
    if not isinstance(value, dict):
        return value
    numbers = [str(number) for number in range(len(value))]
    if value.keys() == set(numbers):
        return [_lists(value[number]) for number in numbers]
    return {name: _lists(each) for name, each in value.items()}


def single(request: AnyRequest, kind: str, id_: UUID, fields: Mapping[str, Any], **parents: UUID) -> dict[str, Any]:
    """An object as it is answered; `parents` are ids by name, such as `applicationId`. Fields that are None are left
    out."""
    ids = {name: to_hex24(parent) for name, parent in parents.items()}
    own = to_hex24(id_)
    ids.setdefault(f"{kind}Id", own)
    shown = {name: value for name, value in fields.items() if value is not None}
    return {**ids, "id": own, **shown, "_type": kind, **links(request, kind, ids)}


def collection(
    request: AnyRequest,
    kind: str,
    items: Sequence[Mapping[str, Any]],
    listing: Listing,
    total: int,
    *,
    more: Mapping[str, Any] | None = None,
    **parents: UUID,
) -> dict[str, Any]:
    """A page as it is answered; `more` are members of its own."""
    ids = {name: to_hex24(parent) for name, parent in parents.items()}
    asked = {"filter": listing.filter, "filterField": listing.filter_field, **(more or {})}
    return {
        "items": list(items),
        "count": len(items),
        "totalCount": total,
        "perPage": listing.per_page,
        "page": listing.page,
        "sortField": listing.sort_field,
        "sortDirection": "desc" if listing.descending else "asc",
        **{name: value for name, value in asked.items() if value is not None},
        **ids,
        "_type": kind,
        **links(request, kind, ids),
    }


def queued(job_id: str) -> Response[dict[str, Any]]:
    """What is answered when a job will do it."""
    return Response({"success": True, "jobQueued": True, "jobId": job_id}, status_code=202)


def spell_time(instant: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, as all times in answers."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def links(request: AnyRequest, kind: str, ids: Mapping[str, str]) -> dict[str, Any]:
    """`_links`, unless they are not wanted."""
    if request.query_params.get("_links", "true").lower() in _NO:
        return {}
    known = {name: {"href": path.format_map(ids)} for name, path in _LINKS.get(kind, {}).items()}
    return {"_links": {**known, "self": {"href": request.scope["path"]}}}
