"""/v1/notifications: alerts, newest first."""

import msgspec
from litestar import get

from roadstead.core import registry, rules
from roadstead.core.rules import Alert, AlertQuery
from roadstead.core.work import Work
from roadstead.dialects.leapcraft.parameters import read_number
from roadstead.dialects.leapcraft.times import spell_time
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest

_MOST = 50
_MOST_OFFSET = 1_000_000


class NotificationShape(msgspec.Struct, frozen=True):
    """`Notification`."""

    id: int
    physical_id: str
    message: str
    created_at: str
    category: str = "technicalAlert"


@get("/v1/notifications", operation_id="notifications.list")
async def list_notifications(request: AnyRequest, work: Work) -> list[NotificationShape]:
    """Of all devices, or of one; nothing for a device that is not there."""
    limit = read_number(request, "limit", 20, least=1, most=_MOST)
    offset = read_number(request, "offset", 0, least=0, most=_MOST_OFFSET)
    device_id: DeviceId | None = None
    address = request.query_params.get("physical_id")
    if address is not None:
        try:
            device_id = (await registry.find_placed_device(work, address)).device.id
        except NotFound:
            return []
    alerts = await _select(work, AlertQuery(device_id=device_id), limit, offset)
    addresses = await registry.load_addresses(work, [alert.device_id for alert in alerts])
    return [
        NotificationShape(
            alert.ordinal,
            addresses.get(alert.device_id, str(alert.device_id)),  # an alert may outlive its device
            alert.message,
            spell_time(alert.triggered_at),
        )
        for alert in alerts
    ]


async def _select(work: Work, query: AlertQuery, limit: int, offset: int) -> list[Alert]:
    """The rooms know pages by number, this dialect any offset: it may lie on two of them."""
    number, skipped = divmod(offset, limit)
    page = await rules.list_alerts(work, query, page=PageQuery(limit=limit, page=number))
    alerts = list(page.items)
    if skipped and len(alerts) == limit:
        alerts += (await rules.list_alerts(work, query, page=PageQuery(limit=limit, page=number + 1))).items
    return alerts[skipped : skipped + limit]
