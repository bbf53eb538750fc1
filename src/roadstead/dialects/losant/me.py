"""/me: who asks, what they looked at, where they are invited, how much is theirs (contract section 27)."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get, patch, post
from litestar.di import Provide
from litestar.params import PathParameter

from roadstead.core import contents, identity, registry
from roadstead.core.contents import Amounts
from roadstead.core.identity import Offer, Person, PersonChange
from roadstead.core.work import Account
from roadstead.dialects.losant.envelopes import SUCCESS, read_flag, single, spell_time
from roadstead.dialects.losant.periods import device_counts, notebook_minutes, payload_breakdown, payload_counts
from roadstead.dialects.losant.places import Places, provide_places
from roadstead.dialects.losant.schemas import read_body
from roadstead.dialects.losant.summaries import COUNTED_OF_ALL, read_wanted, spell_amounts
from roadstead.kernel import time
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound, Unauthenticated
from roadstead.kernel.ids import DeviceId, SpaceId, parse_hex24, to_hex24
from roadstead.kernel.page import PageQuery
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest, provide_account

_MOST_RECENT = 10
_MOST = 1_000
_RECENT = ("application", "device", "organization")
_NOT_YET = ("dashboard", "flow")
_PROFILE = ("companyName", "phoneNumber", "location", "url")
_EVERYTHING = COUNTED_OF_ALL | {"appCount", "orgCount", "instanceCount"}
_BOTH = {"account": Provide(provide_account), "places": Provide(provide_places)}
InvitePath = Annotated[str, PathParameter(name="inviteId")]


class CredentialsBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who somebody says they are: `userCredentials`."""

    email: str
    password: str
    two_factor_code: str | None = None


class ProofBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`currentCredentials` of `mePatch`."""

    password: str
    two_factor_code: str | None = None


class RecentBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`recentItem`."""

    item_type: str
    item_id: str
    parent_id: str | None = None


@get("/me", operation_id="me.get", dependencies=_BOTH)
async def get_me(request: AnyRequest, account: Account, places: Places) -> dict[str, Any]:
    """Who they are, and how much is in the organizations they are in."""
    return await _spell(request, account, places)


@patch("/me", operation_id="me.patch", dependencies=_BOTH)
async def change_me(request: AnyRequest, account: Account, places: Places) -> dict[str, Any]:
    """Names and what else people tell about themselves; a new password; up to when tokens are good no more."""
    body = await read_body(request, "mePatch")
    if "email" in body:
        raise Invalid.field("email", "is changed by whoever runs this platform")
    await _change_access(account, body)
    person = await identity.get_self(account)
    profile = dict(_told(person)) | {name: body[name] for name in _PROFILE if name in body}
    own = dict(person.preferences.get("losant", {})) | {"profile": profile}
    names = {"firstName": person.first_name, "lastName": person.last_name} | body
    name = f"{names['firstName']} {names['lastName']}".strip()
    change = PersonChange(name=name, preferences={"losant": own})
    await identity.change_self(account, change)
    return await _spell(request, account, places)


async def _change_access(account: Account, body: Mapping[str, Any]) -> None:
    if "password" in body:
        if "currentCredentials" not in body:
            raise Invalid.field("currentCredentials", "is required with a new password")
        proof = read_as(body["currentCredentials"], ProofBody)
        try:
            await identity.change_password_with_code(
                account, current=proof.password, new=body["password"], otp=proof.two_factor_code
            )
        except Unauthenticated as error:
            raise Invalid.field("currentCredentials", str(error)) from error
    if "tokenCutoff" in body:
        cutoff = time.parse_instant(body["tokenCutoff"])
        if cutoff is None or cutoff > time.now():
            raise Invalid.field("tokenCutoff", "is a time up to now, with its offset from UTC")
        await identity.cut_tokens_off(account, cutoff)


@post("/me/delete", operation_id="me.delete", status_code=200, dependencies={"account": Provide(provide_account)})
async def delete_me(request: AnyRequest, account: Account) -> dict[str, Any]:
    """Leaves all organizations; the last owner of one cannot."""
    body = read_as(await read_body(request, "userCredentials"), CredentialsBody)
    try:
        await identity.delete_self(account, email=body.email, password=body.password, code=body.two_factor_code)
    except Unauthenticated as error:
        raise Invalid.field("password", str(error)) from error
    return SUCCESS


async def _spell(request: AnyRequest, account: Account, places: Places) -> dict[str, Any]:
    person, cutoff = await identity.get_self(account), await identity.find_token_cutoff(account)
    wanted = read_wanted(request, _EVERYTHING)
    fields = {
        **_told(person),
        "email": person.email,
        "firstName": person.first_name or person.email,
        "lastName": person.last_name,
        "fullName": person.display_name,
        "emailVerified": True,
        "needsToVerifyEmail": False,
        "tokenCutoff": None if cutoff is None else spell_time(cutoff),
        "twoFactorAuthEnabled": person.totp_confirmed_at is not None,
        "summary": await _summarise(places, wanted) if wanted else None,
    }
    if read_flag(request, "includeRecent"):
        fields["recentApplications"] = await _recent(places, person, "application", None)
        fields["recentOrganizations"] = await _recent(places, person, "organization", None)
    shown = single(request, "me", person.id, fields)
    return {name: value for name, value in shown.items() if name != "meId"} | {"userId": to_hex24(person.id)}


