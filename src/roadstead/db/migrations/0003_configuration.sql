-- Configuration: what devices shall have, what they say they have, and the work of keeping each device's document right.

CREATE TABLE config_artefact (
    tenant_id     integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id            uuid NOT NULL,
    name          text COLLATE "C" NOT NULL,
    number        integer NOT NULL,        -- 1, 2, 3 within the name
    profile_kind  text CHECK (profile_kind IN ('DEVICE', 'SENSOR')),
    profile_key   text,                    -- the profile whose schema it was checked against
    profile_major integer,
    profile_minor integer,
    content_type  text NOT NULL,
    content       bytea,                   -- canonical JSON (RFC 8785) of what came inline
    file          text,                    -- in the blob store: of what was uploaded, and a copy of what is not small
    file_name     text NOT NULL,           -- what it is called when somebody saves it
    size_bytes    bigint NOT NULL,
    sha256        text NOT NULL,           -- hex
    description   text,
    created_by    uuid NOT NULL,
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name, number),
    CHECK ((profile_kind IS NULL) = (profile_key IS NULL)),
    CHECK (content IS NOT NULL OR file IS NOT NULL)
);
CREATE INDEX config_artefact_content ON config_artefact (tenant_id, name, sha256);
CREATE INDEX config_artefact_created ON config_artefact (tenant_id, created_at, id);
CREATE INDEX config_artefact_profile ON config_artefact (tenant_id, profile_key, created_at, id)
    WHERE profile_key IS NOT NULL;
CALL secure_table('config_artefact');

-- Files that belong to no artefact any more: a worker deletes them.
CREATE TABLE config_waste (
    tenant_id  integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    file       text NOT NULL,
    due_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, file)
);
CREATE INDEX config_waste_due ON config_waste (due_at);
CALL secure_table('config_waste');

CREATE TABLE config_binding (
    tenant_id          integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id                 uuid NOT NULL,
    target_type        text NOT NULL
        CHECK (target_type IN ('DEVICE', 'COMPONENT', 'DEVICE_GROUP', 'DEVICE_PROFILE', 'SENSOR_PROFILE')),
    target_id          uuid NOT NULL,
    artefact_id        uuid NOT NULL,
    artefact_name      text COLLATE "C" NOT NULL,
    desired_version    integer NOT NULL,   -- counts the artefacts it has named
    priority           integer NOT NULL,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    version            integer NOT NULL DEFAULT 1,
    -- The target once more, so that it cannot go without its bindings, or not at all.
    device_id          uuid GENERATED ALWAYS AS (CASE WHEN target_type = 'DEVICE' THEN target_id END) STORED,
    component_id       uuid GENERATED ALWAYS AS (CASE WHEN target_type = 'COMPONENT' THEN target_id END) STORED,
    group_id           uuid GENERATED ALWAYS AS (CASE WHEN target_type = 'DEVICE_GROUP' THEN target_id END) STORED,
    device_profile_id  uuid GENERATED ALWAYS AS (CASE WHEN target_type = 'DEVICE_PROFILE' THEN target_id END) STORED,
    sensor_profile_id  uuid GENERATED ALWAYS AS (CASE WHEN target_type = 'SENSOR_PROFILE' THEN target_id END) STORED,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, target_type, target_id, artefact_name),
    FOREIGN KEY (tenant_id, artefact_id) REFERENCES config_artefact (tenant_id, id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, component_id) REFERENCES component (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, group_id) REFERENCES device_group (tenant_id, id),
    FOREIGN KEY (tenant_id, device_profile_id) REFERENCES device_profile (tenant_id, id),
    FOREIGN KEY (tenant_id, sensor_profile_id) REFERENCES sensor_profile (tenant_id, id)
);
CREATE INDEX config_binding_created ON config_binding (tenant_id, created_at, id);
CREATE INDEX config_binding_updated ON config_binding (tenant_id, updated_at, id);
CREATE INDEX config_binding_name ON config_binding (tenant_id, artefact_name, created_at, id);
CREATE INDEX config_binding_artefact ON config_binding (tenant_id, artefact_id, created_at, id);
CREATE INDEX config_binding_device ON config_binding (tenant_id, device_id) WHERE device_id IS NOT NULL;
CREATE INDEX config_binding_component ON config_binding (tenant_id, component_id) WHERE component_id IS NOT NULL;
CREATE INDEX config_binding_group ON config_binding (tenant_id, group_id) WHERE group_id IS NOT NULL;
CALL secure_table('config_binding');

