"""Which devices something is for: contract schema `TargetSelector`."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from roadstead.core import registry
from roadstead.core.work import Work
from roadstead.dialects.native.device_filters import DeviceFilter
from roadstead.dialects.native.shapes import Body, read_reference
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.filter import Filter, In, equals
from roadstead.kernel.ids import DeviceId, GroupId


class TargetBody(Body, kw_only=True):
    """Contract schema `TargetSelector`: exactly one of these."""

    device_ids: Annotated[list[str], Meta(max_length=1_000)] | None = None
    device_group_id: str | None = None
    site_id: str | None = None
    device_profile: str | None = None
    filter: DeviceFilter | None = None

    async def read(self, work: Work, pointer: str) -> Sequence[DeviceId] | Filter:
        """In words of the core; raises `Invalid` below `pointer` for a group or a site that is not there."""
        given = [name for name in self.__struct_fields__ if getattr(self, name) is not None]
        if len(given) != 1:
            names = "deviceIds, deviceGroupId, siteId, deviceProfile, filter"
            raise Invalid.field(pointer, f"needs exactly one of {names}")
        if self.device_ids is not None:
            return [
                DeviceId(read_reference(text, f"{pointer}/deviceIds/{index}"))
                for index, text in enumerate(self.device_ids)
            ]
        if self.device_group_id is not None:
            return await _read_group(work, self.device_group_id, f"{pointer}/deviceGroupId")
        if self.site_id is not None:
            return await _read_site(work, self.site_id, f"{pointer}/siteId")
        if self.device_profile is not None:
            return equals("deviceProfile", self.device_profile)
        assert self.filter is not None
        return self.filter.read()


async def _read_group(work: Work, text: str, pointer: str) -> Filter:
    group_id = GroupId(read_reference(text, pointer))
    try:
        await registry.load_group(work, group_id)
    except NotFound as error:
        raise Invalid.field(pointer, "there is no such group") from error
    return equals("groupId", group_id)


async def _read_site(work: Work, text: str, pointer: str) -> Filter:
    below = await registry.sites_below(work, [read_reference(text, pointer)])
    if not below:
        raise Invalid.field(pointer, "there is no such site")
    return In(("siteId",), tuple(below))
