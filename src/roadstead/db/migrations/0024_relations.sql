-- What keeps relations as few as they may be, names in networks, and documents beside a device.

-- Said with the row, so that an index can hold it: whether the parent may have no other child, the child no other parent.
ALTER TABLE device_relation
    ADD COLUMN one_child boolean NOT NULL DEFAULT false,
    ADD COLUMN one_parent boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX device_relation_one_child ON device_relation (tenant_id, attribute_id, parent_id) WHERE one_child;
CREATE UNIQUE INDEX device_relation_one_parent ON device_relation (tenant_id, attribute_id, child_id) WHERE one_parent;
CREATE INDEX device_relation_parent ON device_relation (tenant_id, parent_id);

CREATE UNIQUE INDEX device_network_alias_key ON device_network_alias (tenant_id, device_id, network_id, key);

-- A tree of documents; what lies on the way to one need not be there.
CREATE TABLE device_resource (
    tenant_id   integer NOT NULL,
    device_id   uuid NOT NULL,
    path        text[] COLLATE "C" NOT NULL,
    type        text NOT NULL,
    data        jsonb NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, device_id, path),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
);
CALL secure_table('device_resource');
