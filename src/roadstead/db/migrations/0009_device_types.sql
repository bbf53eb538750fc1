-- Device types whose values are told by JSON Schema, what their devices have beside others, and the keys of a realm.

CREATE TABLE device_type (
    tenant_id               integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id                      uuid NOT NULL,
    name                    text NOT NULL,
    manufacturer            text,
    model                   text,
    description             text,
    categories              text[] NOT NULL DEFAULT '{}',
    sections                jsonb NOT NULL,              -- attributes, configuration, events, actions: JSON Schema by name
    reporting_rules         jsonb NOT NULL DEFAULT '[]',
    slots                   jsonb NOT NULL DEFAULT '{}', -- of firmware, by name
    communication_interval  integer CHECK (communication_interval BETWEEN 0 AND 172800), -- seconds
    created_at              timestamptz NOT NULL,
    updated_at              timestamptz NOT NULL,
    version                 integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX device_type_name ON device_type (tenant_id, name, id);
CREATE INDEX device_type_created ON device_type (tenant_id, created_at, id);
CALL secure_table('device_type');

ALTER TABLE device
    ADD COLUMN type_id uuid,
    ADD COLUMN gateway_id uuid,                -- the device that speaks for it
    ADD COLUMN communication_interval integer CHECK (communication_interval BETWEEN 0 AND 172800), -- null: that of its type
    ADD FOREIGN KEY (tenant_id, type_id) REFERENCES device_type (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, gateway_id) REFERENCES device (tenant_id, id);
CREATE INDEX device_type_of ON device (tenant_id, type_id, id) WHERE type_id IS NOT NULL;
CREATE INDEX device_gateway ON device (tenant_id, gateway_id, id) WHERE gateway_id IS NOT NULL;

-- Other names of a device, each of them its alone within the tenant.
CREATE TABLE device_alias (
    tenant_id  integer NOT NULL,
    alias      text COLLATE "C" NOT NULL,
    device_id  uuid NOT NULL,
    position   integer NOT NULL,   -- in the order they were given
    PRIMARY KEY (tenant_id, alias),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX device_alias_device ON device_alias (tenant_id, device_id, position);
CALL secure_table('device_alias');

-- What the tokens of the realm are signed with (RS256).
CREATE TABLE realm_key (
    id           text PRIMARY KEY,
    public_jwk   jsonb NOT NULL,
    private_jwk  bytea NOT NULL,    -- sealed
    created_at   timestamptz NOT NULL,
    retired_at   timestamptz        -- still verifies until the last token it signed has expired
);
GRANT SELECT, INSERT, UPDATE, DELETE ON realm_key TO roadstead_system;
