-- Blueprints: device types with attributes of their own and relations to each other; systems; names in networks.

-- A system of the Leverege dialect is a space.
ALTER TABLE space ADD COLUMN alias text, ADD COLUMN notes jsonb NOT NULL DEFAULT '{}';
CREATE UNIQUE INDEX space_alias ON space (tenant_id, alias) WHERE alias IS NOT NULL;

-- What a device type is beside its schema, under the id of the type; its sections are made from the attributes.
CREATE TABLE blueprint (
    tenant_id  integer NOT NULL,
    id         uuid NOT NULL,
    alias      text COLLATE "C" NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('DEVICE', 'GROUP')),
    notes      jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, alias),
    FOREIGN KEY (tenant_id, id) REFERENCES device_type ON DELETE CASCADE
);
CALL secure_table('blueprint');

CREATE TABLE blueprint_attribute (
    tenant_id          integer NOT NULL,
    id                 uuid NOT NULL,
    blueprint_id       uuid NOT NULL,
    path               text COLLATE "C" NOT NULL,   -- with / for depth
    name               text,
    type               text NOT NULL,
    units              text,
    relationship       text CHECK (relationship IN ('ONE_TO_ONE', 'ONE_TO_MANY', 'MANY_TO_ONE', 'MANY_TO_MANY')),
    target_id          uuid,                         -- the blueprint on the other end of a relation
    inverse_of         uuid,                         -- of a parentRelationship: the attribute it belongs to
    forward_data       boolean NOT NULL DEFAULT false,
    notes              jsonb NOT NULL DEFAULT '{}',
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, blueprint_id, path),
    FOREIGN KEY (tenant_id, blueprint_id) REFERENCES blueprint ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, target_id) REFERENCES blueprint (tenant_id, id),
    FOREIGN KEY (tenant_id, inverse_of) REFERENCES blueprint_attribute (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX blueprint_attribute_target ON blueprint_attribute (tenant_id, target_id) WHERE target_id IS NOT NULL;
CALL secure_table('blueprint_attribute');

-- That one device belongs to another in the sense of an attribute of the parent's blueprint.
CREATE TABLE device_relation (
    tenant_id     integer NOT NULL,
    attribute_id  uuid NOT NULL,
    parent_id     uuid NOT NULL,
    child_id      uuid NOT NULL,
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, attribute_id, parent_id, child_id),
    FOREIGN KEY (tenant_id, attribute_id) REFERENCES blueprint_attribute (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, parent_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, child_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX device_relation_child ON device_relation (tenant_id, child_id, attribute_id);
CREATE INDEX device_relation_order ON device_relation (tenant_id, attribute_id, parent_id, created_at, child_id);
CALL secure_table('device_relation');

CREATE TABLE network (
    tenant_id   integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id          uuid NOT NULL,
    network_id  text COLLATE "C" NOT NULL UNIQUE,    -- its name over all tenants
    name        text NOT NULL,
    alias_keys  text[] NOT NULL DEFAULT '{}',
    notes       jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CALL secure_table('network');

-- What a device is called in a network, by key; the three together name one device of the tenant.
CREATE TABLE device_network_alias (
    tenant_id   integer NOT NULL,
    network_id  text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    value       text COLLATE "C" NOT NULL,
    device_id   uuid NOT NULL,
    PRIMARY KEY (tenant_id, network_id, key, value),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX device_network_alias_device ON device_network_alias (tenant_id, device_id);
CALL secure_table('device_network_alias');

ALTER TABLE device ADD COLUMN network_id text, ADD COLUMN purpose text CHECK (purpose IN ('DEVICE', 'ORGANIZATION'));
