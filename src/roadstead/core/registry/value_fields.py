"""What filters on devices can say about what they have reported, once the tenant's values are searched.

`data` by path (names with dots between them); `childData` and `childId` by the id of a relation: of the devices that
are children in this sense; `anyText`: words of names, network aliases and reported texts; `anyWord`: the same for
patterns; `shownName`: what people call it, as they write it.
"""

from roadstead.db.filters import Column, ColumnType, Fields, Rows, Values, Words

_WORDS = """(
    SELECT tenant_id, device_id, word FROM device_word
    UNION ALL SELECT tenant_id, device_id, word FROM device_value_word
    UNION ALL SELECT tenant_id, device_id, lowered FROM device_network_alias
) found WHERE found.tenant_id = device.tenant_id AND found.device_id = device.id"""

VALUE_FIELDS: Fields = {
    "data": Values(
        "device_value value WHERE value.tenant_id = device.tenant_id AND value.device_id = device.id", row="value"
    ),
    "childData": Values(
        "device_relation link JOIN device_value value"
        " ON value.tenant_id = link.tenant_id AND value.device_id = link.child_id"
        " WHERE link.tenant_id = device.tenant_id AND link.parent_id = device.id",
        row="value",
        keys=("link.attribute_id",),
    ),
    "childId": Rows(
        "device_relation link WHERE link.tenant_id = device.tenant_id AND link.parent_id = device.id",
        keys=("link.attribute_id",),
        value=Column("link.child_id", ColumnType.ID),
    ),
    "shownName": Column("coalesce(device.title, device.name)"),
    "anyText": Words(_WORDS, "found.word"),
    "anyWord": Rows(_WORDS, keys=(), value=Column("found.word")),
}