# --- their second factor ---------------------------------------------------------------------------------------------


class FactorBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`enableTwoFactorAuth` and `disableTwoFactorAuth`."""

    password: str
    two_factor_code: str
    two_factor_auth_key: str | None = None


@patch(
    "/me/generateTwoFactorAuth",
    operation_id="me.generateTwoFactorAuth",
    dependencies={"account": Provide(provide_account)},
)
async def propose_factor(account: Account) -> dict[str, str]:
    """A key for an authenticator app. It counts once it has come back with its first code."""
    factor = await identity.propose_second_factor(account)
    return {"key": factor.secret, "keyUri": factor.uri}


@patch("/me/enableTwoFactorAuth", operation_id="me.enableTwoFactorAuth", dependencies=_BOTH)
async def add_factor(request: AnyRequest, account: Account, places: Places) -> dict[str, Any]:
    """From now on codes are asked for. `recoveryCodes`, a member of ours, is shown this once."""
    body = read_as(await read_body(request, "multiFactorAuthEnable"), FactorBody)
    if body.two_factor_auth_key is None:
        raise Invalid.field("twoFactorAuthKey", "is required: the key that was generated")
    try:
        codes = await identity.add_second_factor(
            account, secret=body.two_factor_auth_key, password=body.password, code=body.two_factor_code
        )
    except Unauthenticated as error:
        raise Invalid.field("password", str(error)) from error
    return await _spell(request, account, places) | {"recoveryCodes": codes}


@patch("/me/disableTwoFactorAuth", operation_id="me.disableTwoFactorAuth", dependencies=_BOTH)
async def remove_factor(request: AnyRequest, account: Account, places: Places) -> dict[str, Any]:
    """Codes are not asked for any more."""
    body = read_as(await read_body(request, "multiFactorAuthDisable"), FactorBody)
    try:
        await identity.remove_second_factor(account, password=body.password, code=body.two_factor_code)
    except Unauthenticated as error:
        raise Invalid.field("password", str(error)) from error
    return await _spell(request, account, places)


# --- what they looked at ---------------------------------------------------------------------------------------------


@get("/me/recentItems", operation_id="me.fetchRecentItems", dependencies=_BOTH)
async def list_recent(request: AnyRequest, account: Account, places: Places) -> dict[str, Any]:
    """The newest first, without what is gone."""
    kind = request.query_params.get("itemType", "")
    if kind not in _RECENT + _NOT_YET:
        raise Invalid.field("itemType", f"is one of {', '.join(_RECENT + _NOT_YET)}", place="query")
    return await _recent(places, await identity.get_self(account), kind, request.query_params.get("parentId") or None)


@post("/me/recentItems", operation_id="me.addRecentItem", status_code=200, dependencies=_BOTH)
async def add_recent(request: AnyRequest, account: Account, places: Places) -> dict[str, Any]:
    """Remembers the last ten of a kind, and of devices those of each application."""
    body = read_as(await read_body(request, "recentItem"), RecentBody)
    if body.item_type in _NOT_YET:
        raise Invalid.field("itemType", f"there are no {body.item_type}s here yet")
    if await _name(places, body.item_type, body.item_id) is None:
        raise NotFound(body.item_type)
    person = await identity.get_self(account)
    own = dict(person.preferences.get("losant", {}))
    key = _key(body.item_type, body.parent_id)
    recent = dict(own.get("recent", {}))
    recent[key] = [body.item_id, *(each for each in recent.get(key, []) if each != body.item_id)][:_MOST_RECENT]
    change = PersonChange(preferences={"losant": own | {"recent": recent}})
    return await _recent(places, await identity.change_self(account, change), body.item_type, body.parent_id)


async def _recent(places: Places, person: Person, kind: str, parent_id: str | None) -> dict[str, Any]:
    ids = person.preferences.get("losant", {}).get("recent", {}).get(_key(kind, parent_id), [])
    named = [(each, await _name(places, kind, each)) for each in ids]
    items = [{"id": id_, "name": name} for id_, name in named if name is not None]
    listed = {"itemType": kind, "items": items}
    return listed if parent_id is None else listed | {"parentId": parent_id}


def _key(kind: str, parent_id: str | None) -> str:
    return kind if parent_id is None else f"{kind} {parent_id}"


async def _name(places: Places, kind: str, hex24: str) -> str | None:
    """What it is called, if it is there and the caller may know."""
    id_ = parse_hex24(hex24)
    if id_ is None:
        return None
    for actor in places.among(None):
        if Grant.DEVICES_READ not in actor.grants:
            continue
        async with places.work(actor) as work:
            match kind:
                case "organization" if actor.organization_id == id_:
                    return await _organization_name(places, id_)
                case "application":
                    found = await registry.search_spaces(work, [actor], only=[SpaceId(id_)], page=PageQuery(limit=1))
                    if found.items:
                        return found.items[0].name
                case "device":
                    device = await registry.find_device(work, DeviceId(id_))
                    if device is not None:
                        return device.title or device.name
    return None


async def _organization_name(places: Places, organization_id: UUID) -> str | None:
    actors = [each for each in places.among(None) if each.organization_id == organization_id]
    found = await registry.search_spaces(places.asked, actors, page=PageQuery(limit=1))
    return found.items[0].organization_name if found.items else None


# --- where they are invited ------------------------------------------------------------------------------------------


@get("/me/invites", operation_id="me.invites", dependencies={"account": Provide(provide_account)})
async def list_invites(account: Account) -> list[dict[str, Any]]:
    """Those that are open."""
    page = await identity.list_own_offers(account, statuses=["open"], query=PageQuery(limit=_MOST))
    return [_spell_invite(each) for each in page.items]


@get("/me/invites/{inviteId:str}", operation_id="me.invite", dependencies={"account": Provide(provide_account)})
async def get_invite(account: Account, invite_id: InvitePath) -> dict[str, Any]:
    """One of them."""
    return _spell_invite(await _find_invite(account, invite_id))


@post(
    "/me/invites/{inviteId:str}",
    operation_id="me.respondToInvite",
    status_code=200,
    dependencies={"account": Provide(provide_account)},
)
async def answer_invite(request: AnyRequest, account: Account, invite_id: InvitePath) -> dict[str, Any]:
    """Join, or do not."""
    body = await read_body(request, "orgInviteActionUser")
    offer = await _find_invite(account, invite_id)
    if body["action"] == "accept":
        await identity.accept_offer(account, offer.id)
        return {"result": "accepted", "orgId": to_hex24(offer.organization_id)}
    await identity.decline_offer(account, offer.id)
    result = "rejected" if body["action"] == "reject" else "dismissed"
    return {"result": result, "orgId": to_hex24(offer.organization_id)}


async def _find_invite(account: Account, invite_id: str) -> Offer:
    id_ = parse_hex24(invite_id)
    page = await identity.list_own_offers(account, statuses=["open"], query=PageQuery(limit=_MOST))
    found = [each for each in page.items if each.id == id_]
    if not found:
        raise NotFound("Invite")
    return found[0]


def _spell_invite(offer: Offer) -> dict[str, Any]:
    held = {role.standard for role in offer.roles}
    role = "admin" if "owner" in held else "edit" if "writer" in held else "view"
    return {
        "id": to_hex24(offer.id),
        "orgName": offer.organization_name,
        "role": role,
        "inviteDate": spell_time(offer.created_at),
        "requiresMFA": False,
        "expired": False,
    }


# --- how much is theirs ----------------------------------------------------------------------------------------------


@get("/me/deviceCounts", operation_id="me.deviceCounts", dependencies={"places": Provide(provide_places)})
async def get_device_counts(request: AnyRequest, places: Places) -> dict[str, Any]:
    """Of all organizations together."""
    return await device_counts(request, places.asked, places.among(None))


@get("/me/payloadCounts", operation_id="me.payloadCounts", dependencies={"places": Provide(provide_places)})
async def get_payload_counts(request: AnyRequest, places: Places) -> dict[str, dict[str, int]]:
    """Of all organizations together."""
    return await payload_counts(request, places.works())


@get(
    "/me/payloadCountsBreakdown",
    operation_id="me.payloadCountsBreakdown",
    dependencies={"places": Provide(provide_places)},
)
async def get_payload_breakdown(request: AnyRequest, places: Places) -> dict[str, Any]:
    """The same by day or hour."""
    return await payload_breakdown(request, places.works())


@get("/me/notebookMinuteCounts", operation_id="me.notebookMinuteCounts")
async def get_notebook_minutes(request: AnyRequest) -> dict[str, Any]:
    """None: there are no notebooks."""
    return notebook_minutes(request)


async def _summarise(places: Places, wanted: frozenset[str]) -> dict[str, Any]:
    actors = places.among(None)
    spaces = await registry.search_spaces(places.asked, actors, page=PageQuery(limit=_MOST, include_total=True))
    whole = Amounts.of_all(await contents.count_contents(places.asked, spaces.items))
    more = {"appCount": spaces.total or 0, "orgCount": len(actors), "instanceCount": 0}
    return spell_amounts(whole, wanted) | {name: value for name, value in more.items() if name in wanted}


def _told(person: Person) -> Mapping[str, Any]:
    """What only this dialect knows of them."""
    profile: Mapping[str, Any] = person.preferences.get("losant", {}).get("profile", {})
    return profile


handlers = [
    get_me,
    change_me,
    delete_me,
    propose_factor,
    add_factor,
    remove_factor,
    list_recent,
    add_recent,
    list_invites,
    get_invite,
    answer_invite,
    get_device_counts,
    get_payload_counts,
    get_payload_breakdown,
    get_notebook_minutes,
]