-- One row for each device that a binding was ever worked out for: its document, what it said, what it was sent.
CREATE TABLE device_configuration (
    tenant_id         integer NOT NULL,
    device_id         uuid NOT NULL,
    document_version  integer NOT NULL DEFAULT 0,     -- 0: there never was anything in it
    digest            bytea NOT NULL DEFAULT '',      -- of what the document says; it changes exactly when this does
    changed_at        timestamptz,
    reported          jsonb NOT NULL DEFAULT '[]',    -- what the device said last, entry by entry
    reported_version  integer,                        -- the document it was speaking of
    reported_at       timestamptz,
    sent_session      text,                           -- handed to this session
    sent_version      integer,
    sent_at           timestamptz,
    arrived_version   integer,                        -- acknowledged by the device
    arrived_at        timestamptz,
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 80);
CALL secure_table('device_configuration');

-- The documents, entry by entry, and how far each entry is.
CREATE TABLE config_entry (
    tenant_id         integer NOT NULL REFERENCES tenant ON DELETE CASCADE,  -- with its artefacts, not after them
    id                uuid NOT NULL,
    device_id         uuid NOT NULL,
    component_id      uuid,
    component_key     text COLLATE "C" NOT NULL DEFAULT '',
    artefact_name     text COLLATE "C" NOT NULL,
    binding_id        uuid NOT NULL,    -- may be gone until the device has been worked out anew
    target_type       text NOT NULL,
    target_id         uuid NOT NULL,
    artefact_id       uuid NOT NULL,
    desired_version   integer NOT NULL,
    hash              text NOT NULL,
    status            text NOT NULL CHECK (status IN ('PENDING', 'IN_PROGRESS', 'ACCEPTED', 'REJECTED', 'FAILED')),
    reported_version  integer,
    reported_hash     text,
    reported_at       timestamptz,
    message           text,
    updated_at        timestamptz NOT NULL,
    drifts            boolean GENERATED ALWAYS AS (reported_hash IS NOT NULL AND reported_hash <> hash) STORED,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, device_id, component_key, artefact_name),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device_configuration (tenant_id, device_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, component_id) REFERENCES component (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, artefact_id) REFERENCES config_artefact (tenant_id, id)
) WITH (fillfactor = 80);
CREATE INDEX config_entry_binding ON config_entry (tenant_id, binding_id, id);
CREATE INDEX config_entry_status ON config_entry (tenant_id, binding_id, status, id);
CREATE INDEX config_entry_drifting ON config_entry (tenant_id, binding_id, id) WHERE drifts;
CREATE INDEX config_entry_artefact ON config_entry (tenant_id, artefact_id);
CREATE INDEX config_entry_component ON config_entry (tenant_id, component_id) WHERE component_id IS NOT NULL;
CALL secure_table('config_entry');

