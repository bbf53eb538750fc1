"""The SQL of what alerts speak of."""

from collections.abc import Sequence

import msgspec

from roadstead.db import Tx
from roadstead.kernel.ids import ComponentId, DeviceId, SensorId, SiteId


class Subject(msgspec.Struct, frozen=True):
    """A sensor with its surroundings, as they are at present."""

    sensor_id: SensorId
    sensor_name: str
    unit: str | None
    component_id: ComponentId | None
    device_id: DeviceId
    device_name: str
    site_id: SiteId | None
    site_name: str | None


async def select_subjects(tx: Tx, sensor_ids: Sequence[SensorId]) -> dict[SensorId, Subject]:
    """Those of the sensors that exist."""
    sql = """
        SELECT s.id AS sensor_id, s.name AS sensor_name, s.unit, s.component_id, d.id AS device_id,
               d.name AS device_name, d.site_id, t.name AS site_name
        FROM sensor s JOIN device d ON d.tenant_id = s.tenant_id AND d.id = s.device_id
        LEFT JOIN site t ON t.tenant_id = d.tenant_id AND t.id = d.site_id
        WHERE s.tenant_id = %s AND s.id = ANY(%s)
    """
    subjects = await tx.all(Subject, sql, tx.tenant, list(sensor_ids))
    return {subject.sensor_id: subject for subject in subjects}
