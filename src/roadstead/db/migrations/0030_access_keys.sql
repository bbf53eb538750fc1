-- Access keys of spaces: with one and its secret a device of the space comes in.

CREATE TABLE access_key (
    tenant_id       integer NOT NULL,
    id              uuid NOT NULL,
    space_id        uuid NOT NULL,
    key             text COLLATE "C" NOT NULL UNIQUE,    -- what devices show, with the secret
    secret_hash     bytea NOT NULL,
    status          text NOT NULL CHECK (status IN ('active', 'inactive')),
    name            text,
    description     text,
    device_ids      uuid[] NOT NULL,                     -- which devices may use it; with device_tags: no entry, any
    device_tags     jsonb NOT NULL,                      -- [{key, value}], one of the two may be null
    topic_filter    text NOT NULL CHECK (topic_filter IN ('all', 'none', 'whitelist', 'blacklist')),
    publish_topics  text[] NOT NULL,
    hear_topics     text[] NOT NULL,
    address_filter  text NOT NULL CHECK (address_filter IN ('all', 'whitelist', 'blacklist')),
    addresses       text[] NOT NULL,
    created_by      uuid NOT NULL,
    created_by_kind text NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_by      uuid NOT NULL,
    updated_by_kind text NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, space_id) REFERENCES space (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX access_key_created ON access_key (tenant_id, space_id, created_at, id);
CALL secure_table('access_key');
