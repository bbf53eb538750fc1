-- Tenants, people, access, registry, credentials, and what leaves with a commit.
-- Every table with rows of a tenant has tenant_id, a forced row policy (see secure_table) and keys that include it.

CREATE FUNCTION current_tenant() RETURNS integer LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('roadstead.tenant', true), '')::integer;

CREATE PROCEDURE secure_table(name regclass) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_rows ON %s TO roadstead_tenant USING (tenant_id = (SELECT current_tenant()))', name);
    EXECUTE format('CREATE POLICY all_rows ON %s TO roadstead_system, roadstead_owner USING (true)', name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO roadstead_tenant, roadstead_system', name);
END
$$;

-- Tenants and people ---------------------------------------------------------------------------------------------------

CREATE TABLE tenant (
    tenant_id   integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    public_id   uuid NOT NULL UNIQUE,
    name        text NOT NULL,
    slug        text NOT NULL UNIQUE,
    settings    jsonb NOT NULL DEFAULT '{}',
    status      text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'SUSPENDED', 'DELETING')),
    delete_at   timestamptz,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    version     integer NOT NULL DEFAULT 1
);
CALL secure_table('tenant');

-- Slugs are unique over the whole platform; a tenant may learn that one is taken, and nothing else.
CREATE FUNCTION slug_taken(wanted text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = roadstead
    RETURN EXISTS (SELECT FROM tenant WHERE slug = wanted);

CREATE TABLE person (
    id                  uuid PRIMARY KEY,
    email               text NOT NULL,
    name                text NOT NULL DEFAULT '',
    locale              text,
    time_zone           text,
    preferences         jsonb NOT NULL DEFAULT '{}',
    password_hash       text,
    totp_secret         bytea,           -- sealed; active once totp_confirmed_at is set
    totp_confirmed_at   timestamptz,
    totp_last_step      bigint,          -- a code is good once
    recovery_hashes     bytea[] NOT NULL DEFAULT '{}',
    last_tenant_id      integer REFERENCES tenant ON DELETE SET NULL,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL
);
CREATE UNIQUE INDEX person_email ON person (lower(email));

CREATE TABLE membership (
    tenant_id     integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    person_id     uuid NOT NULL REFERENCES person ON DELETE CASCADE,
    role          text NOT NULL CHECK (role IN ('OWNER', 'ADMIN', 'MEMBER')),
    joined_at     timestamptz NOT NULL,
    last_seen_at  timestamptz,
    PRIMARY KEY (tenant_id, person_id)
);
CREATE INDEX membership_person ON membership (person_id);
CALL secure_table('membership');

-- A person belongs to no tenant; a tenant sees those who are members.
ALTER TABLE person ENABLE ROW LEVEL SECURITY;
ALTER TABLE person FORCE ROW LEVEL SECURITY;
CREATE POLICY members ON person FOR SELECT TO roadstead_tenant USING (
    EXISTS (SELECT FROM membership m WHERE m.person_id = person.id AND m.tenant_id = (SELECT current_tenant()))
);
CREATE POLICY all_rows ON person TO roadstead_system USING (true);
GRANT SELECT (id, email, name, locale, time_zone, preferences, totp_confirmed_at) ON person TO roadstead_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON person TO roadstead_system;

CREATE TABLE invitation (
    tenant_id    integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id           uuid NOT NULL,
    email        text NOT NULL,
    role         text NOT NULL CHECK (role IN ('ADMIN', 'MEMBER')),
    token_hash   bytea NOT NULL UNIQUE,
    invited_by   uuid NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    accepted_at  timestamptz,
    revoked_at   timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX invitation_created ON invitation (tenant_id, created_at, id);
CALL secure_table('invitation');

CREATE TABLE session (
    tenant_id   integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id          uuid NOT NULL,
    person_id   uuid NOT NULL REFERENCES person ON DELETE CASCADE,
    address     text NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    revoked_at  timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX session_person ON session (person_id);
CALL secure_table('session');

CREATE TABLE refresh_token (
    tenant_id   integer NOT NULL,
    token_hash  bytea NOT NULL PRIMARY KEY,
    session_id  uuid NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz,
    FOREIGN KEY (tenant_id, session_id) REFERENCES session ON DELETE CASCADE
);
CREATE INDEX refresh_token_session ON refresh_token (tenant_id, session_id);
CALL secure_table('refresh_token');

CREATE TABLE password_reset (
    token_hash  bytea PRIMARY KEY,
    person_id   uuid NOT NULL REFERENCES person ON DELETE CASCADE,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz
);
GRANT SELECT, INSERT, UPDATE, DELETE ON password_reset TO roadstead_system;

CREATE TABLE sign_in_failure (
    account    text NOT NULL,      -- what was typed, lower case
    address    text NOT NULL,
    at         timestamptz NOT NULL
);
CREATE INDEX sign_in_failure_at ON sign_in_failure (at);
CREATE INDEX sign_in_failure_account ON sign_in_failure (account, address, at);
GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_failure TO roadstead_system;

CREATE TABLE signing_key (
    id           text PRIMARY KEY,
    public_jwk   jsonb NOT NULL,
    private_jwk  bytea NOT NULL,    -- sealed
    created_at   timestamptz NOT NULL,
    signs_from   timestamptz NOT NULL,
    retired_at   timestamptz        -- still verifies until the last token it signed has expired
);
GRANT SELECT, INSERT, UPDATE, DELETE ON signing_key TO roadstead_system;

CREATE TABLE api_key (
    tenant_id       integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id              uuid NOT NULL,
    name            text NOT NULL,
    prefix          text NOT NULL,
    environment     text NOT NULL CHECK (environment IN ('LIVE', 'TEST')),
    secret_hash     bytea NOT NULL UNIQUE,
    previous_hash   bytea UNIQUE,
    previous_until  timestamptz,
    scopes          text[] NOT NULL,
    allowed_cidrs   text[] NOT NULL DEFAULT '{}',
    expires_at      timestamptz,
    last_used_at    timestamptz,
    revoked_at      timestamptz,
    created_by      uuid NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    version         integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX api_key_created ON api_key (tenant_id, created_at, id);
CALL secure_table('api_key');

-- What leaves with a commit ----------------------------------------------------------------------------------------------

CREATE TABLE audit_log (
    tenant_id      integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id             uuid NOT NULL,
    at             timestamptz NOT NULL,
    actor_type     text NOT NULL,
    actor_id       uuid NOT NULL,
    actor_name     text NOT NULL,
    action         text NOT NULL,
    resource_type  text NOT NULL,
    resource_id    text,
    changes        jsonb NOT NULL DEFAULT '[]',
    request_id     text,
    address        text,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX audit_log_at ON audit_log (tenant_id, at DESC, id DESC);
CREATE INDEX audit_log_resource ON audit_log (tenant_id, resource_type, resource_id, at DESC);
CREATE INDEX audit_log_actor ON audit_log (tenant_id, actor_id, at DESC);
CALL secure_table('audit_log');
REVOKE UPDATE, DELETE ON audit_log FROM roadstead_tenant;

CREATE TABLE outbox (
    tenant_id  integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    fact       bytea NOT NULL
);
CALL secure_table('outbox');

CREATE TABLE idempotency (
    tenant_id     integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    operation     text NOT NULL,
    key           text NOT NULL,
    request_hash  bytea NOT NULL,
    status        integer NOT NULL,
    headers       jsonb NOT NULL,
    body          bytea NOT NULL,     -- sealed: it may show a secret that is shown once
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, operation, key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);
CALL secure_table('idempotency');

-- Types -----------------------------------------------------------------------------------------------------------------

CREATE TABLE sensor_profile (
    tenant_id      integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id             uuid NOT NULL,
    key            text NOT NULL,
    major          integer NOT NULL,
    minor          integer NOT NULL,
    name           text NOT NULL,
    description    text,
    fields         jsonb NOT NULL,
    config_schema  jsonb,
    pack_id        text,
    deprecated     boolean NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, key, major, minor)
);
CALL secure_table('sensor_profile');

CREATE TABLE device_profile (
    tenant_id        integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id               uuid NOT NULL,
    key              text NOT NULL,
    major            integer NOT NULL,
    minor            integer NOT NULL,
    name             text NOT NULL,
    description      text,
    components       jsonb NOT NULL,
    writable_fields  jsonb NOT NULL DEFAULT '[]',
    config_schema    jsonb,
    commands         jsonb NOT NULL DEFAULT '[]',
    pack_id          text,
    deprecated       boolean NOT NULL DEFAULT false,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, key, major, minor)
);
CALL secure_table('device_profile');

-- Registry --------------------------------------------------------------------------------------------------------------

CREATE TABLE space (
    tenant_id   integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id          uuid NOT NULL,
    name        text NOT NULL,
    is_default  boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX space_default ON space (tenant_id) WHERE is_default;
CALL secure_table('space');

CREATE TABLE site (
    tenant_id   integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id          uuid NOT NULL,
    parent_id   uuid,
    lineage     uuid[] NOT NULL,     -- from the root down to this site itself
    name        text NOT NULL,
    location    jsonb,
    time_zone   text,
    address     jsonb,
    tags        jsonb NOT NULL DEFAULT '{}',
    metadata    jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    version     integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, parent_id) REFERENCES site (tenant_id, id),
    UNIQUE NULLS NOT DISTINCT (tenant_id, parent_id, name)
);
CREATE INDEX site_name ON site (tenant_id, name, id);
CALL secure_table('site');

CREATE TABLE device (
    tenant_id         integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id                uuid NOT NULL,
    space_id          uuid NOT NULL,
    ordinal           integer NOT NULL,
    name              text NOT NULL,
    external_id       text,
    serial_number     text,
    status            text NOT NULL CHECK (status IN ('PENDING', 'ACTIVE', 'INACTIVE', 'MAINTENANCE', 'OFFLINE')),
    online            boolean NOT NULL DEFAULT false,
    virtual           boolean NOT NULL DEFAULT false,
    profile_id        uuid,
    site_id           uuid,
    parent_id         uuid,
    latitude          double precision,
    longitude         double precision,
    altitude          double precision,
    location_label    text,
    tags              jsonb NOT NULL DEFAULT '{}',
    metadata          jsonb NOT NULL DEFAULT '{}',
    notes             jsonb NOT NULL DEFAULT '{}',   -- what only one dialect knows, under its name
    firmware_version  text,
    hardware_id       text,
    last_seen_at      timestamptz NOT NULL DEFAULT 'epoch',  -- epoch: never. To the minute, for filters; exact in device_state
    activated_at      timestamptz,
    online_gateway    text,            -- the gateway process and session that say it is online
    online_session    bigint,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    version           integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, space_id, name),
    UNIQUE (tenant_id, ordinal),
    FOREIGN KEY (tenant_id, space_id) REFERENCES space (tenant_id, id),
    FOREIGN KEY (tenant_id, profile_id) REFERENCES device_profile (tenant_id, id),
    FOREIGN KEY (tenant_id, site_id) REFERENCES site (tenant_id, id),
    FOREIGN KEY (tenant_id, parent_id) REFERENCES device (tenant_id, id)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX device_external_id ON device (tenant_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX device_name ON device (tenant_id, name, id);
CREATE INDEX device_created ON device (tenant_id, created_at, id);
CREATE INDEX device_seen ON device (tenant_id, last_seen_at, id);
CREATE INDEX device_status ON device (tenant_id, status, name, id);
CREATE INDEX device_online ON device (tenant_id, name, id) WHERE online;
CREATE INDEX device_offline ON device (tenant_id, name, id) WHERE NOT online;
CREATE INDEX device_site ON device (tenant_id, site_id, name, id);
CREATE INDEX device_profile_of ON device (tenant_id, profile_id, name, id);
CREATE INDEX device_parent ON device (tenant_id, parent_id, name, id);
CREATE INDEX device_firmware ON device (tenant_id, firmware_version, name, id);
CREATE INDEX device_place ON device (tenant_id, latitude, longitude) WHERE latitude IS NOT NULL;
CREATE INDEX device_online_gateway ON device (online_gateway) WHERE online;
CALL secure_table('device');

-- The instant inside a JSON value, RFC 3339 text or milliseconds since 1970; NULL when it is neither.
CREATE FUNCTION json_instant(value jsonb) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE
        WHEN jsonb_typeof(value) = 'number' THEN
            CASE WHEN value BETWEEN '-62135596800000' AND '253402300799999'
                THEN to_timestamp(value::double precision / 1000) END
        WHEN jsonb_typeof(value) = 'string' AND value #>> '{}' ~ '^\d{4}-\d\d-\d\d([T ]|$)'
            AND pg_input_is_valid(value #>> '{}', 'timestamptz') THEN (value #>> '{}')::timestamptz
    END;

-- What devices are searched by. Under a row policy PostgreSQL uses an index only for operators that are marked leakproof,
-- which those of jsonb, LIKE and functions such as lower() are not. So tags and words lie in rows of their own, compared
-- by plain order in the C collation. Triggers keep them, so that no statement can forget to.
CREATE TABLE device_tag (
    tenant_id  integer NOT NULL,
    key        text COLLATE "C" NOT NULL,
    value      text COLLATE "C" NOT NULL,
    device_id  uuid NOT NULL,
    PRIMARY KEY (tenant_id, key, value, device_id),    -- from a rare tag to its devices
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX device_tag_device ON device_tag (tenant_id, device_id, key);    -- from device to device, for a common one
CALL secure_table('device_tag');

CREATE TABLE device_word (
    tenant_id  integer NOT NULL,
    word       text COLLATE "C" NOT NULL,    -- name, external id or serial number in lower case, from the start of a word on
    device_id  uuid NOT NULL,
    PRIMARY KEY (tenant_id, word, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX device_word_device ON device_word (tenant_id, device_id, word);
CALL secure_table('device_word');

CREATE FUNCTION word_starts(texts text[]) RETURNS SETOF text LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT DISTINCT substr(t, p) FROM (SELECT lower(u) FROM unnest(texts) AS u) AS l (t), generate_series(1, length(t)) AS p
    WHERE p = 1 OR (substr(t, p - 1, 1) ~ '[^[:alnum:]]' AND substr(t, p, 1) ~ '[[:alnum:]]');
END;

CREATE FUNCTION index_new_devices() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    INSERT INTO device_tag (tenant_id, key, value, device_id)
    SELECT d.tenant_id, t.key, t.value, d.id FROM added d, jsonb_each_text(d.tags) t;
    INSERT INTO device_word (tenant_id, word, device_id)
    SELECT d.tenant_id, w, d.id FROM added d, word_starts(ARRAY[d.name, d.external_id, d.serial_number]) w;
    RETURN NULL;
END
$$;

CREATE FUNCTION index_device_tags() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    DELETE FROM device_tag WHERE tenant_id = NEW.tenant_id AND device_id = NEW.id;
    INSERT INTO device_tag (tenant_id, key, value, device_id)
    SELECT NEW.tenant_id, key, value, NEW.id FROM jsonb_each_text(NEW.tags);
    RETURN NULL;
END
$$;

CREATE FUNCTION index_device_words() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    DELETE FROM device_word WHERE tenant_id = NEW.tenant_id AND device_id = NEW.id;
    INSERT INTO device_word (tenant_id, word, device_id)
    SELECT NEW.tenant_id, w, NEW.id FROM word_starts(ARRAY[NEW.name, NEW.external_id, NEW.serial_number]) w;
    RETURN NULL;
END
$$;

CREATE TRIGGER index_new AFTER INSERT ON device REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION index_new_devices();
CREATE TRIGGER index_tags AFTER UPDATE OF tags ON device
    FOR EACH ROW WHEN (OLD.tags IS DISTINCT FROM NEW.tags) EXECUTE FUNCTION index_device_tags();
CREATE TRIGGER index_words AFTER UPDATE OF name, external_id, serial_number ON device
    FOR EACH ROW WHEN (ROW(OLD.name, OLD.external_id, OLD.serial_number)
        IS DISTINCT FROM ROW(NEW.name, NEW.external_id, NEW.serial_number)) EXECUTE FUNCTION index_device_words();

CREATE TABLE external_id (
    tenant_id  integer NOT NULL,
    device_id  uuid NOT NULL,
    network    text NOT NULL,
    key        text NOT NULL,
    value      text NOT NULL,
    PRIMARY KEY (tenant_id, network, key, value),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX external_id_device ON external_id (tenant_id, device_id);
CALL secure_table('external_id');

CREATE TABLE ordinal (
    tenant_id  integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    noun       text NOT NULL,
    last       integer NOT NULL,
    PRIMARY KEY (tenant_id, noun)
);
CALL secure_table('ordinal');

CREATE TABLE device_state (
    tenant_id  integer NOT NULL,
    device_id  uuid NOT NULL,
    last_at    timestamptz NOT NULL DEFAULT 'epoch',       -- when a message of the device was last received
    newest_at  bigint NOT NULL DEFAULT 0,                  -- the newest measured time in body, ms: what is newer merges fast
    body       jsonb NOT NULL DEFAULT '{}',                -- {path: [value, measured at ms, received at ms, metadata as text if any]}
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 45, toast_tuple_target = 4080);
ALTER TABLE device_state ALTER COLUMN body SET STORAGE MAIN;
CALL secure_table('device_state');

CREATE TABLE component (
    tenant_id          integer NOT NULL,
    id                 uuid NOT NULL,
    device_id          uuid NOT NULL,
    key                text NOT NULL,
    name               text NOT NULL,
    name_lower         text COLLATE "C" NOT NULL GENERATED ALWAYS AS (lower(name)) STORED,
    key_lower          text COLLATE "C" NOT NULL GENERATED ALWAYS AS (lower(key)) STORED,
    sensor_profile_id  uuid NOT NULL,
    tags               jsonb NOT NULL DEFAULT '{}',
    metadata           jsonb NOT NULL DEFAULT '{}',
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    version            integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, device_id, key),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, sensor_profile_id) REFERENCES sensor_profile (tenant_id, id)
);
CREATE INDEX component_name ON component (tenant_id, name, id);
CREATE INDEX component_created ON component (tenant_id, created_at, id);
CREATE INDEX component_name_lower ON component (tenant_id, name_lower);
CREATE INDEX component_key_lower ON component (tenant_id, key_lower);
CREATE INDEX component_profile ON component (tenant_id, sensor_profile_id);
CALL secure_table('component');

CREATE TABLE sensor (
    tenant_id     integer NOT NULL,
    id            uuid NOT NULL,
    device_id     uuid NOT NULL,
    component_id  uuid,
    key           text NOT NULL,
    path          text NOT NULL,
    name          text NOT NULL,
    name_lower    text COLLATE "C" NOT NULL GENERATED ALWAYS AS (lower(name)) STORED,
    key_lower     text COLLATE "C" NOT NULL GENERATED ALWAYS AS (lower(key)) STORED,
    value_type    text NOT NULL CHECK (value_type IN ('DOUBLE', 'BIGINT', 'BOOLEAN', 'TEXT')),
    unit          text,
    field         text,
    min           double precision,
    max           double precision,
    metadata      jsonb NOT NULL DEFAULT '{}',
    active        boolean NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    version       integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, device_id, path),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, component_id) REFERENCES component (tenant_id, id) ON DELETE SET NULL (component_id)
);
CREATE INDEX sensor_name ON sensor (tenant_id, name, id);
CREATE INDEX sensor_created ON sensor (tenant_id, created_at, id);
CREATE INDEX sensor_type ON sensor (tenant_id, value_type, name, id);
CREATE INDEX sensor_inactive ON sensor (tenant_id, name, id) WHERE NOT active;
CREATE INDEX sensor_name_lower ON sensor (tenant_id, name_lower);
CREATE INDEX sensor_key_lower ON sensor (tenant_id, key_lower);
CREATE INDEX sensor_component ON sensor (tenant_id, component_id);
CALL secure_table('sensor');

CREATE TABLE device_group (
    tenant_id    integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id           uuid NOT NULL,
    name         text NOT NULL,
    description  text,
    selector     jsonb NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    version      integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
);
CALL secure_table('device_group');

-- Credentials of devices ------------------------------------------------------------------------------------------------

CREATE TABLE registration_token (
    tenant_id     integer NOT NULL,
    id            uuid NOT NULL,
    device_id     uuid NOT NULL,
    secret_hash   bytea NOT NULL,
    created_by    uuid NOT NULL,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz,
    used_address  text,
    revoked_at    timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX registration_token_id ON registration_token (id);
CREATE INDEX registration_token_device ON registration_token (tenant_id, device_id);
CREATE INDEX registration_token_created ON registration_token (tenant_id, created_at, id);
CREATE INDEX registration_token_open ON registration_token (tenant_id, created_at, id)
    WHERE used_at IS NULL AND revoked_at IS NULL;
CALL secure_table('registration_token');

CREATE TABLE certificate (
    tenant_id      integer NOT NULL,
    id             uuid NOT NULL,
    device_id      uuid NOT NULL,
    dialect        text NOT NULL,      -- whose topics and payloads the device speaks
    fingerprint    bytea NOT NULL,     -- SHA-256 of the DER form
    serial_number  text NOT NULL,      -- hex
    subject        text NOT NULL,
    issued_here    boolean NOT NULL,
    not_before     timestamptz NOT NULL,
    not_after      timestamptz NOT NULL,
    created_at     timestamptz NOT NULL,
    superseded_at  timestamptz,        -- from when on a newer one has its place; may lie ahead
    revoked_at     timestamptz,
    revoke_reason  text,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX certificate_fingerprint ON certificate (fingerprint);
CREATE INDEX certificate_device ON certificate (tenant_id, device_id, created_at);
CREATE INDEX certificate_withdrawn ON certificate (not_after)
    WHERE issued_here AND (revoked_at IS NOT NULL OR superseded_at IS NOT NULL);
CALL secure_table('certificate');

-- What we have signed stays on the revocation list after its device is gone, and after its tenant is.
CREATE TABLE revoked_certificate (
    tenant_id      integer NOT NULL,
    serial_number  text NOT NULL,
    revoked_at     timestamptz NOT NULL,
    not_after      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, serial_number)
);
CREATE INDEX revoked_certificate_ends ON revoked_certificate (not_after);
CALL secure_table('revoked_certificate');

CREATE FUNCTION revoke_deleted_certificate() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    INSERT INTO revoked_certificate (tenant_id, serial_number, revoked_at, not_after)
    VALUES (OLD.tenant_id, OLD.serial_number, coalesce(OLD.revoked_at, now()), OLD.not_after)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER revoke_deleted AFTER DELETE ON certificate FOR EACH ROW
    WHEN (OLD.issued_here AND OLD.not_after > now()) EXECUTE FUNCTION revoke_deleted_certificate();

CREATE TABLE certificate_authority (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('ROOT', 'INTERMEDIATE')),
    certificate  text NOT NULL,        -- PEM
    private_key  bytea,                -- sealed; null when it is kept elsewhere
    created_at   timestamptz NOT NULL,
    retired_at   timestamptz,
    -- The last revocation list it has signed (DER), until when that may be handed out, and what is on it.
    list         bytea,
    list_until   timestamptz,
    list_mark    text
);
CREATE UNIQUE INDEX certificate_authority_current ON certificate_authority (kind) WHERE retired_at IS NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON certificate_authority TO roadstead_system;
GRANT SELECT (id, kind, certificate, created_at, retired_at) ON certificate_authority TO roadstead_tenant;

-- Telemetry: what was refused, and how far projections are ----------------------------------------------------------------

CREATE TABLE quarantine (
    tenant_id     integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id            uuid NOT NULL,
    device_id     uuid,
    component_id  uuid,
    sensor_ref    text,
    reason        text NOT NULL,
    detail        text NOT NULL,
    errors        jsonb NOT NULL DEFAULT '[]',
    dialect       text NOT NULL,
    channel       text NOT NULL,
    payload       bytea NOT NULL,
    source        text NOT NULL CHECK (source IN ('MQTT', 'HTTP')),
    received_at   timestamptz NOT NULL,
    attempts      integer NOT NULL DEFAULT 1,
    expires_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX quarantine_received ON quarantine (tenant_id, received_at DESC, id DESC);
CREATE INDEX quarantine_device ON quarantine (tenant_id, device_id, received_at DESC);
CREATE INDEX quarantine_expires ON quarantine (expires_at);
CALL secure_table('quarantine');

CREATE TABLE projection (
    name      text PRIMARY KEY,
    position  bigint NOT NULL,        -- the last stream sequence whose effect is committed
    at        timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON projection TO roadstead_system;

CREATE TABLE gateway_lease (
    gateway       text PRIMARY KEY,
    heartbeat_at  timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway_lease TO roadstead_system;
