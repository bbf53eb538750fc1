"""The SQL of what devices are checked against. Asks for devices of all tenants at once: for the system duty only."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID
from weakref import WeakValueDictionary

import msgspec

from roadstead.core.telemetry.rules import (
    Component,
    Described,
    KnownType,
    NewSensor,
    Rule,
    TextForm,
    template_rule,
)
from roadstead.core.tenancy import OrganizationSettings, UnknownSensorPolicy
from roadstead.core.types import ProfileField, SensorProfile, SensorTemplate, TypeSchema, ValueType
from roadstead.db import Tx
from roadstead.kernel import ids
from roadstead.kernel.ids import ComponentId, TenantId

_CHUNK = 500
_schemas: WeakValueDictionary[tuple[UUID, int], TypeSchema] = WeakValueDictionary()
"""Compiled device types by id and version, as long as somebody holds them."""
_Pairs = tuple[list[TenantId], list[UUID]]
_Profiled = tuple[SensorProfile, dict[str, SensorTemplate], dict[str, str]]


async def select_described(tx: Tx, devices: Mapping[bytes, TenantId]) -> dict[bytes, Described]:
    """What there is of these devices, each of the tenant it is said to belong to."""
    found: dict[bytes, Described] = {}
    wanted = [(tenant, ids.from_bytes(device)) for device, tenant in devices.items()]
    for start in range(0, len(wanted), _CHUNK):
        found.update(await _select_chunk(tx, wanted[start : start + _CHUNK]))
    return found


async def _select_chunk(tx: Tx, wanted: Sequence[tuple[TenantId, UUID]]) -> dict[bytes, Described]:
    pairs: _Pairs = [tenant for tenant, _ in wanted], [device for _, device in wanted]
    known = await tx.rows(
        """
        SELECT d.id, d.tenant_id, t.settings, d.type_id, d.gateway_id, t.public_id,
               ARRAY(SELECT a.alias FROM device_alias a WHERE a.tenant_id = d.tenant_id AND a.device_id = d.id)
        FROM unnest(%s::integer[], %s::uuid[]) AS w (tenant_id, id)
        JOIN device d USING (tenant_id, id) JOIN tenant t USING (tenant_id)
        """,
        *pairs,
    )
    parents: defaultdict[UUID, list[bytes]] = defaultdict(list)
    for device, parent in await tx.rows(
        """
        SELECT DISTINCT r.child_id, r.parent_id
        FROM unnest(%s::integer[], %s::uuid[]) AS w (tenant_id, child_id)
        JOIN device_relation r USING (tenant_id, child_id)
        JOIN blueprint_attribute a ON a.tenant_id = r.tenant_id AND a.id = r.attribute_id AND a.forward_data
        """,
        *pairs,
    ):
        parents[device].append(ids.to_bytes(parent))
    known_types = await _select_types(tx, {type_id for _, _, _, type_id, *_ in known if type_id is not None})
    organizations = {public_id: public_id for *_, public_id, _ in known}  # one object for all their devices
    profiles = await _select_profiles(tx, pairs)
    components: defaultdict[UUID, dict[UUID, Component]] = defaultdict(dict)
    for device, id_, key, profile_id in await tx.rows(
        """
        SELECT c.device_id, c.id, c.key, c.sensor_profile_id
        FROM unnest(%s::integer[], %s::uuid[]) AS w (tenant_id, device_id) JOIN component c USING (tenant_id, device_id)
        """,
        *pairs,
    ):
        profile, sensors, slots = profiles[profile_id]
        components[device][id_] = Component(ComponentId(id_), key, profile, sensors, slots)
    rules: defaultdict[UUID, list[Rule]] = defaultdict(list)
    sensor_ids: defaultdict[UUID, bytearray] = defaultdict(bytearray)
    shared: dict[tuple[object, ...], Rule] = {}
    for device, id_, path, key, value_type, low, high, component_id, active, name, form, computed in await tx.rows(
        """
        SELECT s.device_id, s.id, s.path, s.key, s.value_type, s.min, s.max, s.component_id, s.active, s.attribute_name,
               CASE WHEN s.value_type = 'TEXT' AND a.data_type IN ('gps', 'blob') THEN a.data_type END,
               a.system IS NOT NULL
        FROM unnest(%s::integer[], %s::uuid[]) AS w (tenant_id, device_id) JOIN sensor s USING (tenant_id, device_id)
        LEFT JOIN sensor_attribute a ON a.tenant_id = s.tenant_id AND a.sensor_id = s.id
        ORDER BY s.path
        """,
        *pairs,
    ):
        component = components[device].get(component_id)
        profile_id = component.profile.id if component else None
        alike = (path, value_type, low, high, active, profile_id, name, form, computed)
        rule = shared.get(alike)
        if rule is None:
            own = _rule(path, ValueType(value_type), low, high, active, component, key)
            rule = shared[alike] = msgspec.structs.replace(
                own, form=TextForm(form) if form else None, name=name, computed=computed
            )
        rules[device].append(rule)
        sensor_ids[device] += id_.bytes
    return {
        ids.to_bytes(id_): Described(
            TenantId(tenant),
            _creates(settings),
            tuple(rules[id_]),
            bytes(sensor_ids[id_]),
            tuple(components[id_].values()),
            {},
            type=known_types.get(type_id),
            aliases=tuple(aliases),
            gateway=ids.to_bytes(gateway) if gateway else b"",
            parents=tuple(parents[id_]),
            organization=organizations[public_id],
        )
        for id_, tenant, settings, type_id, gateway, public_id, aliases in known
    }


async def select_aliases(tx: Tx, wanted: Sequence[tuple[TenantId, str]]) -> dict[tuple[TenantId, str], UUID]:
    """The devices that have these aliases."""
    rows = await tx.rows(
        """
        SELECT a.tenant_id, a.alias, a.device_id
        FROM unnest(%s::integer[], %s::text[]) AS w (tenant_id, alias) JOIN device_alias a USING (tenant_id, alias)
        """,
        [tenant for tenant, _ in wanted],
        [alias for _, alias in wanted],
    )
    return {(TenantId(tenant), alias): device for tenant, alias, device in rows}


async def insert_sensors(
    tx: Tx, wanted: Sequence[tuple[TenantId, bytes, NewSensor, Rule]], at: datetime
) -> set[tuple[TenantId, bytes]]:
    """Insert those that are not there; says which devices got some. A device that is gone by now gets none."""
    rows = [
        (
            tenant,
            ids.new_id(),
            ids.from_bytes(device),
            sensor.component.id if sensor.component else None,
            sensor.key,
            sensor.path,
            sensor.template.name if sensor.template else sensor.key,
            rule.field.value_type.value,
            sensor.template.unit if sensor.template else None,
            sensor.template.field if sensor.template else None,
            sensor.template.min if sensor.template else None,
            sensor.template.max if sensor.template else None,
        )
        for tenant, device, sensor, rule in wanted
    ]
    created = await tx.rows(
        """
        INSERT INTO sensor (tenant_id, id, device_id, component_id, key, path, name, value_type, unit, field, min, max,
                            created_at, updated_at)
        SELECT n.tenant_id, n.id, n.device_id, n.component_id, n.key, n.path, n.name, n.value_type, n.unit, n.field,
               n.min, n.max, %s, %s
        FROM unnest(%s::integer[], %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[],
                    %s::text[], %s::text[], %s::float8[], %s::float8[])
             AS n (tenant_id, id, device_id, component_id, key, path, name, value_type, unit, field, min, max)
        JOIN device d ON d.tenant_id = n.tenant_id AND d.id = n.device_id
        LEFT JOIN component c ON c.tenant_id = n.tenant_id AND c.id = n.component_id
        WHERE n.component_id IS NULL OR c.id IS NOT NULL
        ON CONFLICT (tenant_id, device_id, path) DO NOTHING
        RETURNING tenant_id, device_id
        """,
        at,
        at,
        *(list(column) for column in zip(*rows, strict=True)),
    )
    return {(TenantId(tenant), ids.to_bytes(device)) for tenant, device in created}


def _creates(settings: object) -> bool:
    return msgspec.convert(settings, OrganizationSettings).unknown_sensor_policy is UnknownSensorPolicy.AUTO_CREATE


async def _select_types(tx: Tx, type_ids: Collection[UUID]) -> dict[UUID, KnownType]:
    """Device types by id. Of one version of a type there is one, however many devices have it."""
    if not type_ids:
        return {}
    found = {}
    sql = "SELECT id, version, sections FROM device_type WHERE id = ANY (%s)"
    for id_, version, sections in await tx.rows(sql, list(type_ids)):
        schema = _schemas.get((id_, version))
        if schema is None:
            schema = _schemas[id_, version] = TypeSchema(sections)
        found[id_] = KnownType(id_, schema)
    return found


async def _select_profiles(tx: Tx, pairs: _Pairs) -> dict[UUID, _Profiled]:
    """The profiles of the components of these devices, with the sensors each of them gives and its slots."""
    profiles = await tx.all(
        SensorProfile,
        """
        SELECT p.id, p.key, p.major, p.minor, p.name, p.description, p.fields, p.config_schema, p.pack_id, p.deprecated,
               p.created_at
        FROM sensor_profile p
        WHERE (p.tenant_id, p.id) IN (
            SELECT c.tenant_id, c.sensor_profile_id
            FROM unnest(%s::integer[], %s::uuid[]) AS w (tenant_id, device_id)
            JOIN component c USING (tenant_id, device_id)
        )
        """,
        *pairs,
    )
    return {
        profile.id: (profile, {sensor.key: sensor for sensor in profile.sensors()}, profile.slots())
        for profile in profiles
    }


def _rule(
    path: str,
    value_type: ValueType,
    low: float | None,
    high: float | None,
    active: bool,
    component: Component | None,
    key: str,
) -> Rule:
    """What the sensor says for itself, and what its component's profile says where it says nothing."""
    template = component.sensors.get(key) if component else None
    field = ProfileField(name=key, value_type=value_type, min=low, max=high)
    if component is not None and template is not None and template.value_type is value_type:
        profiled = template_rule(component, template).field
        field = msgspec.structs.replace(
            profiled, min=profiled.min if low is None else low, max=profiled.max if high is None else high
        )
    return Rule.of(path, field, active=active)
