-- What people call devices, and their kind: what lists of devices are narrowed down by.

ALTER TABLE device
    ADD COLUMN title text,    -- what people call it where that cannot be its name: too long, or another's
    ADD COLUMN called text COLLATE "C" NOT NULL GENERATED ALWAYS AS (lower(coalesce(title, name))) STORED,
    -- Its type, else the version of its profile, else zeros.
    ADD COLUMN kind_id uuid NOT NULL
        GENERATED ALWAYS AS (coalesce(type_id, profile_id, '00000000-0000-0000-0000-000000000000')) STORED;
CREATE INDEX device_called ON device (tenant_id, called, created_at, id);
CREATE INDEX device_kind ON device (tenant_id, kind_id, created_at, id);
DROP INDEX device_gateway;
CREATE INDEX device_gateway ON device (tenant_id, gateway_id, created_at, id);
