"""What can be done with live streams."""

from roadstead.core import registry
from roadstead.core.operation import check_grant, operation
from roadstead.core.streams import store
from roadstead.core.streams.model import GRANTS, ReportWish, StreamFilter, StreamWish, Topic
from roadstead.core.types import Section, split_path
from roadstead.core.work import Work
from roadstead.kernel import ids
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.filter import check_size

_MOST_CONDITIONS = 200
"""Of a scope: it is asked about again and again, and all listeners wait for the answer."""


@operation(Grant.READINGS_READ)
async def open_filter(work: Work, wish: StreamWish) -> StreamFilter:
    """What a listener wants, looked up: whoever has it may listen to it in this organization.

    Raises `NotFound` for a device, sensor or site that does not exist, because nothing would ever be heard of it, and
    `Forbidden` when a topic needs a right that is missing.
    """
    tx, tenant = work.tx, work.tenant_id
    for topic in sorted(wish.topics):
        check_grant(work.actor, GRANTS[topic])
    if wish.sensor_ids and not wish.topics & {Topic.READING, Topic.ALERT}:
        detail = "narrows the topics 'reading' and 'alert', which are not asked for"
        raise Invalid.field("sensorId", detail, place="query")
    devices = set(wish.device_ids)
    for missing in devices - await store.select_devices(tx, tenant, wish.device_ids):
        raise NotFound("device", missing)
    homes = await store.select_devices_of(tx, tenant, wish.sensor_ids)
    for sensor_id in wish.sensor_ids:
        if sensor_id not in homes:
            raise NotFound("sensor", sensor_id)
    if wish.site_id is not None and not await store.has_site(tx, tenant, wish.site_id):
        raise NotFound("site", wish.site_id)
    if homes:
        devices = devices & set(homes.values()) if devices else set(homes.values())
    return StreamFilter(
        topics=wish.topics,
        devices=frozenset(map(ids.to_bytes, devices)) if wish.device_ids or wish.sensor_ids else None,
        sensors=frozenset(wish.sensor_ids) or None,
        site_id=wish.site_id,
    )


@operation(Grant.READINGS_READ)
async def open_reports(work: Work, wish: ReportWish) -> StreamFilter:
    """The same for a listener who wants reports. Devices that do not exist are just not heard.

    Raises `Invalid` for a scope that nothing can be asked with, or that is too large.
    """
    for topic in sorted(wish.topics):
        check_grant(work.actor, GRANTS[topic])
    if wish.scope is not None:
        check_size(wish.scope, nodes=_MOST_CONDITIONS)
        await registry.pick_devices(work, wish.scope, [])
    devices = map(ids.to_bytes, filter(ids.is_ours, wish.device_ids))
    paths = [(Section.ATTRIBUTES, path) for path in wish.attributes]
    paths += [(Section.CONFIGURATION, path) for path in wish.configuration]
    return StreamFilter(
        topics=wish.topics,
        devices=frozenset(devices) if wish.device_ids else None,
        scope=wish.scope,
        paths=frozenset((section, split_path(path)[1]) for section, path in paths),
        event_types=frozenset(wish.event_types) or None,
    )
