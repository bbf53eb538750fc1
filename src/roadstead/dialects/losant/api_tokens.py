"""/me/tokens, /applications/{id}/tokens: tokens for programs (contract section 3)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import delete, get, patch, post
from litestar.di import Provide
from msgspec import UNSET, UnsetType

from roadstead.core import identity
from roadstead.core.identity import (
    TOKEN_SORTS,
    PersonToken,
    PersonTokenChange,
    RoleIn,
    RolesDraft,
    SpaceToken,
    TokenChange,
    TokenDraft,
    TokenRole,
)
from roadstead.core.registry import Space
from roadstead.core.work import Account, Work
from roadstead.dialects.losant.edge import caller_of, provide_office
from roadstead.dialects.losant.envelopes import SUCCESS, Listing, collection, read_listing, single, spell_time
from roadstead.dialects.losant.schemas import load_contract, read_body
from roadstead.dialects.losant.scopes import ALL_OF_APPLICATION, ALL_OF_USER
from roadstead.kernel.actor import ActorKind
from roadstead.kernel.errors import Forbidden, Invalid, NotFound
from roadstead.kernel.filter import Filter, Match, MatchKind, escape_wildcard
from roadstead.kernel.ids import parse_hex24, to_hex24
from roadstead.kernel.time import parse_instant
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest, provide_account

_OWN = {"account": Provide(provide_account)}
_FILTERS = ("name", "status")
_CREATORS: Mapping[str, str] = {ActorKind.USER: "user", ActorKind.API_KEY: "apiToken"}
_NO_ORGANIZATION = "sandbox"


class RoleBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of `orgRoles`."""

    org_id: str
    role: TokenRole
    application_roles: list[Any] = []
    dashboard_roles: list[Any] = []

    def value(self) -> RoleIn:
        """Raises `Invalid` for what a token cannot be limited to here."""
        organization_id = None if self.org_id == _NO_ORGANIZATION else parse_hex24(self.org_id)
        if organization_id is None:
            raise Invalid.field("orgRoles", "every application belongs to an organization; name one by its id")
        if self.application_roles or self.dashboard_roles:
            raise Invalid.field(
                "orgRoles", "applicationRoles and dashboardRoles are not offered; make a token of an application"
            )
        return RoleIn(organization_id, self.role)


class PatchBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What can be changed."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    default_role: TokenRole | UnsetType = UNSET
    org_roles: list[RoleBody] | UnsetType = UNSET

    @property
    def enabled(self) -> bool | UnsetType:
        """Whether it is to be good."""
        return UNSET if self.status is UNSET else self.status == "active"

    @property
    def roles(self) -> list[RoleIn] | UnsetType:
        """What it is to be for where."""
        return UNSET if isinstance(self.org_roles, UnsetType) else [each.value() for each in self.org_roles]

    def check_no_roles(self) -> None:
        """Raises `Invalid` when it is limited in a way that only tokens of people can be."""
        for name, value in (("defaultRole", self.default_role), ("orgRoles", self.org_roles)):
            if value is not UNSET:
                raise Invalid.field(name, "is for tokens of people; a token of an application is limited by its scope")


class PostBody(PatchBody, frozen=True, kw_only=True):
    """A token to be made."""

    scope: list[str] = []
    expiration_date: str | None = None

    def draft(self, otherwise: str) -> TokenDraft:
        """Raises `Invalid` for an end that is no instant."""
        expires_at: datetime | None = None
        if self.expiration_date is not None:
            expires_at = parse_instant(self.expiration_date)
            if expires_at is None:
                raise Invalid.field("expirationDate", "is not a time such as 2030-01-31T00:00:00.000Z")
        return TokenDraft(
            name=self.name or "",
            description=self.description or "",
            scopes=self.scope or [otherwise],
            enabled=self.enabled is not False,
            expires_at=expires_at,
        )


# --- one's own -------------------------------------------------------------------------------------------------------


@get("/me/tokens", operation_id="userApiTokens.get", dependencies=_OWN)
async def list_user_tokens(request: AnyRequest, account: Account) -> dict[str, Any]:
    """Those that the caller has made."""
    listing = read_listing(request, sorted(TOKEN_SORTS), filter_fields=_FILTERS)
    found = await identity.list_person_tokens(
        account, _filter(listing), sort=listing.sort_field, descending=listing.descending, page=listing.query
    )
    items = [_spell_own(request, each) for each in found.items]
    owner = {"ownerId": to_hex24(account.person_id), "ownerType": "user"}
    return collection(request, "userApiTokens", items[: listing.per_page], listing, found.total or 0, more=owner)


@post("/me/tokens", operation_id="userApiTokens.post", status_code=201, dependencies=_OWN)
async def create_user_token(request: AnyRequest, account: Account) -> dict[str, Any]:
    """Makes one; only this answer has its text."""
    _check_unlimited(request)
    body = read_as(await read_body(request, "apiTokenPost"), PostBody)
    default_role = TokenRole.ADMIN if body.default_role is UNSET else body.default_role
    roles = RolesDraft(default_role=default_role, roles=[] if body.roles is UNSET else body.roles)
    token, text = await identity.create_person_token(account, body.draft(ALL_OF_USER), roles)
    return _spell_own(request, token, text)


@get("/me/tokens/{apiTokenId:str}", operation_id="userApiToken.get", dependencies=_OWN)
async def get_user_token(request: AnyRequest, account: Account) -> dict[str, Any]:
    """One of the caller's own."""
    return _spell_own(request, await identity.get_person_token(account, _id(request)))


