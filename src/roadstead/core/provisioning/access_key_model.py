"""What access keys are: which devices may come in with them, from where, and what these may say to each other."""

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.provisioning.model import DeviceIdentity
from roadstead.core.work import Change
from roadstead.kernel.actor import ActorKind
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId, KeyId, SpaceId
from roadstead.kernel.topics import covers, find_fault, overlap

MOST_DEVICES = 1_000
MOST_TAGS = 100
MOST_TOPICS = 100
MOST_ADDRESSES = 100


class AccessKeyStatus(StrEnum):
    """Whether devices may come in with it now."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class TopicFilter(StrEnum):
    """Which free topics a device may use that came with the key."""

    ALL = "all"
    NONE = "none"
    WHITELIST = "whitelist"
    """Those that are listed."""
    BLACKLIST = "blacklist"
    """All but those that are listed."""


class AddressFilter(StrEnum):
    """From which addresses devices may come."""

    ALL = "all"
    WHITELIST = "whitelist"
    BLACKLIST = "blacklist"


class KeyTag(msgspec.Struct, frozen=True):
    """Devices with a tag of this key, this value, or both."""

    key: str | None = None
    value: str | None = None

    def fits(self, key: str, value: str) -> bool:
        """Whether a tag is such a one."""
        return self.key in (None, key) and self.value in (None, value)


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is, without its secret."""

    id: KeyId
    space_id: SpaceId
    key: str
    status: AccessKeyStatus = AccessKeyStatus.ACTIVE
    name: str | None = None
    description: str | None = None
    device_ids: Sequence[DeviceId] = ()
    device_tags: Sequence[KeyTag] = ()
    topic_filter: TopicFilter = TopicFilter.ALL
    publish_topics: Sequence[str] = ()
    hear_topics: Sequence[str] = ()
    address_filter: AddressFilter = AddressFilter.ALL
    addresses: Sequence[str] = ()
    created_by: UUID
    created_by_kind: ActorKind
    created_at: datetime
    updated_by: UUID
    updated_by_kind: ActorKind
    updated_at: datetime

    @property
    def is_restricted(self) -> bool:
        """Whether it is for some devices of its space only."""
        return bool(self.device_ids or self.device_tags)

    def admits(self, device_id: DeviceId, tags: Iterable[tuple[str, str]]) -> bool:
        """Whether a device of its space with these tags may use it."""
        if not self.is_restricted or device_id in self.device_ids:
            return True
        return any(wanted.fits(key, value) for key, value in tags for wanted in self.device_tags)

    def admits_from(self, address: str) -> bool:
        """Whether devices may come from an address; one that cannot be told is on no list."""
        if self.address_filter is AddressFilter.ALL:
            return True
        return _is_listed(address, self.addresses) is (self.address_filter is AddressFilter.WHITELIST)

    def may_publish(self, topic: str) -> bool:
        """Whether its devices may say something on a free topic."""
        return self._allows(topic, self.publish_topics)

    def may_hear(self, filter_: str) -> bool:
        """Whether its devices may hear all free topics that a filter is about."""
        return self._allows(filter_, self.hear_topics)

    def _allows(self, filter_: str, listed: Sequence[str]) -> bool:
        match self.topic_filter:
            case TopicFilter.ALL:
                return True
            case TopicFilter.NONE:
                return False
            case TopicFilter.WHITELIST:
                return any(covers(each, filter_) for each in listed)
            case TopicFilter.BLACKLIST:
                return not any(overlap(each, filter_) for each in listed)


class AccessKeyDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be made."""

    name: str | None = None
    description: str | None = None
    device_ids: Sequence[DeviceId] = ()
    device_tags: Sequence[KeyTag] = ()
    topic_filter: TopicFilter = TopicFilter.ALL
    publish_topics: Sequence[str] = ()
    hear_topics: Sequence[str] = ()
    address_filter: AddressFilter = AddressFilter.ALL
    addresses: Sequence[str] = ()


class AccessKeyChange(Change, frozen=True, kw_only=True):
    """What shall be different about a key. Which devices may use it stays as it was made."""

    status: AccessKeyStatus | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    topic_filter: TopicFilter | UnsetType = UNSET
    publish_topics: Sequence[str] | UnsetType = UNSET
    hear_topics: Sequence[str] | UnsetType = UNSET
    address_filter: AddressFilter | UnsetType = UNSET
    addresses: Sequence[str] | UnsetType = UNSET


class NewAccessKey(msgspec.Struct, frozen=True):
    """A key at the only moment when its secret is known."""

    key: AccessKey
    secret: str


class Admitted(msgspec.Struct, frozen=True):
    """A device that has come in with an access key, and what the key says about it."""

    device: DeviceIdentity
    key: AccessKey


def check_key(key: AccessKey) -> None:
    """Raises `Invalid` for lists that are too long, topics that are no filters, and addresses that are none."""
    _check_length("/deviceIds", key.device_ids, MOST_DEVICES)
    _check_length("/deviceTags", key.device_tags, MOST_TAGS)
    for name, topics in (("/pubTopics", key.publish_topics), ("/subTopics", key.hear_topics)):
        _check_length(name, topics, MOST_TOPICS)
        for index, topic in enumerate(topics):
            fault = find_fault(topic)
            if fault:
                raise Invalid.field(f"{name}/{index}", fault)
    _check_length("/addresses", key.addresses, MOST_ADDRESSES)
    for index, address in enumerate(key.addresses):
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError as error:
            detail = "is not an address or a network such as 10.1.0.0/16"
            raise Invalid.field(f"/addresses/{index}", detail) from error


def _check_length(pointer: str, items: Sequence[object], most: int) -> None:
    if len(items) > most:
        raise Invalid.field(pointer, f"has at most {most} entries")


def _is_listed(address: str, networks: Sequence[str]) -> bool:
    try:
        place = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(place, ipaddress.IPv6Address) and place.ipv4_mapped is not None:
        place = place.ipv4_mapped
    return any(place in ipaddress.ip_network(network, strict=False) for network in networks)
