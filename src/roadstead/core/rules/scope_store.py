"""The SQL of scopes: devices and sensors as rules see them, and which devices a scope may hold."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from roadstead.core import registry
from roadstead.core.messages import ValueType
from roadstead.core.rules.rule_model import RuleScope
from roadstead.core.rules.scopes import DeviceView, SensorView
from roadstead.core.types import ProfileReference
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel.filter import In
from roadstead.kernel.ids import DeviceId, GroupId, SensorId

CHUNK = 500
_MOST_MEMBERS = 1_000_000


async def select_devices(work: Work, device_ids: Sequence[DeviceId], groups: Sequence[GroupId]) -> list[DeviceView]:
    """What there is of these devices; `groups`: those whose members matter."""
    found: list[DeviceView] = []
    for start in range(0, len(device_ids), CHUNK):
        found += await _select_chunk(work, device_ids[start : start + CHUNK], groups)
    return found


async def _select_chunk(work: Work, device_ids: Sequence[DeviceId], groups: Sequence[GroupId]) -> list[DeviceView]:
    wanted, tx = list(device_ids), work.tx
    members: defaultdict[DeviceId, set[GroupId]] = defaultdict(set)
    for group, its_members in (await registry.find_memberships(work, groups, wanted)).items():
        for device_id in its_members:
            members[device_id].add(group)
    sensors: defaultdict[UUID, list[SensorView]] = defaultdict(list)
    sql = """
        SELECT s.device_id, s.id, s.path, s.key, s.value_type, s.component_id, c.key, s.field,
               p.key || '@' || p.major || '.' || p.minor
        FROM sensor s
        LEFT JOIN component c ON c.tenant_id = s.tenant_id AND c.id = s.component_id
        LEFT JOIN sensor_profile p ON p.tenant_id = c.tenant_id AND p.id = c.sensor_profile_id
        WHERE s.tenant_id = %s AND s.device_id = ANY(%s) AND s.active ORDER BY s.path
    """
    for device_id, id_, path, key, value_type, component_id, component, field, profile in await tx.rows(
        sql, tx.tenant, wanted
    ):
        sensors[device_id].append(
            SensorView(SensorId(id_), path, key, ValueType(value_type), component_id, component, field, profile)
        )
    sql = """
        SELECT d.id, d.status, t.lineage FROM device d
        LEFT JOIN site t ON t.tenant_id = d.tenant_id AND t.id = d.site_id
        WHERE d.tenant_id = %s AND d.id = ANY(%s)
    """
    return [
        DeviceView(
            DeviceId(id_),
            status,
            frozenset(lineage or ()),
            frozenset(members.get(id_, ())),
            tuple(sensors[id_]),
        )
        for id_, status, lineage in await tx.rows(sql, tx.tenant, wanted)
    ]


async def select_named(tx: Tx, part_ids: Sequence[UUID]) -> dict[UUID, DeviceId]:
    """The devices of those of these sensors and components that exist."""
    sql = """
        SELECT id, device_id FROM sensor WHERE tenant_id = %s AND id = ANY(%s)
        UNION ALL SELECT id, device_id FROM component WHERE tenant_id = %s AND id = ANY(%s)
    """
    parts = list(part_ids)
    return dict(await tx.rows(sql, tx.tenant, parts, tx.tenant, parts))


async def select_sensors(tx: Tx, sensor_ids: Sequence[SensorId]) -> dict[SensorId, tuple[DeviceId, SensorView]]:
    """Those of these sensors that exist, each with its device."""
    sql = """
        SELECT s.device_id, s.id, s.path, s.key, s.value_type, s.component_id, c.key, s.field, NULL
        FROM sensor s LEFT JOIN component c ON c.tenant_id = s.tenant_id AND c.id = s.component_id
        WHERE s.tenant_id = %s AND s.id = ANY(%s)
    """
    found: dict[SensorId, tuple[DeviceId, SensorView]] = {}
    for device_id, id_, path, key, value_type, *rest in await tx.rows(sql, tx.tenant, list(sensor_ids)):
        found[id_] = DeviceId(device_id), SensorView(SensorId(id_), path, key, ValueType(value_type), *rest)
    return found


async def select_known(tx: Tx, device_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these devices that exist."""
    sql = "SELECT id FROM device WHERE tenant_id = %s AND id = ANY(%s)"
    return {row[0] for row in await tx.rows(sql, tx.tenant, list(device_ids))}


async def select_in_scope(
    work: Work, scope: RuleScope, types: frozenset[ValueType], *, after: DeviceId | None = None, most: int
) -> list[DeviceId]:
    """Devices, in order of their ids, with a sensor that a rule with this scope and these types looks at."""
    tx = work.tx
    where = ["s.tenant_id = %s", "s.active", "s.value_type = ANY(%s)", "s.device_id > %s"]
    params: list[object] = [tx.tenant, sorted(types), after or UUID(int=0)]
    if scope.sensor_ids:
        where.append("s.id = ANY(%s)")
        params.append(scope.sensor_ids)
    if scope.component_ids:
        where.append("s.component_id = ANY(%s)")
        params.append(scope.component_ids)
    if scope.device_ids:
        where.append("s.device_id = ANY(%s)")
        params.append(scope.device_ids)
    if scope.field is not None:
        where.append("coalesce(s.field, s.key) = %s")
        params.append(scope.field)
    if scope.site_id is not None:
        where.append(
            "s.device_id IN (SELECT d.id FROM device d JOIN site t ON t.tenant_id = d.tenant_id AND t.id = d.site_id"
            " WHERE d.tenant_id = %s AND %s = ANY(t.lineage))"
        )
        params += [tx.tenant, scope.site_id]
    if scope.device_group_id is not None:
        where.append("s.device_id = ANY(%s)")
        members = In(("groupId",), (scope.device_group_id,))
        params.append(await registry.load_device_ids(work, members, limit=_MOST_MEMBERS))
    if scope.sensor_profile is not None:
        reference = ProfileReference.parse(scope.sensor_profile)
        version = reference.version if reference else None
        where.append(
            "s.component_id IN (SELECT c.id FROM component c"
            " JOIN sensor_profile p ON p.tenant_id = c.tenant_id AND p.id = c.sensor_profile_id"
            " WHERE c.tenant_id = %s AND p.key = %s AND (%s::int IS NULL OR (p.major, p.minor) = (%s, %s)))"
        )
        key = reference.key if reference else scope.sensor_profile
        numbers = (version.major, version.minor) if version else (None, None)
        params += [tx.tenant, key, numbers[0], *numbers]
    sql = f"SELECT DISTINCT s.device_id FROM sensor s WHERE {' AND '.join(where)} ORDER BY 1 LIMIT %s"
    return [DeviceId(row[0]) for row in await tx.rows(sql, *params, most)]
