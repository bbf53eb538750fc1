"""What filters on devices can say about their class, their attributes, all their tags, and their connection.

`deviceClass`: as it was said, or what the device does for others; `ownClass`: only as it was said; `attributeName`: of
sensors in use; `tagValue`: of any tag; `connectionStatus`: connected, disconnected, unknown where it never was, and
then invalid for a class that does not connect by itself.
"""

from roadstead.db.filters import Column, ColumnType, Fields, Rows

DEVICE_CLASS = """(
    CASE WHEN device.device_class IS NOT NULL THEN device.device_class
    WHEN device.gateway_id IS NOT NULL THEN 'peripheral'
    WHEN EXISTS (
        SELECT FROM device below WHERE below.tenant_id = device.tenant_id AND below.gateway_id = device.id
    ) THEN 'gateway'
    ELSE 'standalone' END
)"""
CONNECTION_STATUS = f"""(
    CASE WHEN device.connected_at IS NULL AND device.disconnected_at IS NULL
        AND {DEVICE_CLASS} IN ('peripheral', 'floating', 'system') THEN 'invalid'
    WHEN device.online THEN 'connected'
    WHEN device.connected_at IS NULL AND device.disconnected_at IS NULL THEN 'unknown'
    ELSE 'disconnected' END
)"""

TRAIT_FIELDS: Fields = {
    "ownClass": Column("device.device_class"),
    "deviceClass": Column(DEVICE_CLASS),
    "attributeName": Rows(
        "sensor WHERE sensor.tenant_id = device.tenant_id AND sensor.device_id = device.id AND sensor.active",
        keys=(),
        value=Column("sensor.attribute_name"),
    ),
    "tagValue": Rows(
        "device_tag tag WHERE tag.tenant_id = device.tenant_id AND tag.device_id = device.id",
        keys=(),
        value=Column("tag.value"),
    ),
    "connectedAt": Column("device.connected_at", ColumnType.INSTANT),
    "disconnectedAt": Column("device.disconnected_at", ColumnType.INSTANT),
    "connectionStatus": Column(CONNECTION_STATUS),
    "deletedAt": Column("NULL::timestamptz", ColumnType.INSTANT),
}
