"""/applications/{id}/keys: access keys, with which devices come in (contract section 14)."""

from typing import Any

import msgspec
from litestar import delete, get, patch, post
from msgspec import UNSET, UnsetType

from roadstead.core import provisioning
from roadstead.core.provisioning import (
    AccessKey,
    AccessKeyChange,
    AccessKeyDraft,
    AccessKeyStatus,
    AddressFilter,
    KeyTag,
    TopicFilter,
)
from roadstead.core.registry import Space
from roadstead.core.work import Work
from roadstead.dialects.losant.envelopes import (
    SUCCESS,
    Listing,
    collection,
    read_listing,
    read_structure,
    single,
    spell_time,
)
from roadstead.dialects.losant.queries import Fields, Id, Instant, Tags, Text, read_query
from roadstead.dialects.losant.schemas import read_body
from roadstead.kernel.actor import ActorKind
from roadstead.kernel.errors import NotFound
from roadstead.kernel.filter import EVERYTHING, Filter, Match, MatchKind, escape_wildcard
from roadstead.kernel.ids import DeviceId, KeyId, parse_hex24, to_hex24
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

_SORTS = {
    "key": "key",
    "status": "status",
    "id": "id",
    "creationDate": "createdAt",
    "lastUpdated": "updatedAt",
    "name": "name",
}
_FIELDS: Fields = {
    "id": Id("id"),
    "creationDate": Instant("createdAt"),
    "lastUpdated": Instant("updatedAt"),
    "status": Text("status"),
    "deviceIds": Id("deviceIds"),
    "deviceTags": Tags("tags", keys="tagKey", values="tagValue"),
    "key": Text("key"),
    "name": Text("name"),
    "description": Text("description"),
    "filterType": Text("topicFilter"),
    "pubTopics": Text("publishTopics"),
    "subTopics": Text("hearTopics"),
    "addressFilterType": Text("addressFilter"),
    "addresses": Text("addresses"),
}
_MAKERS = {ActorKind.USER: "user", ActorKind.API_KEY: "apiToken", ActorKind.APPLICATION: "apiToken"}


class KeyBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`applicationKeyPost`."""

    name: str | None = None
    description: str | None = None
    device_ids: list[str] = []
    device_tags: list[KeyTag] = []
    filter_type: TopicFilter = TopicFilter.ALL
    pub_topics: list[str] = []
    sub_topics: list[str] = []
    address_filter_type: AddressFilter = AddressFilter.ALL
    addresses: list[str] = []

    def draft(self) -> AccessKeyDraft:
        """As the core has it."""
        ids = [parse_hex24(each) for each in self.device_ids]
        return AccessKeyDraft(
            name=self.name,
            description=self.description,
            device_ids=[DeviceId(each) for each in dict.fromkeys(ids) if each is not None],
            device_tags=self.device_tags,
            topic_filter=self.filter_type,
            publish_topics=self.pub_topics,
            hear_topics=self.sub_topics,
            address_filter=self.address_filter_type,
            addresses=self.addresses,
        )


class KeyPatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`applicationKeyPatch`."""

    status: AccessKeyStatus | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    description: str | UnsetType = UNSET
    filter_type: TopicFilter | UnsetType = UNSET
    pub_topics: list[str] | UnsetType = UNSET
    sub_topics: list[str] | UnsetType = UNSET
    address_filter_type: AddressFilter | UnsetType = UNSET
    addresses: list[str] | UnsetType = UNSET

    def change(self) -> AccessKeyChange:
        """As the core has it."""
        return AccessKeyChange(
            status=self.status,
            name=self.name,
            description=self.description,
            topic_filter=self.filter_type,
            publish_topics=self.pub_topics,
            hear_topics=self.sub_topics,
            address_filter=self.address_filter_type,
            addresses=self.addresses,
        )


