-- What devices have reported last, as rows that are searched: see docs/decisions/0010 for why they are rows.

-- Tenants whose programs search by values: only their devices have rows below.
CREATE TABLE searched_tenant (
    tenant_id  integer PRIMARY KEY REFERENCES tenant ON DELETE CASCADE,
    since      timestamptz NOT NULL DEFAULT now()
);
CALL secure_table('searched_tenant');

-- One row a value; the items of a list are rows of one path. The rows hang on those of device_state, which whoever writes
-- them has locked already.
CREATE TABLE device_value (
    tenant_id  integer NOT NULL,
    device_id  uuid NOT NULL,
    path       text COLLATE "C" NOT NULL,
    item       integer NOT NULL,
    number     double precision,
    flag       boolean,
    text       text COLLATE "C",            -- the first 400 characters
    folded     text COLLATE "C",            -- the same without case: what the index holds
    instant    timestamptz,                 -- of text that is one, and of numbers that may be milliseconds since 1970
    latitude   double precision,            -- of an object that is a place
    longitude  double precision,
    PRIMARY KEY (tenant_id, device_id, path, item),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device_state ON DELETE CASCADE
);
CREATE INDEX device_value_text ON device_value (tenant_id, path, folded, device_id);
CREATE INDEX device_value_number ON device_value (tenant_id, path, number, device_id) WHERE number IS NOT NULL;
CREATE INDEX device_value_flag ON device_value (tenant_id, path, flag, device_id) WHERE flag IS NOT NULL;
CREATE INDEX device_value_instant ON device_value (tenant_id, path, instant, device_id) WHERE instant IS NOT NULL;
CREATE INDEX device_value_place ON device_value (tenant_id, path, latitude, longitude) WHERE latitude IS NOT NULL;
CALL secure_table('device_value');

CREATE TABLE device_value_word (
    tenant_id  integer NOT NULL,
    word       text COLLATE "C" NOT NULL,    -- text in lower case, from the start of a word on, at most 64 characters
    device_id  uuid NOT NULL,
    PRIMARY KEY (tenant_id, word, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device_state ON DELETE CASCADE
);
CREATE INDEX device_value_word_device ON device_value_word (tenant_id, device_id, word);
CALL secure_table('device_value_word');

ALTER TABLE device_network_alias ADD COLUMN lowered text COLLATE "C" NOT NULL GENERATED ALWAYS AS (lower(value)) STORED;
CREATE INDEX device_network_alias_lowered ON device_network_alias (tenant_id, lowered, device_id);
