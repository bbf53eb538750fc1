"""/orgs: the organizations of whoever asks (contract section 27)."""

import re
from collections.abc import Sequence
from typing import Any

from litestar import get
from litestar.di import Provide

from roadstead.core import contents, identity, registry, tenancy
from roadstead.core.contents import Amounts
from roadstead.core.identity import RoledMember
from roadstead.core.tenancy import Organization
from roadstead.core.work import Work
from roadstead.dialects.losant.envelopes import collection, read_listing, single, spell_time
from roadstead.dialects.losant.places import Places, provide_places
from roadstead.dialects.losant.summaries import COUNTED_OF_ALL, read_wanted, spell_amounts
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import to_hex24
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest

_SORTS = {"name": "name", "id": "public_id", "creationDate": "created_at", "lastUpdated": "updated_at"}
_MOST = 1_000
_EVERYTHING = COUNTED_OF_ALL | {"appCount", "memberCount", "pendingInviteCount"}
_ROLES = {"owner": "admin", "writer": "edit", "reader": "view"}
"""From the one that may do most to the one that may do least; whatever else somebody may do is less."""


@get("/orgs", operation_id="orgs.get", dependencies={"places": Provide(provide_places)})
async def list_organizations(request: AnyRequest, places: Places) -> dict[str, Any]:
    """Those that the credential opens."""
    listing = read_listing(request, list(_SORTS))
    wanted = read_wanted(request, _EVERYTHING)
    found = list[tuple[Organization, dict[str, Any]]]()
    for actor in places.among(None):
        async with places.work(actor) as work:
            organization = await tenancy.get_organization(work)
            if _fits(organization.name, listing.filter):
                found.append((organization, await _fields(work, organization, wanted)))
    field = _SORTS[listing.sort_field]
    found.sort(key=lambda each: (getattr(each[0], field), each[0].public_id), reverse=listing.descending)
    first = listing.page * listing.per_page
    items = [_spell(request, each, fields) for each, fields in found[first : first + listing.per_page]]
    return collection(request, "orgs", items, listing, len(found))


@get("/orgs/{orgId:str}", operation_id="org.get")
async def get_organization(request: AnyRequest, work: Work) -> dict[str, Any]:
    """One of them, with its members."""
    organization = await tenancy.get_organization(work)
    return _spell(request, organization, await _fields(work, organization, read_wanted(request, _EVERYTHING)))


def _fits(name: str, pattern: str | None) -> bool:
    return pattern is None or bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.IGNORECASE))


async def _fields(work: Work, organization: Organization, wanted: frozenset[str]) -> dict[str, Any]:
    """What is answered of one. Members are told to whoever may know them."""
    members: Sequence[RoledMember] | None = None
    if Grant.ORGANIZATION_READ in work.actor.grants:
        members = (await identity.list_roled_members(work, PageQuery(limit=_MOST))).items
    return {
        "name": organization.name,
        "description": organization.notes.get("losant", {}).get("description"),
        "creationDate": spell_time(organization.created_at),
        "lastUpdated": spell_time(organization.updated_at),
        "members": None if members is None else [_spell_member(each) for each in members],
        "summary": await _summarise(work, wanted, len(members or ())) if wanted else None,
    }


async def _summarise(work: Work, wanted: frozenset[str], members: int) -> dict[str, Any]:
    spaces = await registry.search_spaces(work, [work.actor], page=PageQuery(limit=_MOST, include_total=True))
    whole = Amounts.of_all(await contents.count_contents(work, spaces.items))
    more: dict[str, Any] = {"appCount": spaces.total or 0}
    if Grant.ORGANIZATION_READ in work.actor.grants:
        more["memberCount"] = members
    if Grant.MEMBERS_WRITE in work.actor.grants:
        invited = await identity.list_invitations(work, PageQuery(limit=1, include_total=True))
        more["pendingInviteCount"] = invited.total or 0
    return spell_amounts(whole, wanted) | {name: value for name, value in more.items() if name in wanted}


def _spell_member(member: RoledMember) -> dict[str, Any]:
    held = {role.standard for role in member.roles}
    role = next((spelled for standard, spelled in _ROLES.items() if standard in held), None)
    return {
        "userId": to_hex24(member.person_id),
        "firstName": member.first_name or member.email,
        "lastName": member.last_name,
        "email": member.email,
        "role": role or ("collaborate" if held else "none"),
        "twoFactorAuthEnabled": member.totp_confirmed_at is not None,
    }


def _spell(request: AnyRequest, organization: Organization, fields: dict[str, Any]) -> dict[str, Any]:
    shown = single(request, "org", organization.public_id, fields)
    if "_links" in shown:
        shown["_links"]["self"] = {"href": f"/orgs/{shown['id']}"}
    return shown


handlers = [list_organizations, get_organization]