@get("/applications/{applicationId:str}/keys", operation_id="applicationKeys.get")
async def list_keys(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """A page of keys, newest first if nothing else is asked for."""
    filter_fields = ("key", "status", "name")
    listing = read_listing(request, list(_SORTS), sort="creationDate", direction="desc", filter_fields=filter_fields)
    query = read_structure(request, "query", "advancedApplicationKeyQuery")
    page = await provisioning.list_access_keys(
        work,
        application.id,
        read_query(query, _FIELDS) if query is not None else _filter(listing),
        listing.query,
        sort=_SORTS[listing.sort_field],
        descending=listing.descending,
    )
    items = [_spell(request, key) for key in page.items[: listing.per_page]]
    more = None if query is None else {"query": query}
    total = page.total or 0
    return collection(request, "applicationKeys", items, listing, total, more=more, applicationId=application.id)


@post("/applications/{applicationId:str}/keys", operation_id="applicationKeys.post", status_code=201)
async def create_key(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """Makes a key; its secret is in this answer and in no other."""
    body = read_as(await read_body(request, "applicationKeyPost"), KeyBody)
    made = await provisioning.create_access_key(work, application.id, body.draft())
    return _spell(request, made.key, secret=made.secret)


@get("/applications/{applicationId:str}/keys/{applicationKeyId:str}", operation_id="applicationKey.get")
async def get_key(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """One key."""
    return _spell(request, await provisioning.get_access_key(work, application.id, _read_id(request)))


@patch("/applications/{applicationId:str}/keys/{applicationKeyId:str}", operation_id="applicationKey.patch")
async def change_key(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """Changes what a key allows. Devices that are connected with it have to come again under other rules."""
    body = read_as(await read_body(request, "applicationKeyPatch"), KeyPatch)
    changed = await provisioning.change_access_key(work, application.id, _read_id(request), body.change())
    return _spell(request, changed)


@delete(
    "/applications/{applicationId:str}/keys/{applicationKeyId:str}",
    operation_id="applicationKey.delete",
    status_code=200,
)
async def delete_key(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """Deletes a key; devices that are connected with it are cut off."""
    await read_body(request)
    await provisioning.delete_access_key(work, application.id, _read_id(request))
    return SUCCESS


def _read_id(request: AnyRequest) -> KeyId:
    id_ = parse_hex24(request.path_params["applicationKeyId"])
    if id_ is None:
        raise NotFound("Application key")
    return KeyId(id_)


def _filter(listing: Listing) -> Filter:
    if listing.filter is None:
        return EVERYTHING
    pattern = "*".join(map(escape_wildcard, listing.filter.split("*")))
    return Match((listing.filter_field or "name",), MatchKind.WILDCARD, pattern, ignore_case=True)


def _spell(request: AnyRequest, key: AccessKey, secret: str | None = None) -> dict[str, Any]:
    fields = {
        "creationDate": spell_time(key.created_at),
        "createdById": to_hex24(key.created_by),
        "createdByType": _MAKERS.get(key.created_by_kind),
        "lastUpdated": spell_time(key.updated_at),
        "lastUpdatedById": to_hex24(key.updated_by),
        "lastUpdatedByType": _MAKERS.get(key.updated_by_kind),
        "key": key.key,
        "secret": secret,
        "status": key.status,
        "name": key.name,
        "description": key.description,
        "deviceIds": [to_hex24(each) for each in key.device_ids],
        "deviceTags": [_spell_tag(each) for each in key.device_tags],
        "filterType": key.topic_filter,
        "pubTopics": list(key.publish_topics),
        "subTopics": list(key.hear_topics),
        "addressFilterType": key.address_filter,
        "addresses": list(key.addresses),
    }
    return single(request, "applicationKey", key.id, fields, applicationId=key.space_id)


def _spell_tag(tag: KeyTag) -> dict[str, str]:
    return {name: value for name, value in (("key", tag.key), ("value", tag.value)) if value is not None}


handlers = [list_keys, create_key, get_key, change_key, delete_key]
