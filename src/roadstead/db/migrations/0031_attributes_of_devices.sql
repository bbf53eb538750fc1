-- Devices as programs of the Losant dialect keep them: classes, tags with several values, attributes, and what was deleted
-- and may come back.

ALTER TABLE device
    ADD COLUMN device_class text CHECK (device_class IN
        ('standalone', 'gateway', 'peripheral', 'floating', 'edgeCompute', 'system', 'embedded')),
    -- How often a system looks at the devices below it; null: as often as such do.
    ADD COLUMN system_interval integer,
    ADD COLUMN repeated_tags jsonb NOT NULL DEFAULT '{}',    -- {key: [further values]} of keys that are in tags
    ADD COLUMN connected_at timestamptz,
    ADD COLUMN disconnected_at timestamptz;
CREATE INDEX device_space_called ON device (tenant_id, space_id, called, id);

-- A device is found by all values of its tags.
CREATE OR REPLACE FUNCTION index_new_devices() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    INSERT INTO device_tag (tenant_id, key, value, device_id)
    SELECT d.tenant_id, t.key, t.value, d.id FROM added d, jsonb_each_text(d.tags) t;
    INSERT INTO device_tag (tenant_id, key, value, device_id)
    SELECT d.tenant_id, t.key, v.value, d.id
    FROM added d, jsonb_each(d.repeated_tags) AS t (key, list), jsonb_array_elements_text(t.list) AS v (value)
    WHERE d.repeated_tags <> '{}' ON CONFLICT DO NOTHING;
    INSERT INTO device_word (tenant_id, word, device_id)
    SELECT d.tenant_id, w, d.id FROM added d, word_starts(ARRAY[d.name, d.external_id, d.serial_number]) w;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION index_device_tags() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    DELETE FROM device_tag WHERE tenant_id = NEW.tenant_id AND device_id = NEW.id;
    INSERT INTO device_tag (tenant_id, key, value, device_id)
    SELECT NEW.tenant_id, key, value, NEW.id FROM jsonb_each_text(NEW.tags);
    INSERT INTO device_tag (tenant_id, key, value, device_id)
    SELECT NEW.tenant_id, t.key, v.value, NEW.id
    FROM jsonb_each(NEW.repeated_tags) AS t (key, list), jsonb_array_elements_text(t.list) AS v (value)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

DROP TRIGGER index_tags ON device;
CREATE TRIGGER index_tags AFTER UPDATE OF tags, repeated_tags ON device
    FOR EACH ROW WHEN (ROW(OLD.tags, OLD.repeated_tags) IS DISTINCT FROM ROW(NEW.tags, NEW.repeated_tags))
    EXECUTE FUNCTION index_device_tags();

-- What a sensor is called as an attribute: its path, spelled with what such names are made of, or what it was renamed to.
ALTER TABLE sensor
    ADD COLUMN renamed text,
    ADD COLUMN attribute_name text COLLATE "C" NOT NULL
        GENERATED ALWAYS AS (coalesce(renamed, left(regexp_replace(path, '[^0-9a-zA-Z_-]', '_', 'g'), 255))) STORED;
CREATE INDEX sensor_attribute_name ON sensor (tenant_id, attribute_name, device_id);

-- What is told of a sensor beyond what all sensors have.
CREATE TABLE sensor_attribute (
    tenant_id     integer NOT NULL,
    sensor_id     uuid NOT NULL,
    data_type     text NOT NULL CHECK (data_type IN ('string', 'number', 'gps', 'boolean', 'blob')),
    description   text,
    content_type  text,
    tags          jsonb NOT NULL DEFAULT '{}',
    system        jsonb,
    PRIMARY KEY (tenant_id, sensor_id),
    FOREIGN KEY (tenant_id, sensor_id) REFERENCES sensor (tenant_id, id) ON DELETE CASCADE
);
CALL secure_table('sensor_attribute');

-- Devices that were deleted and may be brought back.
CREATE TABLE deleted_device (
    tenant_id        integer NOT NULL,
    id               uuid NOT NULL,
    space_id         uuid NOT NULL,
    called           text COLLATE "C" NOT NULL,
    name             text COLLATE "C" NOT NULL,
    device_class     text NOT NULL,
    gateway_id       uuid,
    parent_id        uuid,
    ancestor_ids     uuid[] NOT NULL,
    tags             jsonb NOT NULL,           -- {key: [values]}
    attribute_names  text[] NOT NULL,
    connected_at     timestamptz,
    disconnected_at  timestamptz,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    deleted_at       timestamptz NOT NULL,
    purges           boolean NOT NULL,         -- its readings go when this row does
    shown            jsonb NOT NULL,           -- the device and its attributes, as they were read
    rows             jsonb NOT NULL,           -- {table: [rows]}
    child_ids        uuid[] NOT NULL,          -- devices that lay below it
    peripheral_ids   uuid[] NOT NULL,          -- devices that it spoke for
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, space_id) REFERENCES space (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX deleted_device_space ON deleted_device (tenant_id, space_id, called, id);
CREATE INDEX deleted_device_at ON deleted_device (deleted_at);
CALL secure_table('deleted_device');