-- How many entries of a binding have which status: the sum, and what has come to it since. Whoever changes entries only
-- adds rows to the second, so that nobody waits for anybody; now and then they are folded into the first.
CREATE TABLE config_rollup (
    tenant_id    integer NOT NULL,
    binding_id   uuid NOT NULL,
    pending      integer NOT NULL DEFAULT 0,
    in_progress  integer NOT NULL DEFAULT 0,
    accepted     integer NOT NULL DEFAULT 0,
    rejected     integer NOT NULL DEFAULT 0,
    failed       integer NOT NULL DEFAULT 0,
    drifting     integer NOT NULL DEFAULT 0,
    status       text NOT NULL GENERATED ALWAYS AS (CASE
        WHEN (pending > 0)::int + (in_progress > 0)::int + (accepted > 0)::int + (rejected > 0)::int
            + (failed > 0)::int > 1 THEN 'MIXED'
        WHEN in_progress > 0 THEN 'IN_PROGRESS' WHEN accepted > 0 THEN 'ACCEPTED'
        WHEN rejected > 0 THEN 'REJECTED' WHEN failed > 0 THEN 'FAILED' ELSE 'PENDING' END) STORED,
    PRIMARY KEY (tenant_id, binding_id),
    FOREIGN KEY (tenant_id, binding_id) REFERENCES config_binding (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 50);
CREATE INDEX config_rollup_status ON config_rollup (tenant_id, status, binding_id);
CALL secure_table('config_rollup');

CREATE TABLE config_tally (
    tenant_id    integer NOT NULL,       -- no foreign keys: what counts for nothing any more is cleared away
    id           bigint GENERATED ALWAYS AS IDENTITY,
    binding_id   uuid NOT NULL,
    pending      integer NOT NULL,
    in_progress  integer NOT NULL,
    accepted     integer NOT NULL,
    rejected     integer NOT NULL,
    failed       integer NOT NULL,
    drifting     integer NOT NULL,
    PRIMARY KEY (tenant_id, binding_id, id)
);
CALL secure_table('config_tally');

CREATE FUNCTION tally_config_entries() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
DECLARE
    counted CONSTANT text := $sql$
        INSERT INTO config_tally (tenant_id, binding_id, pending, in_progress, accepted, rejected, failed, drifting)
        SELECT * FROM (
            SELECT tenant_id, binding_id, coalesce(sum(n) FILTER (WHERE status = 'PENDING'), 0) AS pending,
                coalesce(sum(n) FILTER (WHERE status = 'IN_PROGRESS'), 0) AS in_progress,
                coalesce(sum(n) FILTER (WHERE status = 'ACCEPTED'), 0) AS accepted,
                coalesce(sum(n) FILTER (WHERE status = 'REJECTED'), 0) AS rejected,
                coalesce(sum(n) FILTER (WHERE status = 'FAILED'), 0) AS failed,
                coalesce(sum(n) FILTER (WHERE drifts), 0) AS drifting
            FROM (%s) changed GROUP BY tenant_id, binding_id
        ) tally WHERE (pending, in_progress, accepted, rejected, failed, drifting) <> (0, 0, 0, 0, 0, 0)
    $sql$;
    came CONSTANT text := 'SELECT tenant_id, binding_id, status, drifts, 1 AS n FROM new_rows';
    went CONSTANT text := 'SELECT tenant_id, binding_id, status, drifts, -1 AS n FROM old_rows';
BEGIN
    EXECUTE format(counted, CASE TG_OP WHEN 'INSERT' THEN came WHEN 'DELETE' THEN went
        ELSE came || ' UNION ALL ' || went END);
    RETURN NULL;
END
$$;
CREATE TRIGGER tally_new AFTER INSERT ON config_entry REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION tally_config_entries();
CREATE TRIGGER tally_old AFTER DELETE ON config_entry REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION tally_config_entries();
CREATE TRIGGER tally_changed AFTER UPDATE ON config_entry REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION tally_config_entries();

-- Work to do. Rows are only added: whoever changes something never waits for whoever works it off, and no change can
-- hide behind an older one that is just being worked off.
CREATE TABLE config_due (
    tenant_id  integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id         bigint GENERATED ALWAYS AS IDENTITY,
    device_id  uuid NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX config_due_oldest ON config_due (id);
CALL secure_table('config_due');

CREATE TABLE config_sweep (
    tenant_id    integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id           uuid NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('TARGETS', 'HOLDERS', 'RESEND', 'EVERYBODY')),
    binding_id   uuid,
    target_type  text,
    target_id    uuid,
    position     text[],               -- how far it has come: the sort values of the last device
    due_at       timestamptz NOT NULL, -- when a worker takes the next batch
    attempts     integer NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX config_sweep_due ON config_sweep (due_at);
CREATE INDEX config_sweep_same ON config_sweep (tenant_id, kind, binding_id, target_id);
CALL secure_table('config_sweep');

-- From a sensor profile to its devices, in their order.
DROP INDEX component_profile;
CREATE INDEX component_profile ON component (tenant_id, sensor_profile_id, device_id);