@patch("/me/tokens/{apiTokenId:str}", operation_id="userApiToken.patch", dependencies=_OWN)
async def change_user_token(request: AnyRequest, account: Account) -> dict[str, Any]:
    """What was sent."""
    _check_unlimited(request)
    body = read_as(await read_body(request, "apiTokenPatch"), PatchBody)
    change = PersonTokenChange(
        name=body.name,
        description=body.description,
        enabled=body.enabled,
        default_role=body.default_role,
        roles=body.roles,
    )
    return _spell_own(request, await identity.change_person_token(account, _id(request), change))


@delete("/me/tokens/{apiTokenId:str}", operation_id="userApiToken.delete", status_code=200, dependencies=_OWN)
async def delete_user_token(request: AnyRequest, account: Account) -> dict[str, Any]:
    """It is no good any more."""
    await identity.delete_person_token(account, _id(request))
    return SUCCESS


# --- of an application -----------------------------------------------------------------------------------------------


@get("/applications/{applicationId:str}/tokens", operation_id="applicationApiTokens.get")
async def list_application_tokens(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """Those of an application."""
    listing = read_listing(request, sorted(TOKEN_SORTS), filter_fields=_FILTERS)
    found = await identity.list_space_tokens(
        work,
        application.id,
        _filter(listing),
        sort=listing.sort_field,
        descending=listing.descending,
        page=listing.query,
    )
    items = [_spell(request, each) for each in found.items]
    return collection(
        request,
        "applicationApiTokens",
        items[: listing.per_page],
        listing,
        found.total or 0,
        more={"ownerId": to_hex24(application.id), "ownerType": "application"},
        applicationId=application.id,
    )


@post(
    "/applications/{applicationId:str}/tokens",
    operation_id="applicationApiTokens.post",
    status_code=201,
    dependencies={"work": Provide(provide_office)},
)
async def create_application_token(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """Makes one; only this answer has its text."""
    body = read_as(await read_body(request, "apiTokenPost"), PostBody)
    body.check_no_roles()
    for scope in body.scope:
        if scope not in _scopes_of_applications():
            raise Invalid.field("scope", f"'{scope}' is no scope of an application")
    token, text = await identity.create_space_token(work, application.id, body.draft(ALL_OF_APPLICATION))
    return _spell(request, token, text)


@get("/applications/{applicationId:str}/tokens/{apiTokenId:str}", operation_id="applicationApiToken.get")
async def get_application_token(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """One of an application."""
    return _spell(request, await identity.get_space_token(work, application.id, _id(request)))


@patch("/applications/{applicationId:str}/tokens/{apiTokenId:str}", operation_id="applicationApiToken.patch")
async def change_application_token(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """What was sent."""
    body = read_as(await read_body(request, "apiTokenPatch"), PatchBody)
    body.check_no_roles()
    change = TokenChange(name=body.name, description=body.description, enabled=body.enabled)
    return _spell(request, await identity.change_space_token(work, application.id, _id(request), change))


@delete(
    "/applications/{applicationId:str}/tokens/{apiTokenId:str}",
    operation_id="applicationApiToken.delete",
    status_code=200,
)
async def delete_application_token(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """It is no good any more."""
    await identity.delete_space_token(work, application.id, _id(request))
    return SUCCESS


# --- pieces ----------------------------------------------------------------------------------------------------------


def _check_unlimited(request: AnyRequest) -> None:
    """Nobody gives more than they have: raises `Forbidden` for tokens that are for less than their person may do."""
    if caller_of(request).is_limited:
        raise Forbidden("a token with roles of its own makes no others")


def _id(request: AnyRequest) -> UUID:
    id_ = parse_hex24(request.path_params["apiTokenId"])
    if id_ is None:
        raise NotFound("API token")
    return id_


def _filter(listing: Listing) -> Filter | None:
    if listing.filter is None:
        return None
    pattern = "*".join(map(escape_wildcard, listing.filter.split("*")))
    return Match((listing.filter_field or "name",), MatchKind.WILDCARD, pattern, ignore_case=True)


def _scopes_of_applications() -> list[str]:
    """The first choice of three: of applications, of organizations and above, of people."""
    (applications, *_), *_ = (
        each.get("oneOf", []) for each in load_contract().schemas["_requestedScopes"]["items"]["oneOf"]
    )
    scopes: list[str] = applications["enum"]
    return scopes


def _spell_own(request: AnyRequest, token: PersonToken, text: str | None = None) -> dict[str, Any]:
    owner = to_hex24(token.person_id)
    fields = {
        **_common(token, text),
        "ownerId": owner,
        "ownerType": "user",
        "creatorId": owner,
        "creatorType": "user",
        "defaultRole": token.default_role,
        "orgRoles": [{"orgId": to_hex24(each.organization_id), "role": each.role} for each in token.roles],
    }
    return single(request, "apiToken", token.id, fields)


def _spell(request: AnyRequest, token: SpaceToken, text: str | None = None) -> dict[str, Any]:
    fields = {
        **_common(token, text),
        "ownerId": to_hex24(token.space_id),
        "ownerType": "application",
        "creatorId": to_hex24(token.created_by),
        "creatorType": _CREATORS.get(token.created_by_kind, "user"),
        "creatorName": token.created_by_name,
    }
    return single(request, "apiToken", token.id, fields, applicationId=token.space_id)


def _common(token: PersonToken | SpaceToken, text: str | None) -> dict[str, Any]:
    return {
        "name": token.name,
        "description": token.description or None,
        "creationDate": spell_time(token.created_at),
        "lastUpdated": spell_time(token.updated_at),
        "expirationDate": None if token.expires_at is None else spell_time(token.expires_at),
        "scope": token.scopes,
        "status": "active" if token.enabled else "inactive",
        "token": text,
    }


handlers = [
    list_user_tokens,
    create_user_token,
    get_user_token,
    change_user_token,
    delete_user_token,
    list_application_tokens,
    create_application_token,
    get_application_token,
    change_application_token,
    delete_application_token,
]
